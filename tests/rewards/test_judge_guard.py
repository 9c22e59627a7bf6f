"""Which addresses are read, refused and asked, form by form."""

import ipaddress
import socket
from typing import Any

import pytest

from accounts import addresses
from accounts.addresses import Address, WrongAddress
from rewards.judging import guard
from rewards.judging.guard import Blocked, Trusted, Unknown

PUBLIC = "93.184.215.14"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What each name leads to; a number leads to itself, as with the system's own look-up."""
    known: dict[str, list[str]] = {}

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        try:
            numbers = known.get(host) or [str(ipaddress.ip_address(host))]
        except ValueError:
            raise socket.gaierror(-2, "Name or service not known") from None
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in numbers]

    monkeypatch.setattr(guard.socket, "getaddrinfo", look_up)
    return known


# Reading


@pytest.mark.parametrize(
    ("text", "host", "port", "origin"),
    [
        ("https://api.example.org/v1/", "api.example.org", 443, "https://api.example.org"),
        (" HTTPS://API.Example.ORG:443/v1 ", "api.example.org", 443, "https://api.example.org"),
        ("https://example.org:8443", "example.org", 8443, "https://example.org:8443"),
        ("http://127.0.0.1:11434/v1", "127.0.0.1", 11434, "http://127.0.0.1:11434"),
        ("http://example.org:443", "example.org", 443, "http://example.org:443"),
        ("http://[::1]:8000/v1", "::1", 8000, "http://[::1]:8000"),
        ("http://[0:0:0:0:0:0:0:1]", "::1", 80, "http://[::1]"),
        ("http://ollama:11434/v1", "ollama", 11434, "http://ollama:11434"),
        ("https://xn--bcher-kva.example", "xn--bcher-kva.example", 443, "https://xn--bcher-kva.example"),
    ],
)
def test_an_address_is_read_in_one_way(text: str, host: str, port: int, origin: str) -> None:
    found = addresses.parse(text)
    assert (found.host, found.port, found.origin) == (host, port, origin)
    assert addresses.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "//example.org",
        "https://",
        "https:///v1",
        "https:example.org",
        "ftp://example.org",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "javascript:alert(1)",
        "https://me@example.org",
        "https://me:pass@example.org",
        "https://example.org@127.0.0.1",
        "https://example.org%40127.0.0.1",
        "https://example.org\\@127.0.0.1",
        "https://example.org#@127.0.0.1",
        "https://example.org?key=1",
        "https://exa mple.org",
        "https://example.org/a b",
        "https://example.org\r\nHost: inside",
        "https://example.org/\r\nX: y",
        "https://bücher.example",
        "https://example。org",
        "https://①27.0.0.1",
        "https://example.org.",
        "https://.example.org",
        "https://-example.org",
        "https://example..org",
        "https://" + "a" * 64 + ".org",
        "https://example.org:0",
        "https://example.org:65536",
        "https://example.org:80:80",
        "https://example.org:",
        "https://[::1",
        "https://::1",
        "https://[::1%25eth0]",
        "https://[v1.x]",
        "https://" + "a." * 200 + "org",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(WrongAddress) as caught:
        addresses.parse(text)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f000001", "0x7f.1", "127.1", "127.0.1", "0177.0.0.1", "127.0.0.01", "0x7f.0.0.1", "1.2.3.4.5",
        "256.1.1.1", "0", "0x",
    ],
)  # fmt: skip
def test_numbers_in_disguise_are_refused(host: str) -> None:
    with pytest.raises(WrongAddress, match="four whole numbers"):
        addresses.parse(f"https://{host}/v1")


# Checking

