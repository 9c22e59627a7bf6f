"""The files of a version: its rows as Parquet, and the list of what is not among them.

Neither Django nor a database is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from datasets_app.limits import GROUP_BYTES, GROUP_ROWS, REJECTED_SHOWN
from datasets_app.readers.rows import Rejected


def write_rows(target: Path, batches: Iterable[Any], schema: Any, tick: Callable[[], object]) -> None:
    """Arrow batches, whose columns are cast to those of `schema`. `tick` is called after each row group."""
    import pyarrow.parquet as pq

    with open(target, "wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for table in groups(batches, schema):
                writer.write_table(table, row_group_size=GROUP_ROWS)
                tick()
        file.flush()
        os.fsync(file.fileno())


def groups(batches: Iterable[Any], schema: Any) -> Iterator[Any]:
    """Tables of at most GROUP_ROWS rows and little more than GROUP_BYTES, in order."""
    import pyarrow as pa

    held: list[Any] = []
    rows = size = 0
    for batch in batches:
        for start in range(0, batch.num_rows, GROUP_ROWS):
            part = cast(batch.slice(start, GROUP_ROWS), schema)
            if held and (rows + part.num_rows > GROUP_ROWS or size + part.nbytes > GROUP_BYTES):
                yield pa.Table.from_batches(held, schema)
                held, rows, size = [], 0, 0
            held.append(part)
            rows, size = rows + part.num_rows, size + part.nbytes
    if held:
        yield pa.Table.from_batches(held, schema)


def cast(batch: Any, schema: Any) -> Any:
    import pyarrow as pa

    held = set(batch.schema.names)
    arrays = [batch.column(f.name).cast(f.type) if f.name in held else pa.nulls(batch.num_rows, f.type) for f in schema]
    return pa.record_batch(arrays, schema=schema)


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Rejects:
    """Every line that was no row, or row that was dropped, in a file if there is one; the first ones for the report."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.first: list[dict[str, Any]] = []
        self.file: TextIO | None = None

    def add(self, rejected: list[Rejected]) -> None:
        if rejected and self.file is None:
            self.file = open(self.path, "w", encoding="utf-8")  # noqa: SIM115 - closed by close()
        for line in rejected:
            told = line._asdict()
            self.count += 1
            if len(self.first) < REJECTED_SHOWN:
                self.first.append(told)
            # Plain letters only: some readers take U+2028 for the end of a line.
            print(json.dumps(told), file=self.file)

    def close(self) -> None:
        if self.file:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            self.file = None
