"""Parquet, a few rows at a time. What it expands to is counted, since neither size nor footer shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets_app.limits import MAX_COLUMNS, MAX_LINE_BYTES, MAX_ROWS, MIB, readable
from datasets_app.problems import DatasetProblem
from datasets_app.readers.meter import Meter
from datasets_app.readers.rows import Batch, Rejected, Source, Unusable
from datasets_app.readers.streams import Allowance, allowance
from datasets_app.readers.table import unique_names
from loracraft.numbers import thousands

BATCH_BYTES = 2 * MIB
MOST_ROWS, FEWEST_ROWS = 2048, 16
# Of the footer: names and statistics of a few thousand row groups.
FOOTER_BYTES = 100 * MIB


class Flaw(str):
    """Stands for a cell that can't be used, and says why."""


def read(path: Path, source: Source, meter: Meter) -> Iterator[Batch]:
    import pyarrow as pa

    source.unit, number = "row", 0
    left = allowance(path.stat().st_size)
    try:
        with opened(path) as file:
            names = columns_of(file, source)
            for group in range(file.num_row_groups):
                for batch in record_batches(file, group):
                    yield from small(batch, names, number + 1, left, source)
                    number += batch.num_rows
                meter.bytes = meter.total * (group + 1) // file.num_row_groups
            check_count(file, number)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, LookupError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        where = f"after row {thousands(number)}" if number else "at its beginning"
        raise DatasetProblem(
            f"The Parquet file is damaged or uses something unknown ({where}): {first_line(error)} Write it again;"
            " nothing was imported."
        ) from error


def first_line(error: Exception) -> str:
    text = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return text if text.endswith(".") else f"{text}."


def opened(path: Path) -> Any:
    """Columns of text stay dictionaries, so that a text that is there a million times is in memory once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    options: dict[str, Any] = {
        "buffer_size": MIB,
        "pre_buffer": False,
        "page_checksum_verification": True,
        "thrift_string_size_limit": FOOTER_BYTES,
        "thrift_container_size_limit": FOOTER_BYTES // 10,
    }
    with pq.ParquetFile(path, **options) as file:
        schema = file.schema_arrow
        texts = [field.name for field in schema if is_textual(pa.types, field.type)]
    return pq.ParquetFile(path, read_dictionary=texts, **options)


def is_textual(types: Any, kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind))


def columns_of(file: Any, source: Source) -> list[str]:
    names = list(file.schema_arrow.names)
    if len(names) > MAX_COLUMNS:
        raise DatasetProblem(f"The file has {thousands(len(names))} columns: at most {MAX_COLUMNS} are allowed.")
    if file.metadata.num_rows > MAX_ROWS:
        raise DatasetProblem(f"More than {thousands(MAX_ROWS)} rows, the limit of a dataset. Split the file.")
    source.empty = f"it has columns ({', '.join(names)[:200]}) but no rows."
    return unique_names(names, source)


def check_count(file: Any, rows: int) -> None:
    if rows != file.metadata.num_rows:
        raise ValueError(
            f"its footer promises {thousands(file.metadata.num_rows)} rows, and it holds {thousands(rows)}."
        )


def record_batches(file: Any, group: int) -> Iterator[Any]:
    about = file.metadata.row_group(group)
    row_bytes = max(about.total_byte_size, 0) // max(about.num_rows, 1)
    rows = min(max(BATCH_BYTES // max(row_bytes, 1), FEWEST_ROWS), MOST_ROWS)
    yield from file.iter_batches(batch_size=rows, row_groups=[group], use_threads=False)


def small(batch: Any, names: list[str], first: int, left: Allowance, source: Source) -> Iterator[Batch]:
    """The rows of `batch` in pieces of about BATCH_BYTES, the first of which is row `first`."""
    sizes = [sum(row) for row in zip(*(cell_sizes(column) for column in batch.columns), strict=True)]
    begin = size = 0
    for end, bytes_of_row in enumerate(sizes):
        left.take(bytes_of_row)
        if end > begin and size + bytes_of_row > BATCH_BYTES:
            yield piece(batch.slice(begin, end - begin), names, first + begin, source)
            begin, size = end, 0
        size += bytes_of_row
    if begin < batch.num_rows:
        yield piece(batch.slice(begin), names, first + begin, source)


def cell_sizes(column: Any) -> list[int]:
    """Bytes of each cell, without making the cells."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        lengths = pa.array(cell_sizes(column.dictionary), pa.int64())
        return [length or 0 for length in lengths.take(column.indices).to_pylist()]
    if is_textual(types, kind) or types.is_large_binary(kind):
        return [length or 0 for length in pc.binary_length(column).to_pylist()]
    # Nested values are in memory already.
    each = column.nbytes // max(len(column), 1) + 1 if types.is_nested(kind) else 8
    return [each] * len(column)


