"""The rows of a file to typed Parquet in constant memory. `python -m datasets_app.storing FILE FOLDER NAME` reads
FILE, whose user calls it NAME, writes FOLDER/rows.parquet and FOLDER/rejected.jsonl, and prints JSON lines: how far it
is, and at last the report.

It runs as a child process of the import (datasets_app/parsing.py), so that a hostile file costs at most the child's
memory and time. Neither Django nor a database is needed.

Types are only known at the end, so the rows are first spooled as text, in Arrow's own format, and cast afterwards. A
column that turns up late opens a new spool file, which MAX_COLUMNS bounds.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import shutil
import sys
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

from datasets_app import writing
from datasets_app.limits import (
    HOPELESS_LINES,
    IMPORT_MEMORY_BYTES,
    MAX_COLUMNS,
    MAX_ROWS,
    bound_memory,
)
from datasets_app.problems import DISK_FULL, DatasetProblem, is_full_disk
from datasets_app.readers import encodings, opening
from datasets_app.readers.cells import Column
from datasets_app.readers.meter import Meter, Tell
from datasets_app.readers.rows import Batch, Rejected, Source, Unusable, check_name, checked, shown
from datasets_app.readers.streams import SuspectEncoding
from datasets_app.tables import REJECTED, ROWS
from loracraft.numbers import thousands

SPOOL = "spool"


class Spool:
    """Rows as text in Arrow files below `folder`, batch by batch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.columns: dict[str, Column] = {}
        self.files: list[Path] = []
        self.width = 0
        self.writer: Any = None
        folder.mkdir()

    def unknown(self, row: dict[str, Any]) -> set[str]:
        return {name for name in row if name not in self.columns}

    def add(self, rows: list[dict[str, Any]], *, loose: bool, trusted: bool = False) -> None:
        """Raises ValueError, with nothing added, if one of the rows may be none that can be stored."""
        import pyarrow as pa

        if set(map(type, rows)) != {dict} or not all(rows):
            raise Unusable("Not a row.")
        columns = {**self.columns, **{name: Column(name, loose) for name in new_names(rows, self.columns)}}
        if len(columns) > MAX_COLUMNS:
            raise Unusable("Too many columns.")
        texts = {name: column.texts(cells_of(rows, name), trusted) for name, column in columns.items()}
        for name, (array, kinds) in texts.items():
            columns[name].note(array, kinds)
        self.columns = columns
        arrays = [array for array, _ in texts.values()]
        self.write(pa.record_batch(arrays, schema=pa.schema([(name, pa.string()) for name in columns])))

    def write(self, batch: Any) -> None:
        import pyarrow as pa

        if self.writer is None or self.width != batch.num_columns:
            self.close()
            self.files.append(self.folder / f"{len(self.files)}.arrow")
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self.writer, self.width = (
                pa.ipc.new_stream(self.files[-1], batch.schema, options=options),
                batch.num_columns,
            )
        self.writer.write_batch(batch)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def batches(self) -> Iterator[Any]:
        import pyarrow as pa

        for file in self.files:
            with pa.ipc.open_stream(pa.OSFile(str(file))) as stream:
                yield from stream
            file.unlink()


def cells_of(rows: list[dict[str, Any]], name: str) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:
        return [row.get(name) for row in rows]


def new_names(rows: list[dict[str, Any]], known: dict[str, Column]) -> list[str]:
    """In the order in which they turn up. Raises Unusable for a name that no column can have."""
    if set().union(*rows) <= known.keys():
        return []
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in known]
    for name in names:
        check_name(name)
    return names


class Store:
    """One reading of a file into `folder`."""

    def __init__(self, folder: Path, meter: Meter) -> None:
        self.spool = Spool(folder / SPOOL)
        self.rejects = writing.Rejects(folder / REJECTED)
        self.meter = meter
        self.rows = 0

    def take(self, batch: Batch, source: Source) -> None:
        rows, rejected = batch.rows, batch.rejected
        if rows:
            try:
                self.spool.add(rows, loose=source.loose)
            except (ValueError, RecursionError):
                rows, bad = self.sort_out(batch)
                rejected = sorted([*rejected, *bad])
                if rows:
                    self.spool.add(rows, loose=source.loose, trusted=True)
        self.rows += len(rows)
        self.rejects.add(rejected)
        self.meter.rows = self.rows + self.rejects.count
        self.meter.tick()
        self.check_limits(source)

    def sort_out(self, batch: Batch) -> tuple[list[dict[str, Any]], list[Rejected]]:
        """The rows that can be stored, and why the others can't: one by one."""
        good: list[dict[str, Any]] = []
        bad: list[Rejected] = []
        new: set[str] = set()
        for number, row in zip(batch.numbers, batch.rows, strict=True):
            try:
                checked(row)
                names = self.spool.unknown(row) - new
                if len(self.spool.columns) + len(new) + len(names) > MAX_COLUMNS:
                    raise Unusable(f"Brings the file to more than {MAX_COLUMNS} columns.")
                new |= names
                good.append(row)
            except Unusable as error:
                bad.append(Rejected(number, str(error), shown(json.dumps(row, ensure_ascii=False))))
        return good, bad

    def check_limits(self, source: Source) -> None:
        if self.meter.rows > MAX_ROWS:
            raise DatasetProblem(f"More than {thousands(MAX_ROWS)} rows, the limit of a dataset. Split the file.")
        if not self.rows and self.rejects.count >= HOPELESS_LINES:
            raise DatasetProblem(nothing_usable(self.rejects, source))

    def close(self) -> None:
        self.spool.close()
        self.rejects.close()


