"""What the judges of a reward cost a team, and what is left of their budgets, from the books of all processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from accounts.models import Team
from rewards import gate
from rewards.composition import Composition
from rewards.functions.judge import JudgeModel
from rewards.judging import books
from rewards.judging.books import Entry

DAYS = 30


@dataclass(frozen=True)
class Cost:
    """`today` is what pages, trials and examinations spent, for which the budget counts by the day; `sessions` and
    `recent` are the sums of the last DAYS days, the latter of everything."""

    part: str
    asked: JudgeModel
    today: Entry
    sessions: Entry
    recent: Entry

    @property
    def calls_left(self) -> int:
        return max(self.asked.most_calls - self.today.calls, 0)

    @property
    def tokens_left(self) -> int:
        return max(self.asked.most_tokens - self.today.tokens, 0)


def of(team: Team | None, composition: Composition) -> list[Cost]:
    """One for each part that asks a judge, in one look at the books for each span of time."""
    parts = gate.judges(composition)
    if team is None or not parts:
        return []
    file = books.beside_memory()
    today = books.read(file, str(team.pk), books.today())
    recent = books.read(file, str(team.pk), f"{datetime.now(UTC) - timedelta(days=DAYS):%Y-%m-%d}")
    return [
        Cost(
            part.name,
            part.parsed,
            total(today, part.parsed, books.PAGE),
            total(recent, part.parsed, books.SESSION),
            total(recent, part.parsed, books.PAGE, books.SESSION),
        )
        for part in parts
    ]


def total(entries: Iterable[Entry], asked: JudgeModel, *of: str) -> Entry:
    found = [each for each in entries if (each.endpoint, each.model) == (asked.endpoint, asked.model) and each.of in of]
    sums = {name: sum(getattr(each, name) for each in found) for name in books.COUNTS}
    return Entry("", asked.endpoint, asked.model, "", **sums)
