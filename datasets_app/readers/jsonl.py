"""JSON lines: an object on each line. Blank lines are passed over but counted."""

from __future__ import annotations

from collections.abc import Iterator

from datasets_app.readers import exact
from datasets_app.readers.rows import Batch, Rejected, Unusable, shown
from datasets_app.readers.streams import Long, Stream, blocks, too_long


def read(stream: Stream) -> Iterator[Batch]:
    number = offset = 0
    for lines in blocks(stream):
        try:
            rows = list(map(exact.quick, lines))
        except ValueError:
            yield one_by_one(lines, number, offset)
        else:
            yield Batch(rows, list(range(number + 1, number + 1 + len(rows))), [])
        number += len(lines)
        offset += sum(map(len, lines)) + len(lines)


def one_by_one(lines: list[bytes], number: int, offset: int) -> Batch:
    batch = Batch([], [], [])
    for raw in lines:
        number += 1
        try:
            batch.rows.append(exact.quick(raw))
            batch.numbers.append(number)
        except ValueError:
            slowly(batch, number, raw, offset)
        offset += len(raw) + 1
    return batch


def slowly(batch: Batch, number: int, raw: bytes, offset: int) -> None:
    """Finds out what is wrong with a line, if anything is."""
    if isinstance(raw, Long):
        batch.rejected.append(Rejected(number, too_long(), shown(raw)))
    elif raw.strip():
        try:
            batch.rows.append(exact.row_of(raw, offset))
            batch.numbers.append(number)
        except Unusable as error:
            batch.rejected.append(Rejected(number, str(error), shown(raw)))
