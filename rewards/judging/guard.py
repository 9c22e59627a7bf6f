"""Which hosts this server may be made to ask by an address that a user wrote.

Nothing here is about judges alone: whatever posts to a user's address (a webhook) is guarded by the same three steps.
`check` reads the address, `resolve` looks every number of the host up once, and the caller connects to those numbers
and not to the name, because a second look-up could give another answer.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from accounts.addresses import Address, WrongAddress, host_and_port

Number = ipaddress.IPv4Address | ipaddress.IPv6Address
# IANA's special registries, where older Pythons take them for public. A cloud has its metadata in the first.
SPECIAL = [
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20", "5f00::/16", "fec0::/10")
]
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Blocked(Exception):
    """The address may not be asked. The message says why and who can change it."""


class Unknown(Exception):
    """The name has no number: a typing mistake, or a network that is away."""


@dataclass(frozen=True)
class Trusted:
    """The hosts that the administrator lists, as host or host:port; `setting` is where."""

    places: frozenset[tuple[str, int | None]] = frozenset()
    setting: str = "LORACRAFT_JUDGE_HOSTS"

    def holds(self, address: Address) -> bool:
        return bool(self.places & {(address.host, None), (address.host, address.port)})


def trusted(words: Iterable[str], setting: str = "LORACRAFT_JUDGE_HOSTS") -> Trusted:
    """Raises ValueError with a sentence about the first word that is no host."""
    places = set()
    for word in words:
        try:
            places.add(host_and_port(word))
        except WrongAddress as error:
            raise ValueError(f"{setting} holds “{word}”, which is neither host nor host:port. {error}") from None
    return Trusted(frozenset(places), setting)


def check(address: Address, trusted: Trusted) -> None:
    """What can be said without a network. Raises Blocked."""
    if trusted.holds(address):
        return
    if address.scheme != "https":
        raise Blocked(f"{address.origin} is not encrypted: use https, or {_ask(address, trusted)}.")
    try:
        number = ipaddress.ip_address(address.host)
    except ValueError:
        return
    _require_public([number], address, trusted)


def resolve(address: Address, trusted: Trusted) -> list[str]:
    """The numbers to connect to, in the system's order. Raises Blocked, or Unknown."""
    check(address, trusted)
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unknown(f"{address.host} was not found: look for a typing mistake, or try again later.") from None
    numbers = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    _require_public([ipaddress.ip_address(number) for number in numbers], address, trusted)
    return numbers


def _require_public(numbers: list[Number], address: Address, trusted: Trusted) -> None:
    listed = trusted.holds(address)
    if not numbers or not all(is_ordinary(number) if listed else is_public(number) for number in numbers):
        raise Blocked(
            f"{address.place} is listed in {trusted.setting}, but now leads to an address that is never asked."
            if listed
            else f"{address.place} is not a public host: {_ask(address, trusted)}."
        )


def is_public(number: Number) -> bool:
    inner = _embedded(number)
    if inner is not None:
        return is_public(inner)
    special = number.is_reserved or any(number in network for network in SPECIAL)
    return is_ordinary(number) and number.is_global and not special


def is_ordinary(number: Number) -> bool:
    """Not even a listed name may lead to these: among the link-local ones are the metadata services of clouds."""
    inner = _embedded(number)
    if inner is not None:
        return is_ordinary(inner)
    return not (number.is_link_local or number.is_multicast or number.is_unspecified)


def _embedded(number: Number) -> ipaddress.IPv4Address | None:
    """The IPv4 address that this one stands for, by mapping, 6to4 or NAT64."""
    if isinstance(number, ipaddress.IPv4Address):
        return None
    if number in NAT64:
        return ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)
    return number.ipv4_mapped or number.sixtofour


def _ask(address: Address, trusted: Trusted) -> str:
    return f"the administrator lists {address.place} in {trusted.setting} to allow it"