def store(path: Path, folder: Path, file_name: str, tell: Tell | None = None) -> dict[str, Any]:
    """Writes `folder`/rows.parquet, and rejected.jsonl if there is need, and returns the report. Nothing else stays in
    the folder, and nothing at all if it raises: DatasetProblem for what a user can put right, else OSError."""
    meter, source = Meter(tell), Source()
    try:
        kept = read(path, folder, file_name, source, meter)
        if not kept.rows:
            raise DatasetProblem(nothing_usable(kept.rejects, source))
        meter.say("Writing the rows")
        writing.write_rows(folder / ROWS, kept.spool.batches(), schema_of(kept.spool), meter.tick)
    except BaseException:
        (folder / ROWS).unlink(missing_ok=True)
        (folder / REJECTED).unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(folder / SPOOL, ignore_errors=True)
    return report(kept, source, folder / ROWS)


def read(path: Path, folder: Path, file_name: str, source: Source, meter: Meter) -> Store:
    try:
        return read_as(path, folder, file_name, source, meter)
    except SuspectEncoding:
        # Only a look at the whole file says what it is.
        encoding = encodings.judge(path, meter)
    shutil.rmtree(folder / SPOOL)
    (folder / REJECTED).unlink(missing_ok=True)
    vars(source).update(vars(Source()))
    return read_as(path, folder, file_name, source, meter, encoding)


def read_as(path: Path, folder: Path, file_name: str, source: Source, meter: Meter, encoding: str = "") -> Store:
    kept = Store(folder, meter)
    try:
        for batch in opening.batches(path, folder / SPOOL, file_name, source, meter, encoding):
            kept.take(batch, source)
    finally:
        kept.close()
    return kept


def report(kept: Store, source: Source, target: Path) -> dict[str, Any]:
    return {
        "row_count": kept.rows,
        "rejected_count": kept.rejects.count,
        "rejected": kept.rejects.first,
        "columns": [column.described(kept.rows) for column in kept.spool.columns.values()],
        "sha256": writing.digest(target),
        "bytes": target.stat().st_size,
        "source": source.told(),
    }


def nothing_usable(rejects: writing.Rejects, source: Source) -> str:
    if not rejects.count:
        return f"The file has no usable row: {source.empty}"
    first, unit = rejects.first[0], source.unit
    lines = f"the only {unit} was" if rejects.count == 1 else f"all {thousands(rejects.count)} {unit}s were"
    if rejects.count >= HOPELESS_LINES:
        lines = f"the first {thousands(rejects.count)} {unit}s were all"
    return f"The file has no usable row: {lines} rejected. {unit.title()} {thousands(first['line'])}: {first['reason']}"


def schema_of(spool: Spool) -> Any:
    import pyarrow as pa

    types = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    return pa.schema([(c.name, types.get(c.type, pa.string())) for c in spool.columns.values()])


class WithoutPandas:
    """pyarrow would load it, which takes longer than most imports, only to see that a list is no pandas object."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main(path: Path, folder: Path, file_name: str) -> int:
    bound_memory(IMPORT_MEMORY_BYTES)
    sys.meta_path.insert(0, WithoutPandas())
    # Rows are never part of a cycle, and a collection after each few hundred of them takes a fifth of the time.
    gc.set_threshold(200_000)
    parent = os.getppid()

    def tell(rows: int, done: int, message: str) -> None:
        if os.getppid() != parent:
            # Nobody waits for this any more.
            sys.exit(1)
        say({"rows": rows, "bytes": done, "message": message})

    try:
        say({"report": store(path, folder, file_name, tell)})
    except DatasetProblem as problem:
        say({"problem": problem.message, "line": problem.line})
    except MemoryError:
        say({"problem": "The file needs more memory than an import may take. Split it."})
    except BrokenPipeError:
        return 1
    except OSError as error:
        say({"problem": not_stored(error)})
    return 0


def not_stored(error: OSError) -> str:
    if is_full_disk(error) or error.errno == errno.EFBIG or "o space left" in str(error):
        return DISK_FULL
    return f"The rows could not be stored: {error.strerror or error}. Nothing was kept; try again."


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
