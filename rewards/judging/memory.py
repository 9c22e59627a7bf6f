"""Verdicts by a hash of everything that was sent for them: the same question is paid for once."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

MOST_IN_MEMORY = 20_000
MOST_IN_FILE = 200_000
PIECE = 500
BUSY_SECONDS = 2.0
TABLE = """
CREATE TABLE IF NOT EXISTS opinion
(id INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT UNIQUE NOT NULL, points REAL NOT NULL, reason TEXT NOT NULL)
"""

_asked_anew: ContextVar[bool] = ContextVar("asked_anew", default=False)


@dataclass(frozen=True)
class Opinion:
    """`points` are on the rubric's own scale."""

    points: float
    reason: str


@contextmanager
def forgotten() -> Iterator[None]:
    """Within the block every judge is asked, whatever is remembered: to see whether it says the same thing twice."""
    before = _asked_anew.set(True)
    try:
        yield
    finally:
        _asked_anew.reset(before)


class Memory:
    """In memory, and in a file where there is one. A file that can't be used is said in the log and done without."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, Opinion] = OrderedDict()

    def find(self, hashes: Iterable[str], file: Path | None) -> dict[str, Opinion]:
        if _asked_anew.get():
            return {}
        wanted = list(dict.fromkeys(hashes))
        with self._lock:
            found = {hash: self._recent[hash] for hash in wanted if hash in self._recent}
        missing = [hash for hash in wanted if hash not in found]
        if file is not None and missing:
            read = _read(file, missing)
            self._add(read)
            found |= read
        return found

    def keep(self, opinions: Mapping[str, Opinion], file: Path | None) -> None:
        self._add(opinions)
        if file is not None and opinions:
            _write(file, opinions)

    def _add(self, opinions: Mapping[str, Opinion]) -> None:
        with self._lock:
            for hash, opinion in opinions.items():
                self._recent[hash] = opinion
                self._recent.move_to_end(hash)
            while len(self._recent) > MOST_IN_MEMORY:
                self._recent.popitem(last=False)


def _read(file: Path, hashes: list[str]) -> dict[str, Opinion]:
    found: dict[str, Opinion] = {}
    try:
        with closing(_open(file)) as database:
            for start in range(0, len(hashes), PIECE):
                piece = hashes[start : start + PIECE]
                marks = ", ".join("?" * len(piece))
                rows = database.execute(f"SELECT hash, points, reason FROM opinion WHERE hash IN ({marks})", piece)  # noqa: S608
                found |= {hash: Opinion(points, reason) for hash, points, reason in rows}
    except (sqlite3.Error, OSError) as error:
        logger.warning("Remembered verdicts of judges can't be read from %s: %s", file, error)
    return found


def _write(file: Path, opinions: Mapping[str, Opinion]) -> None:
    rows = [(hash, opinion.points, opinion.reason) for hash, opinion in opinions.items()]
    try:
        with closing(_open(file)) as database, database:
            database.executemany("INSERT OR REPLACE INTO opinion (hash, points, reason) VALUES (?, ?, ?)", rows)
            database.execute("DELETE FROM opinion WHERE id <= (SELECT max(id) FROM opinion) - ?", [MOST_IN_FILE])
    except (sqlite3.Error, OSError) as error:
        logger.warning("Verdicts of judges can't be kept in %s: %s", file, error)


def _open(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=BUSY_SECONDS)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(TABLE)
    return database


MEMORY = Memory()
