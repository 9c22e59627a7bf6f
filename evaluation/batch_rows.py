"""What is asked of the rows of a batch: which are shown, in which order, and what they come to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Count, F, Q, QuerySet, Sum
from django.db.models.expressions import OrderBy

from evaluation.choices import RowStatus
from evaluation.models import Batch, BatchRow
from evaluation.statistics import Z, wilson

LONGEST_SEARCH = 200
FILTERS = {
    "": ("All", Q()),
    "right": ("Right", Q(right=True)),
    "wrong": ("Wrong", Q(right=False)),
    "errors": ("Errors", Q(status=RowStatus.FAILED) | Q(unjudged=True)),
    "truncated": ("Truncated", Q(cut_off=True)),
    "waiting": ("Waiting", Q(status=RowStatus.WAITING)),
}
SORTS = ("number", "right", "total", "tokens", "seconds")


@dataclass(frozen=True)
class Shown:
    """What somebody asked to see; what is no filter or order is none."""

    text: str = ""
    show: str = ""
    sort: str = "number"

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Shown:
        show, sort = str(asked.get("show", "")), str(asked.get("sort", ""))
        return cls(
            text=str(asked.get("q", "")).strip()[:LONGEST_SEARCH].replace("\x00", ""),
            show=show if show in FILTERS else "",
            sort=sort if sort.removeprefix("-") in SORTS else "number",
        )

    def among(self, rows: QuerySet[BatchRow]) -> QuerySet[BatchRow]:
        return self.found(rows).filter(FILTERS[self.show][1]).order_by(*self.order)

    def found(self, rows: QuerySet[BatchRow]) -> QuerySet[BatchRow]:
        if not self.text:
            return rows
        return rows.filter(
            Q(prompt__icontains=self.text) | Q(answer__icontains=self.text) | Q(reference__icontains=self.text)
        )

    @property
    def order(self) -> list[OrderBy]:
        """Rows that have no such value come last, both ways."""
        by = F(self.sort.removeprefix("-"))
        first = by.desc(nulls_last=True) if self.sort.startswith("-") else by.asc(nulls_last=True)
        return [first, F("number").asc()]


def counts(shown: Shown, batch: Batch) -> dict[str, int]:
    """How many rows each filter would leave of what was searched for."""
    # Prefixed: the name of an aggregate would hide the column of that name from those after it.
    of = {f"n_{name}": Count("pk", filter=condition) for name, (_, condition) in FILTERS.items()}
    found = shown.found(batch.rows.all()).order_by().aggregate(**of)
    return {name: found[f"n_{name}"] for name in FILTERS}


@dataclass(frozen=True)
class Share:
    right: int
    of: int

    @property
    def accuracy(self) -> float:
        return self.right / self.of

    @property
    def low(self) -> float:
        return wilson(self.right, self.of)[0]

    @property
    def high(self) -> float:
        return wilson(self.right, self.of)[1]


@dataclass(frozen=True)
class Summary:
    """Shares are None where no row has such a verdict, `reward` where none has a total."""

    rows: int
    waiting: int
    answered: int
    failed: int
    unjudged: int
    cut_off: int
    tokens: int
    exact: Share | None
    judged: Share | None
    reward: float | None
    reward_low: float | None
    reward_high: float | None
    tokens_per_second: float | None

    @property
    def done(self) -> int:
        return self.answered + self.failed

    @property
    def errors(self) -> int:
        return self.failed + self.unjudged


def summary(batch: Batch) -> Summary:
    wanted = {
        "rows": Count("pk"),
        "waiting": Count("pk", filter=Q(status=RowStatus.WAITING)),
        "answered": Count("pk", filter=Q(status=RowStatus.ANSWERED)),
        "failed": Count("pk", filter=Q(status=RowStatus.FAILED)),
        "unjudged": Count("pk", filter=Q(unjudged=True)),
        "cut_off": Count("pk", filter=Q(cut_off=True)),
        "tokens": Sum("tokens", default=0),
        "exact": Count("exact"),
        "exact_right": Count("pk", filter=Q(exact=True)),
        "judged": Count("correct"),
        "judged_right": Count("pk", filter=Q(correct=True)),
        "totals": Count("total"),
        "reward": Avg("total"),
        "squares": Sum(F("total") * F("total")),
    }
    # Prefixed: the name of an aggregate would hide the column of that name from those after it.
    found = batch.rows.order_by().aggregate(**{f"n_{name}": each for name, each in wanted.items()})
    return summed({name: found[f"n_{name}"] for name in wanted}, batch.generation_seconds)


def summed(found: dict[str, Any], seconds: float) -> Summary:
    half = half_width(found.pop("totals"), found["reward"], found.pop("squares"))
    mean = found["reward"]
    exact = share(found.pop("exact_right"), found.pop("exact"))
    judged = share(found.pop("judged_right"), found.pop("judged"))
    return Summary(
        **found,
        exact=exact,
        judged=judged,
        reward_low=None if mean is None else mean - half,
        reward_high=None if mean is None else mean + half,
        tokens_per_second=found["tokens"] / seconds if seconds else None,
    )


def half_width(count: int, mean: float | None, squares: float | None) -> float:
    """Of the 95 % interval of a mean. SQLite's own standard deviation fails where there are fewer than two values."""
    if count < 2 or mean is None or squares is None:
        return 0.0
    variance = max(0.0, squares - count * mean * mean) / (count - 1)
    return Z * math.sqrt(variance / count)


def share(right: int, of: int) -> Share | None:
    return Share(right, of) if of else None
