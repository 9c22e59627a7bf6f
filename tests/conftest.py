"""Tests never touch the data folder of the checkout: they get one of their own before Django reads its settings."""

import json
import os
import tempfile
from collections.abc import Iterator
from typing import Any

os.environ["LORACRAFT_DATA"] = os.environ.get("LORACRAFT_TEST_DATA") or tempfile.mkdtemp(prefix="loracraft-test-")
os.environ["LORACRAFT_DEBUG"] = "1"
os.environ["LORACRAFT_DOTENV"] = "0"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Of this process and of those that tests start: threads of torch spin while they wait for each other, and where others
# want the cores, too, a step of two threads takes ten times the work of one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Here and not in pyproject.toml: pytest-django reads the settings named there before it loads this file, so the tests
# would run on the data folder of the checkout.
os.environ["DJANGO_SETTINGS_MODULE"] = "loracraft.settings"

import django

django.setup()

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django.plugin import blocking_manager_key

from accounts.models import Membership, Role, Team
from tests import services

SHIPPED_ROWS = pytest.StashKey[str]()
SHIPPED = ("datasets_app.", "rewards.", "training.")
TRANSACTIONAL = {"transactional_db", "live_server", "django_db_reset_sequences", "django_db_serialized_rollback"}
LONG = ("e2e", "chaos", "engine", "evaluation", "exports", "training")

# Pages can be tested without `collectstatic`, and a password of a test needs no second of hashing.
settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Workers inherit this environment: with it pytest-django would open this process's data folder, as said above."""
    os.environ.pop("DJANGO_SETTINGS_MODULE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of few and long tests first: at the end one process would be alone with them."""
    items.sort(key=lambda item: LONG.index(name) if (name := item.path.parent.name) in LONG else len(LONG))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """A transactional test empties the database at its end, of what the migrations wrote, too; the tests after it,
    which come in another order in each process, find it again."""
    yield
    if nextitem is not None and is_transactional(item):
        with item.config.stash[blocking_manager_key].unblock():
            connection.creation.deserialize_db_from_string(item.config.stash[SHIPPED_ROWS])


def is_transactional(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("django_db")
    asked = marker is not None and marker.kwargs.get("transaction", False)
    return asked or not TRANSACTIONAL.isdisjoint(getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def django_db_setup(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any) -> None:
    """Django itself writes the rows of its own apps again. Apps of tests start with a copy of the fresh tables."""
    with django_db_blocker.unblock():
        if not connection.introspection.table_names():
            return  # pytest-django makes no tables for a run in which no test asks for them.
        rows = json.loads(connection.creation.serialize_db_to_string())
        if connection.vendor == "sqlite":
            connection.cursor().execute("VACUUM INTO %s", [str(services.fresh_tables())])
    request.config.stash[SHIPPED_ROWS] = json.dumps([row for row in rows if row["model"].startswith(SHIPPED)])


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """The test database is the file in this run's own data folder, so that child processes see the same rows."""
    database = settings.DATABASES["default"]
    if "sqlite3" in database["ENGINE"]:
        database.setdefault("TEST", {})["NAME"] = str(database["NAME"])


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


# Why a test may be skipped where CI runs. Any other reason is a failure there: a skip that nobody sees tests nothing.
# GSM8K is real data that lies beside the checkout where there is any.
KNOWN_SKIPS = ("needs CUDA", "needs the Unsloth wheel", "mount namespaces are not allowed here", "GSM8K")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(known in reason for known in KNOWN_SKIPS):
            report.outcome = "failed"
            report.longrepr = f"{reason}\nWith CI set a test is only skipped for: {', '.join(KNOWN_SKIPS)}."
