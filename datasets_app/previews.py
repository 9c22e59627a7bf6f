"""What pages show of rows: shortened cells, and mapped rows as the model and the reward get them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from accounts.models import AnyUser, TeamQuerySet
from datasets_app import tables
from datasets_app.limits import DETECTION_ROWS, PREVIEW_TEXT
from datasets_app.models import DatasetVersion, PromptTemplate
from datasets_app.rows import Row, Section, as_row, missing
from datasets_app.rules import Rule

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


def mapped(version: DatasetVersion, section: Section, rule: Rule, count: int = 3) -> list[Mapped]:
    """The first `count` rows that can be used; if the first rows hold none, those that can't, with the reason."""
    good: list[Mapped] = []
    bad: list[Mapped] = []
    for number, columns in enumerate(tables.page(version.path, 0, DETECTION_ROWS)):
        row = as_row(number, columns, section, rule)
        reason = missing(row.instruction, row.response, rule)
        (bad if reason else good).append(Mapped(row, reason))
        if len(good) == count:
            break
    return (good or bad)[:count]


def plain_rows(version: DatasetVersion, count: int) -> list[dict[str, Any]]:
    """Rows for the API, with nested columns as JSON again."""
    nested = [column["name"] for column in version.columns if column["type"] == "json"]
    rows = tables.page(version.path, 0, count)
    for row in rows:
        for name in nested:
            row[name] = None if row[name] is None else json.loads(row[name])
    return rows


def templates_for(user: AnyUser) -> TeamQuerySet:
    """The shipped prompt templates and those of the user's teams."""
    own = PromptTemplate.objects.of_user(user).values("pk")
    return PromptTemplate.objects.filter(Q(team=None) | Q(pk__in=own))
