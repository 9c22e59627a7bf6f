"""JSON lines, one at a time, in constant memory. Each line is a row or is rejected with its number and a reason.

Runs in the import's child process: neither Django nor pyarrow is needed here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import isinf
from typing import Any, BinaryIO, NoReturn

from datasets_app.limits import MAX_COLUMN_NAME, MAX_COLUMNS, MAX_DEPTH, MAX_LINE_BYTES, REJECTED_TEXT, readable
from datasets_app.problems import DatasetProblem

UTF8_BOM = b"\xef\xbb\xbf"
# First bytes of files that are not text, with the word for them.
OTHER_FORMATS = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"PAR1": "a Parquet file",
}


@dataclass(frozen=True)
class Line:
    """Line `number` of the file: `row` if it can be used, else the `reason` it can't, with the start of its text."""

    number: int
    row: dict[str, Any] | None = None
    reason: str = ""
    text: str = ""


class Unusable(ValueError):
    """Why a line can't become a row."""


def read_jsonl(file: BinaryIO) -> Iterator[Line]:
    """Blank lines are passed over but counted. Raises DatasetProblem if the file is no JSONL text at all."""
    offset = 0
    for number, raw, size in numbered(file):
        start, offset = offset, offset + size
        if number == 1:
            check_format(raw)
            raw = raw.removeprefix(UTF8_BOM)
        if size > MAX_LINE_BYTES:
            yield Line(number, reason=f"Longer than {readable(MAX_LINE_BYTES)}, the limit of a line.", text=shown(raw))
        elif raw.strip():
            yield parse(number, raw, start)


def numbered(file: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
    """(line number, line, bytes it took). Of a line that is too long only the start is kept."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        size = len(raw)
        if size > MAX_LINE_BYTES:
            size, raw = size + rest_of_line(file, raw), raw[:REJECTED_TEXT]
        yield number, raw, size


def rest_of_line(file: BinaryIO, chunk: bytes) -> int:
    skipped = 0
    while chunk and not chunk.endswith(b"\n"):
        chunk = file.readline(65_536)
        skipped += len(chunk)
    return skipped


def check_format(start: bytes) -> None:
    for magic, kind in OTHER_FORMATS.items():
        if start.startswith(magic):
            raise DatasetProblem(
                f"This file is {kind}. Upload JSONL: UTF-8 text with one JSON object on each line.", line=1
            )


def parse(number: int, raw: bytes, offset: int) -> Line:
    try:
        return Line(number, row=row_of(raw, offset))
    except Unusable as error:
        return Line(number, reason=str(error), text=shown(raw))


def row_of(raw: bytes, offset: int) -> dict[str, Any]:
    try:
        value = json.loads(raw.rstrip().decode(), parse_constant=refuse_constant)
    except UnicodeDecodeError as error:
        byte = f"byte 0x{raw[error.start]:02X} at position {error.start + 1}"
        raise Unusable(f"Not UTF-8: {byte} of the line, offset {offset + error.start} of the file.") from None
    except json.JSONDecodeError as error:
        raise Unusable(f"Not JSON: {error.msg} at character {error.pos + 1}.") from None
    except RecursionError:
        raise Unusable(f"Nested more than {MAX_DEPTH} deep.") from None
    except Unusable:
        raise
    except ValueError:
        raise Unusable("Holds a number with too many digits.") from None
    return checked(value)


def refuse_constant(name: str) -> NoReturn:
    raise Unusable(f"Holds {name}, which is not a JSON value. Write null or leave it out.")


def checked(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unusable(f"Not an object: this is {json_type(value)}. Write one {{…}} on each line.")
    if not value:
        raise Unusable("An empty object.")
    if len(value) > MAX_COLUMNS:
        raise Unusable(f"{len(value)} columns: at most {MAX_COLUMNS} are allowed.")
    for name in value:
        if not name.strip() or len(name) > MAX_COLUMN_NAME:
            raise Unusable(f"A column name must have 1 to {MAX_COLUMN_NAME} characters.")
    check_value(value, MAX_DEPTH)
    return value


def check_value(value: Any, depth: int) -> None:
    """Refuses what JSON escapes can smuggle in, but no UTF-8 file, database or JSON writer could hold."""
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, float):
        if isinf(value):
            raise Unusable("Holds a number that is too large.")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise Unusable(f"Nested more than {MAX_DEPTH} deep.")
        for item in value:
            check_value(item, depth - 1)
        if isinstance(value, dict):
            for item in value.values():
                check_value(item, depth - 1)


def check_text(text: str) -> None:
    if "\x00" in text:
        raise Unusable("Holds a NUL character (\\u0000).")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unusable("Holds half of a character (an unpaired \\ud… escape).") from None


def json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")


def shown(raw: bytes) -> str:
    """The start of a rejected line, in a form that every database can hold."""
    return raw[: REJECTED_TEXT * 4].decode(errors="replace").replace("\x00", "\ufffd").strip()[:REJECTED_TEXT]
