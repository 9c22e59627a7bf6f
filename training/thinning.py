"""Choosing the rows of a chart: fewer than were measured, with every spike and every gap.

None is a value that was not measured at a row (a line goes on over it) and NaN one that was measured and came out as no
number (a line breaks there).
"""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

Column = list[float | None]
Item = TypeVar("Item")

# Rows of a bucket that one column may claim: its lowest, its highest and its first gap.
CLAIMS = 3


def measured(data: dict[str, Any], key: str) -> float | None:
    """None if `key` is not there or no number, NaN if it is there as null."""
    value = data.get(key, False)
    if value is None:
        return math.nan
    # The types that JSON gives; a bool is none of them.
    return value if type(value) in (float, int) else None


def gaps(column: Column) -> list[int]:
    return [place for place, value in enumerate(column) if value is not None and math.isnan(value)]


def thin(columns: Sequence[Column], length: int, points: int, always: Collection[int] = ()) -> list[int]:
    """Ascending places, at most `points` of them, of the rows to keep.

    The first and the last row stay, and so do the lowest and the highest value and the first gap of every column in
    each of as many equal buckets as fit; and the rows `always`, as far as they take no more than half of the points.
    Needs points >= CLAIMS * len(columns) + 2.
    """
    if length <= points:
        return list(range(length))
    wanted = spread(sorted(always), min(points // 2, points - CLAIMS * len(columns) - 2))
    points -= len(wanted)
    moving = [column for column in columns if not constant(column)]
    claims = sum(CLAIMS if gaps(column) else CLAIMS - 1 for column in moving) or 1
    kept = {*wanted, *in_buckets(moving, length, max(1, (points - 2) // claims))}
    if not moving:
        kept.update(place * length // points for place in range(1, points - 1))
    return sorted(kept)


def spread(places: Sequence[Item], most: int) -> Sequence[Item]:
    """At most `most` of them, evenly, with the last one."""
    if len(places) <= most:
        return places
    return [places[(place + 1) * len(places) // most - 1] for place in range(most)]


def in_buckets(columns: Sequence[Column], length: int, buckets: int) -> list[int]:
    """The first and the last place, and each column's landmarks in each of `buckets` equal buckets."""
    kept = {0, length - 1}
    for bucket in range(buckets):
        start, stop = bucket * length // buckets, (bucket + 1) * length // buckets
        for column in columns:
            kept.update(landmarks(column, start, stop))
    return sorted(kept)


def constant(column: Column) -> bool:
    return len(set(column)) <= 1


def landmarks(column: Column, start: int, stop: int) -> Iterator[int]:
    lowest = highest = gap = None
    low, high = math.inf, -math.inf
    for place in range(start, stop):
        value = column[place]
        if value is None:
            continue
        # NaN is the only value that differs from itself.
        if value != value:
            gap = place if gap is None else gap
            continue
        if value < low:
            lowest, low = place, value
        if value > high:
            highest, high = place, value
    return (place for place in (lowest, highest, gap) if place is not None)
