"""Where hub_reading.py puts the rows: one file, in the format that holds them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self


class Conflict(Exception):
    """A table does not fit the columns of those before it."""


class Parquet:
    """As the columns of the first table are; later ones may lack some, and are converted if that loses nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def write(self, table: Any) -> None:
        import pyarrow.parquet

        if self.writer is None:
            table = without_null_types(table)
            self.writer = pyarrow.parquet.ParquetWriter(self.path, table.schema, compression="snappy")
        self.writer.write_table(fitted(table, self.writer.schema))


def without_null_types(table: Any) -> Any:
    """A column that is empty so far may hold anything later: most likely text."""
    import pyarrow

    for number, field in enumerate(table.schema):
        if pyarrow.types.is_null(field.type):
            table = table.set_column(number, field.name, table.column(number).cast(pyarrow.string()))
    return table


def fitted(table: Any, schema: Any) -> Any:
    import pyarrow

    if table.schema.equals(schema):
        return table
    if set(table.column_names) - set(schema.names):
        raise Conflict
    try:
        for field in schema:
            if field.name not in table.column_names:
                table = table.append_column(field, pyarrow.nulls(table.num_rows, field.type))
        return table.select(schema.names).cast(schema)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError):
        raise Conflict from None


class JsonLines:
    """Each row is what it is, whatever the others are."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        self.file = self.path.open("w", encoding="utf-8")
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def write(self, table: Any) -> None:
        for row in table.to_pylist():
            self.file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
