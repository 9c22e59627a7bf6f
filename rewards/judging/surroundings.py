"""What judges need to know of the place they run in: whose keys they are asked with, whom they may ask, where they
remember. The web application says it; a program on its own trusts no host, has no key and remembers in memory only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path

from rewards.judging.guard import Trusted

# {origin: key} as JSON, from a supervisor to its trainer.
VARIABLE = "LORACRAFT_JUDGE_KEYS"


def no_key(origin: str) -> str:
    return ""


@dataclass(frozen=True)
class Payer:
    """`key_for` gives the key of an origin such as https://api.example.org, "" if there is none, and may raise
    RewardError. `scope` is what a budget is counted for; "" is this process. `hurried`: somebody waits for a page.
    `team`: whose books it is written in; "" is nobody's."""

    key_for: Callable[[str], str] = no_key
    scope: str = ""
    hurried: bool = False
    team: str = ""


@dataclass
class Machine:
    trusted: Callable[[], Trusted] = Trusted
    memory: Callable[[], Path | None] = lambda: None


machine = Machine()
_of_process = Payer()
_find_payer: ContextVar[Callable[[], Payer] | None] = ContextVar("find_payer", default=None)


def payer() -> Payer:
    """Raises RewardError if whoever asks may not spend anything."""
    find = _find_payer.get()
    return find() if find else _of_process


@contextmanager
def paid_by(find: Callable[[], Payer]) -> Iterator[None]:
    """Judges that are asked within the block get the keys of this payer, found when the first is asked, and spend its
    budget."""
    before = _find_payer.set(find)
    try:
        yield
    finally:
        _find_payer.reset(before)


def take_keys() -> None:
    """For a trainer, before anything else: the keys leave the environment, which everything it starts would inherit."""
    global _of_process
    keys = json.loads(os.environ.pop(VARIABLE, "{}"))
    _of_process = Payer(lambda origin: str(keys.get(origin, "")))


def work_for(team: str) -> None:
    """For a trainer, as soon as it knows: what its judges cost is written in this team's books."""
    global _of_process
    _of_process = replace(_of_process, team=team)
