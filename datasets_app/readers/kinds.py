"""Which format a file has: by its content, and by the ending of its name where that leaves a choice."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

from datasets_app.limits import ACCEPTED
from datasets_app.problems import DatasetProblem
from datasets_app.readers import table

PARQUET = b"PAR1"
# First bytes of files that are none of these, with the word for them and what to do.
OTHERS = {
    b"PK\x03\x04": ("a zip archive or an Excel or Word file", "Unpack it, or save the table as CSV."),
    b"\xd0\xcf\x11\xe0": ("an old Excel or Word file", "Save the table as CSV."),
    b"7z\xbc\xaf": ("a 7-Zip archive", "Unpack it first."),
    b"Rar!": ("a RAR archive", "Unpack it first."),
    b"BZh": ("a bzip2 archive", "Unpack it first."),
    b"\xfd7zXZ": ("an xz archive", "Unpack it first."),
    b"%PDF": ("a PDF document", "Copy its text into a file with one row a line."),
    b"ARROW1": ("an Arrow or Feather file", "Save it as Parquet."),
    b"\xff\xff\xff\xff": ("an Arrow stream", "Save it as Parquet."),
    b"Obj\x01": ("an Avro file", "Save it as Parquet."),
    b"ORC": ("an ORC file", "Save it as Parquet."),
    b"PARE": ("an encrypted Parquet file", "Save it without encryption."),
    b"SQLite format 3": ("an SQLite database", "Save the table as CSV."),
    b"\x80\x04\x95": ("a pickle, which can run code", "Save it as Parquet or JSONL."),
    b"\x89PNG": ("a picture", "Rows of text are needed."),
    b"\xff\xd8\xff": ("a picture", "Rows of text are needed."),
    b"\x89HDF": ("an HDF5 file", "Save it as Parquet."),
}
TAR_MAGIC = slice(257, 262)
ENDINGS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    # One that does not begin like JSON: its lines are rejected one by one, which shows the first of them.
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".log": "text",
}
LINED = {".jsonl", ".ndjson"}
PACKED = {".gz", ".gzip", ".zst", ".zstd"}
LINES_LOOKED_AT = 20
LIST_START = re.compile(r"\[\s*(\{|\[|\]|$)")
OBJECT_START = re.compile(r'\{\s*("(?:[^"\\]|\\.)*"\s*(:|$)|\}|$)')
ROWS_NAMES = ("data", "rows", "train", "examples", "items", "records", "samples", "instances")
ROWS_START = re.compile(rf'\{{\s*"(?:{"|".join(ROWS_NAMES)})"\s*:\s*\[\s*\{{', re.IGNORECASE)


def refuse_others(head: bytes) -> None:
    for magic, (kind, advice) in OTHERS.items():
        if head.startswith(magic):
            raise DatasetProblem(f"This file is {kind}. {advice} Accepted are {ACCEPTED}.")
    if head[TAR_MAGIC] == b"ustar":
        raise DatasetProblem(f"This file is a tar archive. Unpack it first. Accepted are {ACCEPTED}.")


def ending_of(file_name: str) -> str:
    """The ending that says what is inside: of rows.csv.gz it is .csv."""
    path = PurePosixPath(file_name.replace("\\", "/").lower())
    return PurePosixPath(path.stem).suffix if path.suffix in PACKED else path.suffix


def of_text(head: str, *, whole: bool, ending: str) -> str:
    """jsonl, json, csv or text, from the beginning of a text; `whole`: there is no more of it."""
    start = head.lstrip()
    if start[:1] in ("{", "["):
        found = of_json(start, whole=whole, ending=ending)
        if found:
            return found
    if ending in ENDINGS:
        return ENDINGS[ending]
    return "csv" if is_table(head, whole) else "text"


def of_json(start: str, *, whole: bool, ending: str) -> str:
    """ "" if it only looks like JSON at first sight."""
    complete = start if whole else start.rpartition("\n")[0]
    lines = [line for line in complete.splitlines() if line.strip()][:LINES_LOOKED_AT]
    if not lines:
        # One line that goes on and on.
        listed = start[0] == "[" or ROWS_START.match(start)
        return "json" if listed and ending not in LINED else "jsonl"
    first = parsed(lines[0])
    if isinstance(first, dict):
        return "json" if len(lines) == 1 and whole and holds_rows(first) else "jsonl"
    rows = sum(isinstance(parsed(line), dict) for line in lines[1:])
    if first is not None:
        if ENDINGS.get(ending) == "text" and not rows and not is_list_of_rows(first):
            return ""
        return "jsonl" if rows or ending in LINED else "json"
    if ending in LINED:
        return "json" if begins_document(lines[0]) and LIST_START.match(start) else "jsonl"
    if not (LIST_START if start[0] == "[" else OBJECT_START).match(start):
        return ""
    return "jsonl" if rows and not begins_document(lines[0]) else "json"


def begins_document(line: str) -> bool:
    """Whether a line that is not JSON by itself is the beginning of a document over several lines."""
    return line.rstrip().endswith(("{", "[", ",", ":"))


def parsed(line: str) -> Any:
    """None if it is not JSON by itself."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def holds_rows(value: dict[str, Any]) -> bool:
    return any(name.lower() in ROWS_NAMES and is_list_of_rows(cell) for name, cell in value.items())


def is_list_of_rows(value: Any) -> bool:
    return isinstance(value, list) and (not value or isinstance(value[0], dict))


def is_table(head: str, whole: bool) -> bool:
    dialect = table.detect(head, whole=whole)
    return dialect.width > 1 and dialect.agreement >= 0.9 and head.count("\n") + whole >= 2
