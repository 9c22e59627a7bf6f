"""A session's numbers over its steps, thinned so that a chart never loads a whole run.

JSON has neither "not measured" nor NaN: both become null, and `gaps` names the second kind (training/thinning.py).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.db.models import QuerySet

from training.choices import Kind, Status
from training.models import Event, Session
from training.streams import Range, Row, Stream, by_place, rows_within
from training.thinning import CLAIMS, Column, gaps, measured, thin

MIN_POINTS = 200
MAX_POINTS = 2000
MAX_KEYS = 60
assert MAX_KEYS * CLAIMS + 2 <= MIN_POINTS

# More digits than a chart can show.
DIGITS = 7

# Columns of the training phase that come from evaluations.
HELD_OUT = {"held_out/score": "score", "held_out/low": "low", "held_out/high": "high"}
TEST = {"test/score": "accuracy", "test/low": "low", "test/high": "high"}
EVALUATED = [*HELD_OUT, *TEST]


@dataclass
class Series:
    """Columns over one ascending axis: steps, or seconds since 1970 for what has no step."""

    axis: list[float]
    columns: dict[str, Column]
    rows: int

    def as_json(self, axis_name: str) -> dict[str, Any]:
        return {
            axis_name: self.axis,
            "series": {key: [plain(value) for value in column] for key, column in self.columns.items()},
            "gaps": {key: places for key, column in self.columns.items() if (places := gaps(column))},
            "rows": self.rows,
        }


def plain(value: float | None) -> float | None:
    if value is None or math.isnan(value):
        return None
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def metric_events(session: Session, phase: str = Status.TRAINING) -> QuerySet[Event]:
    return Stream(session.pk, Kind.METRICS, phase).events()


def metrics(
    session: Session,
    keys: Sequence[str],
    *,
    phase: str = Status.TRAINING,
    points: int = MAX_POINTS,
    first: float | None = None,
    last: float | None = None,
) -> Series:
    """The columns `keys` over the steps from `first` to `last`, in at most `points` rows. Every row is a real step."""
    within = Range(first, last)
    rows, hidden = rows_within(Stream(session.pk, Kind.METRICS, phase), within)
    asked = set(keys) & set(EVALUATED) if phase == Status.TRAINING else set()
    extra = [row for row in evaluations(session, within) if asked & set(row[1])] if asked else []
    return collect(rows, keys, points, hidden=hidden, always=extra)


def seconds_at(session: Session, steps: Sequence[float], phase: str = Status.TRAINING) -> list[float | None]:
    """Wall-clock seconds from the session's first start to each of ascending steps, never falling; what it waited
    between attempts is part of them. A step without metrics has the time of the one before, or else of the first."""
    if session.started_at is None:
        return [None] * len(steps)
    found = dict(metric_events(session, phase).filter(step__in=map(int, steps)).values_list("step", "created_at"))
    times: list[float | None] = []
    passed = min(((at - session.started_at).total_seconds() for at in found.values()), default=0.0)
    for step in steps:
        if step in found:
            passed = max(passed, (found[int(step)] - session.started_at).total_seconds())
        times.append(round(max(0.0, passed), 3))
    return times


def system(
    session: Session,
    keys: Sequence[str],
    *,
    points: int = MAX_POINTS,
    first: float | None = None,
    last: float | None = None,
) -> Series:
    rows, hidden = rows_within(Stream(session.pk, Kind.SYSTEM), Range(first, last))
    return collect(rows, keys, points, hidden=hidden)


def collect(
    rows: Iterable[Row], keys: Sequence[str], points: int, *, hidden: int = 0, always: Sequence[Row] = ()
) -> Series:
    merged = by_place(chain(rows, always))
    axis = sorted(merged)
    columns = {key: [measured(merged[place], key) for place in axis] for key in keys}
    held = {place for place, _ in always}
    kept = thin(list(columns.values()), len(axis), points, [at for at, place in enumerate(axis) if place in held])
    return Series(
        [axis[place] for place in kept],
        {key: [column[place] for place in kept] for key, column in columns.items()},
        len(axis) + hidden,
    )


# Evaluations


def evaluations(session: Session, within: Range) -> list[Row]:
    """The held-out score at the steps it was taken; before step 1 and after the last one accuracy or mean reward."""
    found = session.events.filter(kind=Kind.EVALUATION, superseded=False).order_by("seq")
    rows = [*during_training(found), *before_and_after(session, found)]
    return [row for row in rows if within.low <= row[0] <= within.high]


def during_training(found: QuerySet[Event]) -> Iterator[Row]:
    for step, data in found.filter(data__has_key="score").values_list("step", "data"):
        if step is not None:
            yield step, {key: data.get(name) for key, name in HELD_OUT.items()}


def before_and_after(session: Session, found: QuerySet[Event]) -> Iterator[Row]:
    summaries = dict(found.filter(data__has_key="summary").values_list("data__label", "data__summary"))
    last = metric_events(session).order_by("-seq").values_list("step", flat=True).first()
    for label, place in (("base", 0), ("adapter", last)):
        summary = summaries.get(label) or {}
        if place is None:
            continue
        if summary.get("accuracy") is not None:
            yield place, {key: summary.get(name) for key, name in TEST.items()}
        elif summary.get("mean_reward") is not None:
            # The reward does not say what is right.
            yield place, {"test/score": summary["mean_reward"]}
