"""A session's numbers over its steps, thinned so that a chart never loads a whole run.

In memory None is a key that was not measured at a step (a line goes on over it) and NaN one that was measured and came
out as no number (a line breaks there). JSON has neither: both become null, and `gaps` names the second kind.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from training.choices import Kind, Status
from training.models import Event, Session

Column = list[float | None]

MIN_POINTS = 200
MAX_POINTS = 2000
MAX_KEYS = 60
# Rows of a bucket that one column may claim: its lowest, its highest and its first gap.
CLAIMS = 3
assert MAX_KEYS * CLAIMS + 2 <= MIN_POINTS

READ_AT_ONCE = 2000


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
    return None if value is None or math.isnan(value) else value


def gaps(column: Column) -> list[int]:
    return [place for place, value in enumerate(column) if value is not None and math.isnan(value)]


def metric_events(session: Session, phase: str = Status.TRAINING) -> QuerySet[Event]:
    return session.events.filter(kind=Kind.METRICS, phase=phase, superseded=False, step__isnull=False).order_by("seq")


def metrics(
    session: Session,
    keys: Sequence[str],
    *,
    phase: str = Status.TRAINING,
    points: int = MAX_POINTS,
    first: int | None = None,
    last: int | None = None,
) -> Series:
    """The columns `keys` over the steps from `first` to `last`, in at most `points` rows. Every row is a real step."""
    events = metric_events(session, phase)
    if first is not None:
        events = events.filter(step__gte=first)
    if last is not None:
        events = events.filter(step__lte=last)
    rows = events.values_list("step", "data").iterator(READ_AT_ONCE)
    return collect(((step, data) for step, data in rows if step is not None), keys, points)


def system(session: Session, keys: Sequence[str], *, points: int = MAX_POINTS) -> Series:
    events = session.events.filter(kind=Kind.SYSTEM).order_by("seq").values_list("created_at", "data")
    return collect(((at.timestamp(), data) for at, data in events.iterator(READ_AT_ONCE)), keys, points)


def collect(rows: Iterable[tuple[float, dict[str, Any]]], keys: Sequence[str], points: int) -> Series:
    # A step that was done twice counts as it went the second time.
    by_place = {place: [measured(data, key) for key in keys] for place, data in rows}
    axis = sorted(by_place)
    columns = {key: [by_place[place][index] for place in axis] for index, key in enumerate(keys)}
    kept = thin(list(columns.values()), len(axis), points)
    return Series(
        [axis[place] for place in kept],
        {key: [column[place] for place in kept] for key, column in columns.items()},
        len(axis),
    )


def measured(data: dict[str, Any], key: str) -> float | None:
    """None if `key` is not there or no number, NaN if it is there as null."""
    if key not in data:
        return None
    value = data[key]
    if value is None:
        return math.nan
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def thin(columns: Sequence[Column], length: int, points: int) -> list[int]:
    """Ascending places, at most `points` of them, of the rows to keep.

    The first and the last row stay, and so do the lowest and the highest value and the first gap of every column in
    each of as many equal buckets as fit. Needs points >= CLAIMS * len(columns) + 2.
    """
    if length <= points:
        return list(range(length))
    moving = [column for column in columns if not constant(column)]
    claims = sum(CLAIMS if gaps(column) else CLAIMS - 1 for column in moving) or 1
    buckets = max(1, (points - 2) // claims)
    kept = {0, length - 1}
    for bucket in range(buckets):
        start, stop = bucket * length // buckets, (bucket + 1) * length // buckets
        for column in moving:
            kept.update(landmarks(column, start, stop))
    if not moving:
        kept.update(place * length // points for place in range(1, points - 1))
    return sorted(kept)


def constant(column: Column) -> bool:
    return len(set(column)) <= 1


def landmarks(column: Column, start: int, stop: int) -> Iterator[int]:
    lowest = highest = gap = None
    for place in range(start, stop):
        value = column[place]
        if value is None:
            continue
        if math.isnan(value):
            gap = place if gap is None else gap
        else:
            lowest = place if lowest is None or value < column[lowest] else lowest  # type: ignore[operator]
            highest = place if highest is None or value > column[highest] else highest  # type: ignore[operator]
    return (place for place in (lowest, highest, gap) if place is not None)
