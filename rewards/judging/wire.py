"""One POST to a guarded address: no redirect, no proxy, no more bytes and no more seconds than allowed."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import httpcore

from accounts.addresses import Address
from rewards.judging import guard

LONGEST_REPLY = 1 << 20
# Of an address with many numbers, as many are tried.
MOST_NUMBERS = 4

_end: ContextVar[float] = ContextVar("end")


class Unanswered(Exception):
    """No reply came. The message goes on after the host's name: "did not answer within 60 s"."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """Up to `connections` connections to one host, kept open between calls. Safe for several threads."""

    def __init__(self, address: Address, trusted: guard.Trusted, connections: int) -> None:
        self.address = address
        self.pool = httpcore.ConnectionPool(
            ssl_context=certificates(),
            max_connections=connections,
            max_keepalive_connections=connections,
            network_backend=Guarded(address, trusted),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.pool.close()

    def post(self, path: str, headers: dict[str, str], body: bytes, seconds: float) -> Reply:
        """Raises Unanswered, guard.Blocked and guard.Unknown."""
        given = [("Host", self.address.place), ("Accept-Encoding", "identity"), *headers.items()]
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
        began = _end.set(time.monotonic() + seconds)
        try:
            with self.pool.stream(
                "POST", f"{self.address.origin}{path}", headers=given, content=body, extensions={"timeout": timeouts}
            ) as response:
                return Reply(response.status, _texts(response.headers), _bounded(response.iter_stream()))
        except httpcore.TimeoutException:
            raise Unanswered(f"did not answer within {seconds:g} s") from None
        except (httpcore.NetworkError, ssl.SSLError):
            raise Unanswered("can't be reached, or broke the connection off") from None
        except httpcore.ProtocolError:
            raise Unanswered("sent something that is no whole HTTP reply") from None
        finally:
            _end.reset(began)


def _texts(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _bounded(pieces: Iterable[bytes]) -> bytes:
    body = b""
    for piece in pieces:
        body += piece
        if len(body) > LONGEST_REPLY:
            raise Unanswered(f"sent more than {LONGEST_REPLY >> 20} MiB")
    return body


@cache
def certificates() -> ssl.SSLContext:
    """The system's authorities and those that certifi brings: read once."""
    return httpcore.default_ssl_context()


class Guarded(httpcore.NetworkBackend):
    """Connects to the numbers that the guard has just checked, and to nothing else."""

    def __init__(self, address: Address, trusted: guard.Trusted) -> None:
        self.address, self.trusted = address, trusted
        self.plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        numbers = guard.resolve(self.address, self.trusted)[:MOST_NUMBERS]
        for number in numbers:
            try:
                return Timed(self.plain.connect_tcp(number, self.address.port, _left(timeout)))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == numbers[-1]:
                    raise
        raise httpcore.ConnectError

    def sleep(self, seconds: float) -> None:
        self.plain.sleep(seconds)


class Timed(httpcore.NetworkStream):
    """A server that sends one byte a second is cut off at the end of the whole call, too."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self.inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, _left(timeout))

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return Timed(self.inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)


def _left(timeout: float | None) -> float:
    left = _end.get() - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left if timeout is None else min(left, timeout)
