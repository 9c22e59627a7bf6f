"""Finding rows by what they hold, batch by batch, so that a million rows need no index and no memory.

Neither Django nor a database is needed: downloads use it in a child process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_app import tables
from datasets_app.tables import BATCH_ROWS

# What a cell without content looks like: nothing, or white space alone.
BLANK = r"^\s*$"


@dataclass(frozen=True)
class Query:
    """`text` anywhere in `column`, or in any column if that is "". `part` is a code of membership.py, 0 for any row;
    `empty` names a column that must hold nothing."""

    text: str = ""
    column: str = ""
    part: int = 0
    empty: str = ""

    def __bool__(self) -> bool:
        return bool(self.text or self.part or self.empty)

    def reads(self, columns: list[str]) -> list[str]:
        """The columns that must be read to decide."""
        searched = ([self.column] if self.column else columns) if self.text else []
        return [name for name in columns if name in {*searched, self.empty}]


@dataclass(frozen=True)
class Found:
    """`rows` are (number, cells). It looked at the rows from `first` up to, not including, `end`."""

    rows: list[tuple[int, dict[str, Any]]]
    first: int
    end: int
    # The row to go on from; None at the end of the rows.
    following: int | None
    timed_out: bool = False


def search(
    path: Path, query: Query, *, marks: Path | None = None, start: int = 0, limit: int = 20, seconds: float = 0.6
) -> Found:
    """The next `limit` rows from row `start` on, or what was found until `seconds` were over."""
    numbers: list[int] = []
    end, total = start, row_count(path)
    # Once pyarrow is loaded, which the first search of a process has to do.
    deadline = time.monotonic() + seconds
    for first, hits, size in matches(path, query, marks, start):
        numbers += [first + hit for hit in hits[: limit - len(numbers)]]
        end = first + size
        if len(numbers) == limit or time.monotonic() > deadline:
            break
    if len(numbers) == limit:
        end = numbers[-1] + 1
    found = tables.pick(path, numbers)
    return Found(
        rows=[(number, found[number]) for number in numbers],
        first=start,
        end=end,
        following=end if end < total else None,
        timed_out=len(numbers) < limit and end < total,
    )


def row_count(path: Path) -> int:
    import pyarrow.compute  # noqa: F401
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def matches(path: Path, query: Query, marks: Path | None, start: int = 0) -> Iterator[tuple[int, list[int], int]]:
    """Of every batch: (number of its first row, places of the rows that fit, how many rows it has)."""
    import pyarrow.compute as pc

    for first, batch, codes in readings(path, query, marks, start):
        mask = fits(batch, query, codes)
        places = range(batch.num_rows) if mask is None else pc.indices_nonzero(mask).to_pylist()
        yield first, list(places), batch.num_rows


def readings(path: Path, query: Query, marks: Path | None, start: int) -> Iterator[tuple[int, Any, bytes]]:
    """(first row, the batch with the columns that decide, the rows' codes of membership) from row `start` on."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file, ExitStack() as stack:
        codes = stack.enter_context(open(marks, "rb")) if query.part and marks else None
        names = query.reads(file.schema_arrow.names)
        # A batch without a column has no rows, so at least one is read.
        names = names or file.schema_arrow.names[:1]
        for first, batch in batches_from(file, start, names):
            yield first, batch, read_at(codes, first, batch.num_rows)


def read_at(file: Any, offset: int, size: int) -> bytes:
    if file is None:
        return b""
    file.seek(offset)
    return bytes(file.read(size))


def batches_from(file: Any, start: int, names: list[str]) -> Iterator[tuple[int, Any]]:
    """Row groups before row `start` stay unread."""
    first = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if start < first + rows:
            position = first
            for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=names):
                skip = min(max(start - position, 0), batch.num_rows)
                if skip < batch.num_rows:
                    yield position + skip, batch.slice(skip)
                position += batch.num_rows
        first += rows


def fits(batch: Any, query: Query, codes: bytes) -> Any:
    """Arrow booleans, one a row; None if every row fits."""
    import pyarrow.compute as pc

    masks = []
    if query.text:
        names = [query.column] if query.column else batch.schema.names
        masks.append(any_of([contains(batch.column(name), query.text) for name in names]))
    if query.empty:
        masks.append(is_blank(batch.column(query.empty)))
    if query.part:
        masks.append(coded(codes, query.part))
    mask = None
    for one in masks:
        mask = one if mask is None else pc.and_kleene(mask, one)
    return mask


def contains(column: Any, text: str) -> Any:
    import pyarrow.compute as pc

    return pc.match_substring(as_text(column), text, ignore_case=True)


def any_of(masks: list[Any]) -> Any:
    import pyarrow.compute as pc

    mask = masks[0]
    for one in masks[1:]:
        mask = pc.or_kleene(mask, one)
    return mask


def is_blank(column: Any) -> Any:
    import pyarrow.compute as pc

    return pc.or_kleene(pc.is_null(column), pc.match_substring_regex(as_text(column), BLANK))


def as_text(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.types as types

    return column if types.is_string(column.type) else column.cast(pa.string())


def coded(codes: bytes, part: int) -> Any:
    """Booleans without pa.array(), which imports pandas."""
    import numpy as np
    import pyarrow as pa

    bits = np.packbits(np.frombuffer(codes, np.uint8) == part, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(codes), [None, pa.py_buffer(bits.tobytes())])
