"""Reading the stored Parquet rows, a batch at a time. pyarrow is imported late: only pages that show rows need it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BATCH_ROWS = 4096


def batches(path: Path, columns: list[str] | None = None) -> Iterator[tuple[int, Any]]:
    """(number of its first row, Arrow record batch)."""
    import pyarrow.parquet as pq

    start = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            yield start, batch
            start += batch.num_rows


def pairs(path: Path, first: str, second: str) -> Iterator[tuple[int, Any, Any]]:
    """(row number, value of column `first`, value of column `second`)."""
    for start, batch in batches(path, sorted({first, second})):
        values = zip(batch.column(first).to_pylist(), batch.column(second).to_pylist(), strict=True)
        for number, (one, two) in enumerate(values, start):
            yield number, one, two


def page(path: Path, offset: int, limit: int) -> list[dict[str, Any]]:
    """Rows `offset` to `offset + limit`. Row groups before them are passed over unread."""
    import pyarrow.parquet as pq

    found: list[dict[str, Any]] = []
    with pq.ParquetFile(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            first, last = max(offset - start, 0), min(offset + limit - start, rows)
            if first < last:
                found += file.read_row_group(group).slice(first, last - first).to_pylist()
            start += rows
            if start >= offset + limit:
                break
    return found


def pick(path: Path, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
    """The rows with these numbers, by number."""
    wanted = sorted(set(numbers))
    found: dict[int, dict[str, Any]] = {}
    position = 0
    for start, batch in batches(path):
        first = position
        while position < len(wanted) and wanted[position] < start + batch.num_rows:
            position += 1
        found.update(picked(batch, start, wanted[first:position]))
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


def text(value: Any) -> str:
    """A cell as the model and the reward get it: 72.0 is 72, null is nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)
