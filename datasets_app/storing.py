"""Rows to a typed Parquet file in constant memory. `python -m datasets_app.storing FILE` reads JSONL from standard
input, writes FILE and prints a report as one JSON line.

It runs as a child process of the import (datasets_app/parsing.py), because pyarrow's writer pulls pandas in, and so
that a hostile file costs at most the child's memory. Neither Django nor a database is needed.

Types are only known at the end, so the rows are first spooled as text, in Arrow's own format, and cast afterwards. A
column that turns up late opens a new spool file, which MAX_COLUMNS bounds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from datasets_app.limits import (
    IMPORT_MEMORY_BYTES,
    MAX_COLUMNS,
    MAX_ROWS,
    MIB,
    REJECTED_SHOWN,
)
from datasets_app.problems import DatasetProblem
from datasets_app.reading import Line, read_jsonl

BATCH_ROWS = 5_000
BATCH_BYTES = 4 * MIB
# Whole numbers beyond this lose digits as a float, beyond the next they do not fit a column of integers.
EXACT_FLOAT = 2**53
INT64 = 2**63
# What a column's cells may hold, by what was seen in it. Anything else is a column of text.
TYPES = {
    ("int",): "integer",
    ("big",): "integer",
    ("big", "int"): "integer",
    ("float",): "number",
    ("float", "int"): "number",
    ("bool",): "boolean",
    ("json",): "json",
}


@dataclass
class Column:
    name: str
    kinds: set[str] = field(default_factory=set)
    filled: int = 0

    @property
    def type(self) -> str:
        return TYPES.get(tuple(sorted(self.kinds)), "text")

    def cell(self, value: Any) -> str | None:
        """`value` as text; notes what it was."""
        if value is None:
            return None
        self.filled += 1
        kind, text = as_text(value)
        self.kinds.add(kind)
        return text


def as_text(value: Any) -> tuple[str, str]:
    if isinstance(value, str):
        return "text", value
    if isinstance(value, bool):
        return "bool", "true" if value else "false"
    if isinstance(value, int):
        return ("int" if abs(value) < EXACT_FLOAT else "big" if abs(value) < INT64 else "text"), str(value)
    if isinstance(value, float):
        return "float", repr(value)
    return "json", json.dumps(value, ensure_ascii=False)


@dataclass
class Report:
    row_count: int = 0
    rejected_count: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    columns: list[dict[str, Any]] = field(default_factory=list)
    sha256: str = ""
    bytes: int = 0

    def reject(self, line: Line) -> None:
        self.rejected_count += 1
        if len(self.rejected) < REJECTED_SHOWN:
            self.rejected.append({"line": line.number, "reason": line.reason, "text": line.text})


class Spool:
    """Rows as text in Arrow files below `folder`, batch by batch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.columns: dict[str, Column] = {}
        self.files: list[Path] = []
        self.width = 0
        self.rows: list[dict[str, str | None]] = []
        self.batch_bytes = 0
        self.writer: Any = None

    def fits(self, row: dict[str, Any]) -> bool:
        return len(self.columns) + sum(name not in self.columns for name in row) <= MAX_COLUMNS

    def add(self, row: dict[str, Any]) -> None:
        cells = {}
        for name, value in row.items():
            text = self.columns.setdefault(name, Column(name)).cell(value)
            cells[name] = text
            self.batch_bytes += len(text or "")
        self.rows.append(cells)
        if len(self.rows) >= BATCH_ROWS or self.batch_bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        if not self.rows:
            return
        schema = pa.schema([(name, pa.string()) for name in self.columns])
        arrays = [pa.array([row.get(name) for row in self.rows], pa.string()) for name in self.columns]
        if self.writer is None or self.width != len(self.columns):
            self.close()
            self.files.append(self.folder / f"{len(self.files)}.arrow")
            self.writer, self.width = pa.ipc.new_stream(self.files[-1], schema), len(self.columns)
        self.writer.write_batch(pa.record_batch(arrays, schema=schema))
        self.rows, self.batch_bytes = [], 0

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def batches(self) -> Iterator[Any]:
        import pyarrow as pa

        for file in self.files:
            with pa.ipc.open_stream(pa.OSFile(str(file))) as stream:
                yield from stream


def store(file: BinaryIO, target: Path) -> Report:
    """Writes the rows of `file` to `target`, whose folder must be its own: the spool files are left beside it."""
    report = Report()
    spool = Spool(target.parent)
    for line in read_jsonl(file):
        take(line, spool, report)
    spool.flush()
    spool.close()
    if not report.row_count:
        raise DatasetProblem(nothing_usable(report))
    report.columns = describe(spool, report.row_count)
    write_parquet(spool, target)
    report.sha256, report.bytes = digest(target), target.stat().st_size
    return report


def take(line: Line, spool: Spool, report: Report) -> None:
    if line.row is None:
        report.reject(line)
    elif not spool.fits(line.row):
        report.reject(Line(line.number, reason=f"Brings the file to more than {MAX_COLUMNS} columns."))
    else:
        spool.add(line.row)
        report.row_count += 1
        if report.row_count > MAX_ROWS:
            raise DatasetProblem(
                f"More than {MAX_ROWS:,} rows, the limit of a dataset. Split the file.", line=line.number
            )


def nothing_usable(report: Report) -> str:
    if not report.rejected_count:
        return "The file has no usable row: it is empty. Upload JSONL with one JSON object on each line."
    first = report.rejected[0]
    lines = "the only line was" if report.rejected_count == 1 else f"all {report.rejected_count:,} lines were"
    message = f"The file has no usable row: {lines} rejected. Line {first['line']}: {first['reason']}"
    if first["text"].startswith(("[", "{")) and report.rejected_count > 1:
        message += (
            " If the file is one JSON document, write it as JSONL: one object on each line, no brackets round them."
        )
    return message


def describe(spool: Spool, rows: int) -> list[dict[str, Any]]:
    return [{"name": c.name, "type": c.type, "filled": round(c.filled / rows, 4)} for c in spool.columns.values()]


def write_parquet(spool: Spool, target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    schema = pa.schema([(c.name, types.get(c.type, pa.string())) for c in spool.columns.values()])
    with open(target, "wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in spool.batches():
                writer.write_batch(cast(batch, schema))
        file.flush()
        os.fsync(file.fileno())


def cast(batch: Any, schema: Any) -> Any:
    import pyarrow as pa

    held = set(batch.schema.names)
    arrays = [batch.column(f.name).cast(f.type) if f.name in held else pa.nulls(batch.num_rows, f.type) for f in schema]
    return pa.record_batch(arrays, schema=schema)


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bound_memory() -> None:
    # macOS refuses this limit; there the size limit of the upload has to do.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (IMPORT_MEMORY_BYTES, IMPORT_MEMORY_BYTES))


def main(target: Path) -> int:
    bound_memory()
    try:
        answer = vars(store(sys.stdin.buffer, target))
    except DatasetProblem as problem:
        answer = {"problem": problem.message, "line": problem.line}
    except MemoryError:
        answer = {"problem": "The file needs more memory than an import may take. Split it.", "line": None}
    except OSError as error:
        answer = {"problem": f"The rows could not be stored: {error.strerror}. Make room and try again.", "line": None}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
