"""Tests never touch the data folder of the checkout: they get one of their own before Django reads its settings."""

import os
import tempfile

os.environ["LORACRAFT_DATA"] = os.environ.get("LORACRAFT_TEST_DATA") or tempfile.mkdtemp(prefix="loracraft-test-")
os.environ["LORACRAFT_DEBUG"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts.models import Membership, Role, Team


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="Charlie's team")


def member(name: str, team: Team, role: str) -> User:
    user = User.objects.create_user(name, password="a long password")
    Membership.objects.create(team=team, user=user, role=role)
    return user


@pytest.fixture
def owner(team: Team) -> User:
    return member("charlie", team, Role.OWNER)


@pytest.fixture
def teammate(team: Team) -> User:
    return member("bob", team, Role.MEMBER)


@pytest.fixture
def viewer(team: Team) -> User:
    return member("vera", team, Role.VIEWER)


@pytest.fixture
def outsider(db: None) -> User:
    return member("oscar", Team.objects.create(name="Other team"), Role.OWNER)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def owner_client(owner: User) -> Client:
    return signed_in(owner)


@pytest.fixture
def teammate_client(teammate: User) -> Client:
    return signed_in(teammate)


@pytest.fixture
def viewer_client(viewer: User) -> Client:
    return signed_in(viewer)


@pytest.fixture
def outsider_client(outsider: User) -> Client:
    return signed_in(outsider)
