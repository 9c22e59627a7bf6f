"""Signs of life of a run, in a file that whoever watches it can read while the interpreter here is busy or stuck.

The content names what the run is doing, the time of the last change is the last sign. A sign costs no room on the disk.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

FILE = "beat"
LOADING, GENERATING, REWARDING, TRAINING, SAVING = "loading", "generating", "rewarding", "training", "saving"
# seconds
EVERY = 1.0


class Pulse:
    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o644)
        self._last = -math.inf
        self.doing = ""
        self.enter(LOADING)

    def enter(self, doing: str) -> None:
        if doing != self.doing:
            self.doing, self._last = doing, -math.inf
            # A full disk is told by whoever writes something that counts.
            with contextlib.suppress(OSError):
                os.pwrite(self._file, doing.ljust(16).encode(), 0)
        self.beat()

    def beat(self) -> None:
        """May be called once a token or a layer."""
        now = time.monotonic()
        if now - self._last >= EVERY:
            self._last = now
            os.utime(self._file)

    @contextlib.contextmanager
    def during(self, doing: str) -> Iterator[None]:
        before = self.doing
        self.enter(doing)
        try:
            yield
        finally:
            self.enter(before)

    def close(self) -> None:
        os.close(self._file)


def last_beat(folder: Path) -> tuple[str, int] | None:
    """What the run was doing and when it said so last (ns); None before its first sign."""
    file = folder / FILE
    try:
        return file.read_text().strip(), file.stat().st_mtime_ns
    except OSError:
        return None
