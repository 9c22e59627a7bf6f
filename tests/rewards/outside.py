"""Things worth reaching for reward code, open to every user of the machine: only the sandbox stands before them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CANARY = "secret-in-the-environment"


@dataclass(frozen=True)
class Outside:
    folder: Path
    listener: socket.socket
    datagrams: socket.socket

    def filled(self, code: str, parent: int) -> str:
        """The code of an attack, aimed at these things."""
        names = {
            "file": self.folder / "secret",
            "folder": self.folder,
            "port": self.listener.getsockname()[1],
            "datagrams": self.datagrams.getsockname()[1],
            "socket": self.folder / "socket",
            "parent": parent,
        }
        for name, value in names.items():
            code = code.replace("{" + name + "}", str(value))
        return code

    def reached(self) -> str:
        """What somebody did to them, in words."""
        found = {file.name for file in self.folder.iterdir()} ^ {"secret", "victim", "socket"}
        if found:
            return f"files came or went: {', '.join(sorted(found))}"
        if (self.folder / "victim").read_text() != "still here":
            return "a file was changed"
        if arrived(self.listener.accept) or arrived(lambda: self.datagrams.recv(16)):
            return "something came over the network"
        return ""


def arrived(receive: Callable[[], object]) -> bool:
    try:
        receive()
    except TimeoutError:
        return False
    return True


@contextmanager
def things_outside(folder: Path) -> Iterator[Outside]:
    for parent in (folder, *folder.parents[:2]):
        if parent.owner() == folder.owner():
            parent.chmod(parent.stat().st_mode | 0o755)
    folder.chmod(0o777)
    (folder / "secret").write_text("secret-in-a-file")
    (folder / "victim").write_text("still here")
    (folder / "victim").chmod(0o666)
    before = os.environ.get("LORACRAFT_CANARY")
    os.environ["LORACRAFT_CANARY"] = CANARY
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_UNIX) as unix,
        ):
            unix.bind(str(folder / "socket"))
            (folder / "socket").chmod(0o777)
            unix.listen()
            datagrams.bind(("127.0.0.1", 0))
            for incoming in (listener, datagrams):
                incoming.settimeout(0.02)
            yield Outside(folder, listener, datagrams)
    finally:
        if before is None:
            del os.environ["LORACRAFT_CANARY"]
        else:
            os.environ["LORACRAFT_CANARY"] = before
