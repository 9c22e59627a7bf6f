"""How far an import is, said while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

Tell = Callable[[int, int, str], None]
TELL_SECONDS = 0.25


class Meter:
    """`tell(rows, bytes, message)` is called at most four times a second, and only while something really moves."""

    def __init__(self, tell: Tell | None = None) -> None:
        self.tell = tell
        self.rows = 0
        self.bytes = self.total = 0
        self.message = ""
        self.told = 0.0

    def say(self, message: str) -> None:
        self.message, self.told = message, 0.0
        self.tick()

    def tick(self) -> None:
        now = time.monotonic()
        if self.tell and now - self.told >= TELL_SECONDS:
            self.told = now
            self.tell(self.rows, self.bytes, self.message)