def piece(batch: Any, names: list[str], first: int, source: Source) -> Batch:
    columns = [cells(column, source) for column in batch.columns]
    found = Batch([], [], [])
    for number, values in enumerate(zip(*columns, strict=True), first):
        flaw = next(((name, cell) for name, cell in zip(names, values, strict=True) if type(cell) is Flaw), None)
        if flaw:
            found.rejected.append(Rejected(number, f"Column “{flaw[0]}” {flaw[1]}"))
        elif all(cell is None for cell in values):
            found.rejected.append(Rejected(number, "All cells are empty."))
        else:
            found.rows.append(dict(zip(names, values, strict=True)))
            found.numbers.append(number)
    return found


def cells(column: Any, source: Source) -> list[Any]:
    """Python values that JSON knows, or a Flaw."""
    import pyarrow as pa

    types, kind = pa.types, column.type
    if isinstance(column, pa.ExtensionArray):
        return cells(column.storage, source)
    if types.is_dictionary(kind):
        return cells(column.dictionary_decode(), source)
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_null(kind):
        return list(column.to_pylist())
    if types.is_floating(kind):
        return [number(value, source) for value in column.to_pylist()]
    if types.is_temporal(kind) or types.is_decimal(kind):
        return list(as_texts(column).to_pylist())
    if types.is_nested(kind):
        return [plain(scalar, source) for scalar in column]
    return texts(column)


def number(value: float | None, source: Source) -> float | None:
    """pandas writes NaN where a number is missing."""
    if value is None or value == value:
        return value
    note = "NaN, which pandas writes where a number is missing, was read as an empty cell."
    if note not in source.notes:
        source.notes.append(note)
    return None


def as_texts(column: Any) -> Any:
    import pyarrow as pa

    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # Durations, and times of a zone that this machine does not know: as whole numbers of their unit.
        return column.cast(pa.int64()).cast(pa.string())


def texts(column: Any) -> list[Any]:
    import pyarrow as pa

    binary = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
    if pa.types.is_fixed_size_binary(column.type) or not pa.types.is_large_string(column.type):
        column = column.cast(binary)
    return [text(value) for value in column.cast(binary).to_pylist()]


def text(value: bytes | None) -> str | None:
    if value is None:
        return None
    if len(value) > MAX_LINE_BYTES:
        return Flaw(f"is longer than {readable(MAX_LINE_BYTES)}, the limit of a cell.")
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Flaw("holds bytes that are no text (not UTF-8): a picture, for example. Leave the column out.")


def plain(scalar: Any, source: Source) -> Any:
    """A nested value as JSON knows it, or a Flaw."""
    try:
        return within(scalar.as_py(), source)
    except UnicodeDecodeError:
        return Flaw("holds bytes that are no text (not UTF-8).")
    except (Unusable, ValueError, OverflowError) as error:
        return Flaw(f"holds a value that can't be read: {first_line(error)}")


def within(value: Any, source: Source) -> Any:
    if isinstance(value, dict):
        return {str(name): within(item, source) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [within(item, source) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float):
        return number(value, source)
    if value is None or isinstance(value, str | bool | int):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
