"""What every reader gives, and what makes a row unusable."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NamedTuple

from datasets_app.limits import MAX_COLUMN_NAME, MAX_COLUMNS, MAX_DEPTH, REJECTED_TEXT


class Rejected(NamedTuple):
    """Line (or row) `line` of the file can't be used, for `reason`; `text` is its start."""

    line: int
    reason: str
    text: str = ""


class Batch(NamedTuple):
    """Row `rows[i]` is line `numbers[i]` of the file. What is in `rejected` was between them."""

    rows: list[dict[str, Any]]
    numbers: list[int]
    rejected: list[Rejected]


@dataclass
class Source:
    """What a file turned out to be. Readers add what they find out."""

    format: str = ""
    compression: str = ""
    encoding: str = ""
    delimiter: str = ""
    bytes: int = 0
    sha256: str = ""
    # What `line` of a rejected row counts: "line" or "row".
    unit: str = "line"
    # Sentences for the report: guesses, renamed columns, …
    notes: list[str] = field(default_factory=list)
    # Numbers come as text, as in CSV.
    loose: bool = False
    # What is said of a file without any row.
    empty: str = "it is empty."

    def told(self) -> dict[str, Any]:
        """For the version's report."""
        hidden = {"loose", "empty"}
        return {name: value for name, value in vars(self).items() if name not in hidden}


class Unusable(ValueError):
    """Why a line can't become a row."""


def checked(value: Any) -> dict[str, Any]:
    """`value` if it is a row that can be stored. Raises Unusable."""
    if not isinstance(value, dict):
        raise Unusable(f"Not an object: this is {json_type(value)}. A row is an object: {{…}}.")
    if not value:
        raise Unusable("An empty object.")
    if len(value) > MAX_COLUMNS:
        raise Unusable(f"{len(value)} columns: at most {MAX_COLUMNS} are allowed.")
    for name, cell in value.items():
        check_name(name)
        check_value(cell, MAX_DEPTH - 1, name)
    return value


def check_name(name: str) -> None:
    check_text(name, "A column name")
    if not name.strip() or len(name) > MAX_COLUMN_NAME:
        raise Unusable(f"A column name must have 1 to {MAX_COLUMN_NAME} characters.")


def check_value(value: Any, depth: int, column: str) -> None:
    """Refuses what JSON escapes can smuggle in, but no UTF-8 file, database or JSON writer could hold."""
    if isinstance(value, str):
        check_text(value, f"Column “{column}”")
    elif isinstance(value, float):
        if not isfinite(value):
            raise Unusable(f"Column “{column}” holds a number that is too large or none at all (NaN).")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise Unusable(f"Column “{column}” is nested more than {MAX_DEPTH} deep.")
        for item in value:
            check_value(item, depth - 1, column)
        if isinstance(value, dict):
            for item in value.values():
                check_value(item, depth - 1, column)


def check_text(text: str, what: str) -> None:
    if "\x00" in text:
        raise Unusable(f"{what} holds a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            raise Unusable(f"{what} is not UTF-8: byte 0x{code - 0xDC00:02X}.") from None
        raise Unusable(f"{what} holds half of a character (an unpaired \\ud… escape).") from None


def json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")


def shown(raw: bytes | str) -> str:
    """The start of a rejected line, in a form that every database can hold."""
    start = raw[: REJECTED_TEXT * 4]
    text = start.decode(errors="replace") if isinstance(start, bytes) else start
    return text.encode(errors="replace").decode().replace("\x00", "\ufffd").strip()[:REJECTED_TEXT]
