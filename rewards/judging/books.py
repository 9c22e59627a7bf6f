"""What judges have cost, in a file: day by day, so that pages can show it and every process knows of the others.

The ledger of one process (ledger.py) ends a run that spends too much; this is what is left of it for people to read.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rewards.judging.surroundings import machine

logger = logging.getLogger(__name__)

FILE = "judge-books.sqlite3"
BUSY_SECONDS = 2.0
DAYS_KEPT = 400
SESSION, PAGE = "session", "page"
COUNTS = ("calls", "tokens", "verdicts", "remembered")
TABLE = """
CREATE TABLE IF NOT EXISTS entry
(team TEXT, day TEXT, endpoint TEXT, model TEXT, of TEXT, calls INTEGER, tokens INTEGER, verdicts INTEGER,
remembered INTEGER, PRIMARY KEY (team, day, endpoint, model, of)) WITHOUT ROWID
"""
ADD = """
INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET calls = calls + excluded.calls,
tokens = tokens + excluded.tokens, verdicts = verdicts + excluded.verdicts,
remembered = remembered + excluded.remembered
"""


@dataclass(frozen=True)
class Entry:
    """`of`: what it was for, SESSION, or PAGE for pages, trials and examinations. `verdicts`: how many were wanted, of
    which `remembered` cost nothing."""

    team: str
    endpoint: str
    model: str
    of: str
    calls: int = 0
    tokens: int = 0
    verdicts: int = 0
    remembered: int = 0

    @property
    def hit_rate(self) -> float | None:
        return self.remembered / self.verdicts if self.verdicts else None


def beside_memory() -> Path | None:
    """The file of this machine, None where verdicts are kept in no file either."""
    memory = machine.memory()
    return memory.with_name(FILE) if memory else None


def today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def add(file: Path | None, entry: Entry) -> None:
    """A file that can't be used is said in the log: what a judge costs must not end what it is asked for."""
    if file is None:
        return
    counts = [getattr(entry, name) for name in COUNTS]
    row = [entry.team, today(), entry.endpoint, entry.model, entry.of, *counts]
    try:
        with opened(file) as database:
            database.execute(ADD, row)
            database.execute("DELETE FROM entry WHERE day < date('now', ?)", [f"-{DAYS_KEPT} days"])
    except (sqlite3.Error, OSError) as error:
        logger.warning("What a judge costs can't be kept in %s: %s", file, error)


def read(file: Path | None, team: str, since: str) -> list[Entry]:
    """The sums of a team from the day `since` on, the dearest first."""
    if file is None or not file.exists():
        return []
    sums = ", ".join(f"sum({name})" for name in COUNTS)
    query = f"SELECT team, endpoint, model, of, {sums} FROM entry WHERE team = ? AND day >= ? GROUP BY 1, 2, 3, 4"  # noqa: S608
    try:
        with opened(file) as database:
            found = [Entry(*row) for row in database.execute(query, [team, since])]
    except (sqlite3.Error, OSError) as error:
        logger.warning("What judges cost can't be read from %s: %s", file, error)
        return []
    return sorted(found, key=lambda entry: (-entry.tokens, entry.endpoint, entry.model, entry.of))


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, timeout=BUSY_SECONDS)) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(TABLE)
        yield database
