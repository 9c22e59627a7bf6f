"""What pages show of rows: shortened cells, and mapped rows as the model and the reward get them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from accounts.models import AnyUser, TeamQuerySet
from datasets_app import paths, tables
from datasets_app.limits import DETECTION_ROWS, PREVIEW_TEXT
from datasets_app.models import DatasetVersion, PromptTemplate
from datasets_app.rows import Row, Section, as_row, missing, reading

SHORT = 160


@dataclass(frozen=True)
class Cell:
    text: str
    left_out: int = 0

    @property
    def short(self) -> str:
        return " ".join(self.text[: SHORT * 2].split())[:SHORT]

    @property
    def is_long(self) -> bool:
        return len(self.text) > SHORT or "\n" in self.text.strip()


def cell(value: Any) -> Cell:
    text = tables.text(value)
    return Cell(text[:PREVIEW_TEXT], max(len(text) - PREVIEW_TEXT, 0))


def table(version: DatasetVersion, offset: int, limit: int) -> list[tuple[int, list[Cell]]]:
    names = [column["name"] for column in version.columns]
    rows = tables.page(version.path, offset, limit)
    return [(number, [cell(row[name]) for name in names]) for number, row in enumerate(rows, offset)]


@dataclass(frozen=True)
class Mapped:
    row: Row
    # Why the row is left out, if it is.
    missing: str
    # What the mapping adds for rewards.
    extra: list[tuple[str, str]]


def mapped(
    version: DatasetVersion, section: Section, count: int = 3, sample: list[dict[str, Any]] | None = None
) -> list[Mapped]:
    """The first `count` rows that can be used; if the first rows hold none, those that can't, with the reason."""
    good: list[Mapped] = []
    bad: list[Mapped] = []
    how = reading(version, section)
    for number, columns in enumerate(sample or tables.page(version.path, 0, DETECTION_ROWS)):
        row = as_row(number, columns, how)
        reason = missing(row.instruction, row.response, how.rule)
        extra = [(name, tables.text(row.columns[name])) for name in how.extra]
        (bad if reason else good).append(Mapped(row, reason, extra))
        if len(good) == count:
            break
    return (good or bad)[:count]


def fitting(version: DatasetVersion, section: Section, sample: list[dict[str, Any]]) -> float:
    """Share of the sample's rows that have question, answer and final answer."""
    how = reading(version, section)
    good = sum(not missing(how.question(row), how.answer(row), how.rule) for row in sample)
    return good / len(sample) if sample else 0.0


def choices(version: DatasetVersion, sample: list[dict[str, Any]] | None = None) -> list[str]:
    """What can be chosen as question, answer or input: the columns and the places inside nested ones."""
    return paths.offered(version.columns, sample or tables.page(version.path, 0, DETECTION_ROWS))


def templates_for(user: AnyUser) -> TeamQuerySet:
    """The shipped prompt templates and those of the user's teams."""
    own = PromptTemplate.objects.of_user(user).values("pk")
    return PromptTemplate.objects.filter(Q(team=None) | Q(pk__in=own))
