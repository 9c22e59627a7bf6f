"""How an http address is read: one way for whatever keeps a key by it, checks it, or connects to it.

Two readings of one address are how a key reaches a host that nobody checked. So only plain forms are accepted.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

PORTS = {"https": 443, "http": 80}
SHAPE = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<place>[^/?#\\\s]+)(?P<path>/[A-Za-z0-9._~%:+/-]*)?", re.ASCII
)
PLACE = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
HOST = re.compile(rf"(?:{LABEL}\.)*{LABEL}")
# Resolvers read 127.1, 0x7f000001 and 2130706433 as 127.0.0.1.
NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
LONGEST = 300


class WrongAddress(ValueError):
    """The message is a sentence for whoever wrote the address. It repeats nothing of it."""


@dataclass(frozen=True)
class Address:
    """`host` is in lower case and without brackets; `path` has no slash at its end."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def place(self) -> str:
        """Host, and the port if it is not the usual one: as in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.place}"

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"


def parse(text: str) -> Address:
    """Raises WrongAddress."""
    found = SHAPE.fullmatch(text.strip())
    if found is None or len(text) > LONGEST:
        raise WrongAddress("Write it as https://host/path, without spaces, “?”, “#” and special characters.")
    scheme = found["scheme"].lower()
    if scheme not in PORTS:
        raise WrongAddress("An address starts with https:// or http://.")
    if "@" in found["place"]:
        raise WrongAddress("Leave name and password out of the address: a key is saved on the team's page.")
    host, port = host_and_port(found["place"])
    return Address(scheme, host, port or PORTS[scheme], (found["path"] or "").rstrip("/"))


def host_and_port(text: str) -> tuple[str, int | None]:
    """Raises WrongAddress."""
    found = PLACE.fullmatch(text)
    if found is None:
        raise WrongAddress("This is no host, or no port.")
    port = int(found["port"]) if found["port"] else None
    if port is not None and not 1 <= port <= 65_535:
        raise WrongAddress("A port is a number from 1 to 65535.")
    return _version_6(found["six"]) if found["six"] else _host(found["name"].lower()), port


def _version_6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise WrongAddress("What stands in brackets is no IPv6 address.") from None


def _host(text: str) -> str:
    if len(text) > 253 or not HOST.fullmatch(text):
        raise WrongAddress("This is no host name. Write an international one in its xn-- form.")
    if NUMBER.fullmatch(text.rpartition(".")[2]):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise WrongAddress("Write a numeric address as four whole numbers, such as 192.0.2.1.") from None
    return text