NOT_PUBLIC = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",  # noqa: S104
    "169.254.0.1", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "192.0.2.1", "224.0.0.1", "239.1.1.1",
    "240.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "100::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::7f00:1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a9fe:a9fe::", "2001:0:7f00:1::",
    "3fff::1", "5f00::1", "192.88.99.1",
]  # fmt: skip
ALLOWED = [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize("number", NOT_PUBLIC)
def test_no_name_and_no_number_leads_to_a_place_that_is_not_public(names: dict[str, list[str]], number: str) -> None:
    names["evil.example.org"] = [number]
    with pytest.raises(Blocked, match="not a public host"):
        guard.resolve(addresses.parse("https://evil.example.org"), Trusted())
    written = f"[{number}]" if ":" in number else number
    with pytest.raises(Blocked, match="not a public host"):
        guard.check(addresses.parse(f"https://{written}/v1"), Trusted())


@pytest.mark.parametrize("number", ALLOWED)
def test_public_hosts_are_asked_over_https(names: dict[str, list[str]], number: str) -> None:
    names["api.example.org"] = [number]
    assert guard.resolve(addresses.parse("https://api.example.org/v1"), Trusted()) == [number]


def test_one_private_number_among_public_ones_is_enough(names: dict[str, list[str]]) -> None:
    names["mixed.example.org"] = [PUBLIC, "10.0.0.1"]
    with pytest.raises(Blocked):
        guard.resolve(addresses.parse("https://mixed.example.org"), Trusted())


def test_a_public_host_is_not_asked_without_encryption(names: dict[str, list[str]]) -> None:
    names["api.example.org"] = [PUBLIC]
    with pytest.raises(Blocked, match="not encrypted: use https"):
        guard.resolve(addresses.parse("http://api.example.org"), Trusted())


def test_a_name_that_nobody_knows_is_said(names: dict[str, list[str]]) -> None:
    with pytest.raises(Unknown, match=r"nowhere\.example\.org was not found"):
        guard.resolve(addresses.parse("https://nowhere.example.org"), Trusted())


def test_a_name_without_any_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard.socket, "getaddrinfo", lambda *_, **__: [])
    with pytest.raises(Blocked):
        guard.resolve(addresses.parse("https://empty.example.org"), Trusted())


# What the administrator lists


@pytest.mark.parametrize(
    ("listed", "asked", "allowed"),
    [
        ("127.0.0.1:11434", "http://127.0.0.1:11434/v1", True),
        ("127.0.0.1:11434", "http://127.0.0.1:5432", False),
        ("127.0.0.1:11434", "http://127.0.0.2:11434", False),
        ("127.0.0.1", "http://127.0.0.1:5432", True),
        ("[::1]:8000", "http://[0::1]:8000", True),
        ("ollama:11434", "http://OLLAMA:11434", True),
        ("ollama:11434", "http://ollama.example.org:11434", False),
        ("localhost:11434", "http://127.0.0.1:11434", False),
    ],
)
def test_a_listed_host_is_asked_as_it_is_written(
    names: dict[str, list[str]], listed: str, asked: str, allowed: bool
) -> None:
    names["ollama"] = ["172.18.0.2"]
    address = addresses.parse(asked)
    if allowed:
        assert guard.resolve(address, guard.trusted([listed]))
    else:
        with pytest.raises(Blocked, match="LORACRAFT_JUDGE_HOSTS"):
            guard.check(address, guard.trusted([listed]))


@pytest.mark.parametrize("number", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "::", "224.0.0.1"])
def test_not_even_a_listed_name_leads_to_a_metadata_service(names: dict[str, list[str]], number: str) -> None:
    names["judge.internal"] = [number]
    with pytest.raises(Blocked, match="never asked"):
        guard.resolve(addresses.parse("http://judge.internal:8000"), guard.trusted(["judge.internal:8000"]))


@pytest.mark.parametrize("word", ["http://127.0.0.1", "127.1", "a b", "host:99999", "::1", "*", "10.0.0.0/8"])
def test_a_setting_that_is_no_host_is_explained(word: str) -> None:
    with pytest.raises(ValueError, match="LORACRAFT_JUDGE_HOSTS holds"):
        guard.trusted([word])


def test_another_user_of_the_guard_names_its_own_setting() -> None:
    with pytest.raises(Blocked, match="LORACRAFT_WEBHOOK_HOSTS"):
        guard.check(Address("http", "10.0.0.1", 80), guard.trusted([], "LORACRAFT_WEBHOOK_HOSTS"))
