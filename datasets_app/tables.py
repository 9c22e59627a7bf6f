"""Reading the stored Parquet rows, a batch at a time. pyarrow is imported late: only pages that show rows need it."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

BATCH_ROWS = 4096
# What an import leaves in its folder: the rows, and the lines that were none.
ROWS, REJECTED = "rows.parquet", "rejected.jsonl"
PAGE_BATCH = 512


def batches(path: Path, columns: list[str] | None = None) -> Iterator[tuple[int, Any]]:
    """(number of its first row, Arrow record batch)."""
    import pyarrow.parquet as pq

    start = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            yield start, batch
            start += batch.num_rows


def records(path: Path, columns: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row number, {column: cell}) of these columns alone."""
    names = sorted(set(columns))
    for start, batch in batches(path, names):
        cells = [batch.column(name).to_pylist() for name in names]
        for number, values in enumerate(zip(*cells, strict=True), start):
            yield number, dict(zip(names, values, strict=True))


def page(path: Path, offset: int, limit: int) -> list[dict[str, Any]]:
    """Rows `offset` to `offset + limit`. Row groups before them are passed over unread."""
    import pyarrow.parquet as pq

    found: list[dict[str, Any]] = []
    with pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if offset < start + rows:
                for batch in file.iter_batches(batch_size=PAGE_BATCH, row_groups=[group]):
                    if offset < start + batch.num_rows:
                        found += batch.slice(max(offset - start, 0), limit - len(found)).to_pylist()
                    start += batch.num_rows
                    if len(found) >= limit:
                        return found
            else:
                start += rows
    return found


def pick(path: Path, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
    """The rows with these numbers, by number. Row groups without any of them stay unread."""
    import pyarrow.parquet as pq

    wanted = sorted(set(numbers))
    found: dict[int, dict[str, Any]] = {}
    start = position = 0
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            first, position = position, bisect_left(wanted, end, position)
            if first < position:
                for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group]):
                    inside = wanted[bisect_left(wanted, start) : bisect_left(wanted, start + batch.num_rows)]
                    found.update(picked(batch, start, inside))
                    start += batch.num_rows
            start = end
            if position == len(wanted):
                break
    return found


def picked(batch: Any, start: int, numbers: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    # Not batch.take(): making an index array of a list imports pandas.
    if len(numbers) * 8 > batch.num_rows:
        rows = batch.to_pylist()
        yield from ((number, rows[number - start]) for number in numbers)
    else:
        yield from ((number, batch.slice(number - start, 1).to_pylist()[0]) for number in numbers)


def key(text: str) -> int:
    """Eight bytes that stand for `text` where millions are compared."""
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


def text(value: Any) -> str:
    """A cell as the model and the reward get it: 72.0 is 72, null is nothing."""
    if type(value) is str:  # nearly every cell, of millions
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
