"""Writes rows of a stored version to standard output as JSONL, CSV or Parquet. `python -m datasets_app.extracting`
with a request as one JSON line on standard input.

A process of its own: a million rows take seconds of computing that the web process does not have, and pyarrow's
writer pulls pandas in. Neither Django nor a database is needed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from datasets_app import searching
from datasets_app.limits import bound_memory
from datasets_app.searching import Query
from datasets_app.tables import BATCH_ROWS
from loracraft import spreadsheets

MEMORY_BYTES = 4 << 30
# What a reader of the list of rejected lines gets as a table.
REJECTED_COLUMNS = ("line", "reason", "text")


def main() -> int:
    bound_memory(MEMORY_BYTES)
    request = json.loads(sys.stdin.readline())
    try:
        write(request, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # Whoever asked has gone. Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def write(request: dict[str, Any], out: BinaryIO) -> None:
    if "rejected" in request:
        write_rejected(Path(request["rejected"]), out)
        return
    found = batches(Path(request["path"]), Query(**request["query"]), request["marks"])
    if request["format"] == "parquet":
        write_parquet(Path(request["path"]), found, out)
        return
    nested = {column["name"] for column in request["columns"] if column["type"] == "json"}
    lines = csv_lines if request["format"] == "csv" else json_lines
    for line in lines([column["name"] for column in request["columns"]], nested, found):
        out.write(line.encode("utf-8", "surrogatepass"))


def batches(path: Path, query: Query, marks: str | None) -> Iterator[Any]:
    """Arrow batches with all columns of the rows that fit."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file, contextlib.ExitStack() as stack:
        codes = stack.enter_context(open(marks, "rb")) if marks and query.part else None
        start = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            mask = searching.fits(batch, query, searching.read_at(codes, start, batch.num_rows))
            start += batch.num_rows
            kept = batch if mask is None else batch.filter(mask)
            if kept.num_rows:
                yield kept


def json_lines(names: list[str], nested: set[str], found: Iterable[Any]) -> Iterator[str]:
    for batch in found:
        for row in batch.to_pylist():
            cells = {name: unpacked(row[name], name in nested) for name in names}
            yield json.dumps(cells, ensure_ascii=False) + "\n"


def unpacked(value: Any, nested: bool) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return json.loads(value) if nested and value is not None else value


def csv_lines(names: list[str], nested: set[str], found: Iterable[Any]) -> Iterator[str]:
    yield spreadsheets.csv_line(names)
    for batch in found:
        for row in batch.to_pylist():
            yield spreadsheets.csv_line([row[name] for name in names])


def write_parquet(path: Path, found: Iterable[Any], out: BinaryIO) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(Sink(out), pq.read_schema(path), compression="zstd") as writer:
        for batch in found:
            writer.write_batch(batch)


class Sink:
    """What pyarrow writes to: a pipe can't tell where it stands, so this counts."""

    def __init__(self, out: BinaryIO) -> None:
        self.out, self.written, self.closed = out, 0, False

    def write(self, data: Any) -> int:
        self.out.write(data)
        self.written += len(data)
        return len(data)

    def tell(self) -> int:
        return self.written

    def flush(self) -> None:
        self.out.flush()

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def write_rejected(path: Path, out: BinaryIO) -> None:
    out.write(spreadsheets.csv_line(REJECTED_COLUMNS).encode())
    with open(path, encoding="utf-8") as file:
        for line in file:
            found = json.loads(line)
            cells = [found.get(name) for name in REJECTED_COLUMNS]
            out.write(spreadsheets.csv_line(cells).encode("utf-8", "surrogatepass"))


if __name__ == "__main__":
    sys.exit(main())
