"""Every combination of credentials and origin that a WebSocket handshake can have."""

from typing import Any

import pytest
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.testing import WebsocketCommunicator
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken

from accounts.websocket import signed_in
from tests.accounts.test_sign_in import basic

pytestmark = pytest.mark.django_db(transaction=True)
OURS, FOREIGN = b"http://localhost:5000", b"https://elsewhere.example"


class WhoAmI(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.send_json(self.scope["user"].username)


async def user_at(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The name the consumer sees ("" for nobody), or None if the handshake was refused."""
    socket = WebsocketCommunicator(signed_in(WhoAmI.as_asgi()), "/ws/", headers=headers)
    connected, _ = await socket.connect()
    name: Any = await socket.receive_json_from() if connected else None
    await socket.disconnect()
    return name


@pytest.fixture
def cookie(owner: User) -> tuple[bytes, bytes]:
    client = Client()
    client.force_login(owner)
    return b"cookie", f"sessionid={client.cookies['sessionid'].value}".encode()


@pytest.fixture
def token(owner: User) -> tuple[bytes, bytes]:
    return b"authorization", f"Token {AuthToken.objects.create(owner)[1]}".encode()


async def test_a_browser_on_our_page_is_its_user(cookie: tuple[bytes, bytes]) -> None:
    assert await user_at([cookie, (b"origin", OURS)]) == "charlie"


async def test_a_browser_on_a_foreign_page_is_refused(cookie: tuple[bytes, bytes]) -> None:
    assert await user_at([cookie, (b"origin", FOREIGN)]) is None


@pytest.mark.parametrize(
    "origin", [b"null", b"file://", b"http://", b"http://[", b"http://localhost.elsewhere.example", b"\xff", b""]
)
async def test_a_cookie_with_an_origin_that_means_nothing_is_refused(
    cookie: tuple[bytes, bytes], origin: bytes
) -> None:
    assert await user_at([cookie, (b"origin", origin)]) is None


async def test_a_cookie_without_an_origin_is_refused(cookie: tuple[bytes, bytes]) -> None:
    assert await user_at([cookie]) is None


async def test_nobody_without_an_origin_is_refused() -> None:
    assert await user_at([]) is None


async def test_a_browser_that_is_not_signed_in_reaches_the_consumer_as_nobody(db: None) -> None:
    assert await user_at([(b"origin", OURS)]) == ""


async def test_a_program_with_a_token_needs_no_origin(token: tuple[bytes, bytes]) -> None:
    assert await user_at([token]) == "charlie"


async def test_a_program_with_a_password_needs_no_origin(owner: User) -> None:
    assert await user_at([(b"authorization", basic("charlie", "a long password"))]) == "charlie"


async def test_a_program_may_send_our_origin(token: tuple[bytes, bytes]) -> None:
    assert await user_at([token, (b"origin", OURS)]) == "charlie"


async def test_a_foreign_origin_is_refused_even_with_a_token(token: tuple[bytes, bytes]) -> None:
    assert await user_at([token, (b"origin", FOREIGN)]) is None


@pytest.mark.parametrize("header", [b"Token wrong", b"Token \xff", b"Basic wrong", b"Bearer x", b""])
async def test_wrong_credentials_are_refused_whatever_the_cookie(cookie: tuple[bytes, bytes], header: bytes) -> None:
    assert await user_at([(b"authorization", header), cookie, (b"origin", OURS)]) is None


async def test_the_header_goes_before_the_cookie(cookie: tuple[bytes, bytes], outsider: User) -> None:
    credentials = (b"authorization", basic("oscar", "a long password"))
    assert await user_at([credentials, cookie, (b"origin", OURS)]) == "oscar"


async def test_any_host_allowed_still_means_only_pages_of_the_host_asked(
    cookie: tuple[bytes, bytes], settings: LazySettings
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    host = (b"host", b"lora.example:5000")
    assert await user_at([cookie, host, (b"origin", b"http://lora.example:5000")]) == "charlie"
    assert await user_at([cookie, host, (b"origin", FOREIGN)]) is None
    assert await user_at([cookie, host]) is None


async def test_trusted_origins_and_ipv6_are_valid(cookie: tuple[bytes, bytes], settings: LazySettings) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://proxy.example"]
    assert await user_at([cookie, (b"origin", b"https://proxy.example")]) == "charlie"
    settings.ALLOWED_HOSTS = ["[::1]"]
    assert await user_at([cookie, (b"origin", b"http://[::1]:5000")]) == "charlie"
