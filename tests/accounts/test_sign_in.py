from base64 import b64encode

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken

from accounts.authentication import user_of_header

pytestmark = pytest.mark.django_db


def basic(name: str, password: str) -> bytes:
    return b"Basic " + b64encode(f"{name}:{password}".encode())


def test_signing_in_leads_to_the_page_asked_for(owner: User, client: Client) -> None:
    asked = client.get("/sessions/")
    assert asked.url == "/login/?next=/sessions/"
    data = {"username": "charlie", "password": "a long password", "next": "/sessions/"}
    assert client.post(asked.url, data).url == "/sessions/"


def test_the_page_asked_for_is_never_on_another_site(owner: User, client: Client) -> None:
    data = {"username": "charlie", "password": "a long password", "next": "https://elsewhere.example/"}
    assert client.post(reverse("login"), data).url == reverse("home")


def test_a_wrong_password_shows_the_form_again(owner: User, client: Client) -> None:
    response = client.post(reverse("login"), {"username": "charlie", "password": "wrong"})
    assert response.status_code == 200
    assert "_auth_user_id" not in client.session


def test_signing_out_needs_a_post(owner_client: Client) -> None:
    assert owner_client.get(reverse("logout")).status_code == 405
    assert "_auth_user_id" in owner_client.session
    assert owner_client.post(reverse("logout")).url == reverse("login")
    assert "_auth_user_id" not in owner_client.session


def test_every_page_but_health_and_login_asks_to_sign_in(client: Client) -> None:
    assert client.get(reverse("healthz")).status_code == 200
    assert client.get(reverse("login")).status_code == 200
    assert client.get(reverse("home")).url.startswith(reverse("login"))


def test_the_api_refuses_a_caller_without_credentials(client: Client) -> None:
    response = client.get("/api/training/sessions")
    assert response.status_code == 401
    assert response.json()["error"]


def test_a_token_and_a_password_open_the_api(owner: User, client: Client) -> None:
    _, token = AuthToken.objects.create(owner)
    for header in (f"Token {token}", basic("charlie", "a long password").decode()):
        assert client.get("/api/training/sessions", headers={"Authorization": header}).status_code == 200


@pytest.mark.parametrize("header", ["Token wrong", "Token \xff\xfe", "Basic wrong", "Basic \xff", "Token a b"])
def test_bad_credentials_are_401_and_no_server_error(client: Client, header: str) -> None:
    assert client.get("/api/training/sessions", headers={"Authorization": header}).status_code == 401


def test_a_header_names_its_user(owner: User) -> None:
    _, token = AuthToken.objects.create(owner)
    assert user_of_header(f"Token {token}".encode()) == owner
    assert user_of_header(f"token {token}".encode()) == owner
    assert user_of_header(basic("charlie", "a long password")) == owner


@pytest.mark.parametrize(
    "header",
    [b"", b"Token", b"Token wrong", b"Token \xff\xfe", b"Bearer abc", b"Basic !!", basic("charlie", "wrong"), b"\x00"],
)
def test_a_wrong_header_names_nobody(owner: User, header: bytes) -> None:
    assert user_of_header(header) is None


def test_a_deactivated_user_is_nobody(owner: User) -> None:
    _, token = AuthToken.objects.create(owner)
    owner.is_active = False
    owner.save()
    assert user_of_header(f"Token {token}".encode()) is None
    assert user_of_header(basic("charlie", "a long password")) is None


def test_a_revoked_token_is_nobody(owner: User) -> None:
    row, token = AuthToken.objects.create(owner)
    row.delete()
    assert user_of_header(f"Token {token}".encode()) is None
