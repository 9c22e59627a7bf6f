"""Who is at the other end of a WebSocket: `scope["user"]`, and whether the page that opened it is one of ours.

A browser sends its session cookie with every handshake, also with one that a foreign page starts: without a valid
Origin it is refused. A program sends an Authorization header, which no page can add, and usually no Origin: it is let
in. A refusal is a 403 before any consumer runs.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import validate_host

from accounts.authentication import user_of_header

Scope = dict[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]


def signed_in(application: Application) -> Application:
    by_cookie = AuthMiddlewareStack(application)

    async def authenticate(scope: Scope, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        credentials = headers.get(b"authorization")
        if not origin_allowed(headers, needed=credentials is None):
            await deny(scope, receive, send)
        elif credentials is None:
            await by_cookie(scope, receive, send)
        elif user := await database_sync_to_async(user_of_header)(credentials):
            await application({**scope, "user": user}, receive, send)
        else:
            await deny(scope, receive, send)

    return authenticate


async def deny(scope: Scope, receive: Any, send: Any) -> None:
    await WebsocketDenier()(scope, receive, send)


def origin_allowed(headers: dict[bytes, bytes], *, needed: bool) -> bool:
    origin = headers.get(b"origin", b"").decode("latin1").lower()
    if not origin:
        return not needed
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        page = urlsplit(origin)
        host = page.hostname
    except ValueError:
        return False
    if page.scheme not in ("http", "https") or not host:
        return False
    # `*` lets a server answer under any name; it must not let any page open a socket with somebody's cookie.
    named_hosts = [name for name in settings.ALLOWED_HOSTS if name != "*"]
    same_host = "*" in settings.ALLOWED_HOSTS and page.netloc == headers.get(b"host", b"").decode("latin1").lower()
    return same_host or validate_host(f"[{host}]" if ":" in host else host, named_hosts)
