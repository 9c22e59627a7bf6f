"""The rows behind a chart, from the events and, for a long run, from the blocks that stand for complete stretches.

A block keeps the rows with an extreme or a gap of any of its columns, so that a thinned chart has the same spikes
whether it was made of blocks or of all rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from training import thinning
from training.choices import Kind, Status
from training.models import Event, SeriesBlock

# Measured: reading a row costs some 40 microseconds, a block as much as 25 rows.
BLOCK_ROWS = 1000
# A range of four blocks still has enough rows for a chart.
BUCKETS_OF_BLOCK = 4
# A range that touches no more blocks than this is read row by row, and so drawn in full detail.
BLOCKS_READ_IN_FULL = 3
# A chart of 30 lines has room for 14 buckets: from this many blocks on, one bucket of each is enough.
SUMMARIES_FROM = 16
# A block of fewer rows has nothing to gain from a summary.
ROWS_OF_SUMMARY = 64
READ_AT_ONCE = 2000
NOT_MEASURED = False

Row = tuple[float, dict[str, Any]]


@dataclass(frozen=True)
class Stream:
    """The metrics of a phase over its steps, or what the machine did over time."""

    session_id: UUID | str
    kind: str
    phase: str = ""

    def events(self) -> QuerySet[Event]:
        found = Event.objects.filter(session_id=self.session_id, kind=self.kind, superseded=False).order_by("seq")
        return found.filter(phase=self.phase, step__isnull=False) if self.phase else found

    def rows(self, after: int, until: int | None = None, within: Range | None = None) -> Iterator[tuple[int, Row]]:
        """(number, row) of the events after one number until another."""
        found = self.events().filter(seq__gt=after)
        if until is not None:
            found = found.filter(seq__lte=until)
        if within:
            found = found.filter(within.of_events(self.by_time))
        axis = "created_at" if self.by_time else "step"
        for seq, place, data in found.values_list("seq", axis, "data").iterator(READ_AT_ONCE):
            yield seq, (place.timestamp() if self.by_time else place, data)

    @property
    def by_time(self) -> bool:
        return self.kind == Kind.SYSTEM

    @property
    def blocks(self) -> QuerySet[SeriesBlock]:
        return SeriesBlock.objects.filter(session_id=self.session_id, kind=self.kind, phase=self.phase)


@dataclass(frozen=True)
class Range:
    """Both ends included; None is open."""

    first: float | None = None
    last: float | None = None

    def touches(self, block: SeriesBlock) -> bool:
        return not (block.last_place < self.low or block.first_place > self.high)

    def holds(self, block: SeriesBlock) -> bool:
        return self.low <= block.first_place and block.last_place <= self.high

    @property
    def low(self) -> float:
        return -math.inf if self.first is None else self.first

    @property
    def high(self) -> float:
        return math.inf if self.last is None else self.last

    def of_events(self, by_time: bool) -> Q:
        found = Q()
        for name, place in (("gte", self.first), ("lte", self.last)):
            if place is not None:
                value = datetime.fromtimestamp(place, UTC) if by_time else place
                found &= Q(**{f"{'created_at' if by_time else 'step'}__{name}": value})
        return found


def rows_within(stream: Stream, within: Range) -> tuple[Iterable[Row], int]:
    """The rows to draw a range from, and how many more those of blocks stand for."""
    blocks = list(stream.blocks.defer("data", "summary"))
    touched = [block for block in blocks if within.touches(block)]
    # Nothing of the range is before the first block that touches it, nor behind the last one but for the newest rows.
    after = touched[0].first_seq - 1 if touched else max((block.last_seq for block in blocks), default=0)
    until = touched[-1].last_seq if touched and touched[-1] is not blocks[-1] else None
    whole = [block for block in touched if within.holds(block)] if len(touched) > BLOCKS_READ_IN_FULL else []
    if not whole:
        return plain_rows(stream, after, until, within), 0
    form = "summary" if len(whole) >= SUMMARIES_FROM else "data"
    kept = list(stream.blocks.filter(pk__in=[block.pk for block in whole]).values_list("row_count", form))
    rows = chain(
        plain_rows(stream, after, whole[0].first_seq - 1, within),
        (row for _, data in kept for row in unpacked(data)),
        plain_rows(stream, whole[-1].last_seq, until, within),
    )
    return rows, sum(count - len(data["rows"]) for count, data in kept)


def plain_rows(stream: Stream, after: int, until: int | None, within: Range) -> Iterator[Row]:
    return (row for _, row in stream.rows(after, until, within))


def unpacked(data: dict[str, Any]) -> Iterator[Row]:
    """Without what was not measured: the other half of a step may be in the block before."""
    for place, *values in data["rows"]:
        yield place, {key: value for key, value in zip(data["keys"], values, strict=True) if value is not NOT_MEASURED}


# Making them


def close_full_blocks(session_id: UUID | str) -> int:
    """Makes the blocks that have become complete; how many. To be called in the transaction that stored the events."""
    streams = [Stream(session_id, Kind.METRICS, phase) for phase in (Status.TRAINING, Status.PRETRAINING)]
    return sum(close_blocks_of(stream) for stream in [*streams, Stream(session_id, Kind.SYSTEM)])


def close_blocks_of(stream: Stream) -> int:
    made = 0
    after = stream.blocks.order_by("-last_seq").values_list("last_seq", flat=True).first() or 0
    while stream.events().filter(seq__gt=after)[:BLOCK_ROWS].count() == BLOCK_ROWS:
        last = stream.events().filter(seq__gt=after).values_list("seq", flat=True)[BLOCK_ROWS - 1]
        block_of(stream, list(stream.rows(after, last))).save()
        after, made = last, made + 1
    return made


def block_of(stream: Stream, numbered: Sequence[tuple[int, Row]]) -> SeriesBlock:
    merged = by_place(row for _, row in numbered)
    axis = sorted(merged)
    data, summary = packed(axis, merged)
    return SeriesBlock(
        session_id=stream.session_id,
        kind=stream.kind,
        phase=stream.phase,
        first_seq=numbered[0][0],
        last_seq=numbered[-1][0],
        first_place=axis[0],
        last_place=axis[-1],
        row_count=len(axis),
        data=data,
        summary=summary,
    )


def packed(axis: Sequence[float], merged: dict[float, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a block keeps, and its summary."""
    keys = list(dict.fromkeys(key for data in merged.values() for key, value in data.items() if drawable(value)))
    columns = [[thinning.measured(merged[place], key) for place in axis] for key in keys]
    moving = [column for column in columns if not thinning.constant(column)]

    def rows(buckets: int) -> dict[str, Any]:
        kept = thinning.in_buckets(moving, len(axis), buckets)
        found = [[axis[place], *(merged[axis[place]].get(key, NOT_MEASURED) for key in keys)] for place in kept]
        return {"keys": keys, "rows": found}

    data = rows(BUCKETS_OF_BLOCK)
    return data, data if len(data["rows"]) <= ROWS_OF_SUMMARY else rows(1)


def drawable(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def by_place(rows: Iterable[Row]) -> dict[float, dict[str, Any]]:
    """A step may be told of twice, with different keys (training, validation) or again: what came later counts."""
    merged: dict[float, dict[str, Any]] = {}
    for place, data in rows:
        known = merged.get(place)
        merged[place] = data if known is None else {**known, **data}
    return merged


def forget_blocks(session_id: UUID | str, again: Q) -> None:
    """What a later attempt does again is no part of a block any more; `again` speaks of phase and last_place."""
    SeriesBlock.objects.filter(again, session_id=session_id, kind=Kind.METRICS).delete()
