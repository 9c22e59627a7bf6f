"""A file of prompts: its rows, which of its columns is what, and what is wrong with it, line by line."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets_app import columns as names
from datasets_app.limits import MIB, readable
from datasets_app.problems import DatasetProblem
from datasets_app.readers import encodings, kinds, opening
from datasets_app.readers import text as lines_of_text
from datasets_app.readers.meter import Meter
from datasets_app.readers.rows import Batch as Piece
from datasets_app.readers.rows import Source, Unusable, check_text
from datasets_app.readers.streams import Stream, SuspectEncoding, compression_of, text_of
from loracraft.numbers import thousands

ACCEPTED = ".txt with a prompt on each line, .csv, .json and .jsonl"
MOST_ROWS = 10_000
MOST_BYTES = 16 * MIB
LONGEST_PROMPT = 100_000
PROMPT_NAMES = ("prompt", *(name for name in names.QUESTION_NAMES if name != "prompt"))
REFERENCE_NAMES = ("reference", "reference_answer", "expected", "expected_answer", "gold", *names.ANSWER_NAMES)
TEXTS = re.compile(rb'\s*\[\s*"')


class FileProblem(Exception):
    """Why nothing of this file can be used, and what to do."""


@dataclass(frozen=True)
class Fault:
    """A line that can't be a row; `column` is "" where all of the line is wrong."""

    line: int
    column: str
    reason: str

    def said(self, unit: str = "line") -> str:
        where = f", column “{self.column}”" if self.column else ""
        return f"{unit.capitalize()} {thousands(self.line)}{where}: {self.reason}"


@dataclass(frozen=True)
class Prompt:
    line: int
    text: str
    reference: str
    columns: dict[str, Any]


@dataclass
class Parsed:
    """`unit` is what `line` counts: lines, or rows of a JSON document."""

    format: str = ""
    unit: str = "line"
    columns: list[str] = field(default_factory=list)
    rows: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def prompt_guess(self) -> str:
        if len(self.columns) == 1:
            return self.columns[0]
        return names.by_name(self.described, PROMPT_NAMES).column

    def reference_guess(self, prompt: str) -> str:
        return names.by_name([each for each in self.described if each["name"] != prompt], REFERENCE_NAMES).column

    @property
    def described(self) -> list[dict[str, Any]]:
        """The columns as datasets_app.columns wants them."""
        filled = {name: sum(row.get(name) is not None for _, row in self.rows) for name in self.columns}
        return [{"name": name, "type": "text", "filled": filled[name] / len(self.rows)} for name in self.columns]


def read(content: bytes, name: str = "", *, lines: bool = False) -> Parsed:
    """`lines`: each line is a prompt, whatever it looks like. Raises FileProblem."""
    refuse(content)
    try:
        parsed = parsed_in(content, name, lines)
    except DatasetProblem as problem:
        where = f"Line {thousands(problem.line)}: " if problem.line else ""
        raise FileProblem(where + problem.message.replace(" Nothing was imported.", "")) from None
    if not parsed.rows and not parsed.faults:
        raise FileProblem(f"There is no row in it. Accepted are {ACCEPTED}.")
    if not parsed.rows:
        first = parsed.faults[0].said(parsed.unit)
        raise FileProblem(f"There is no line in it that can be read. {first}")
    return parsed


def refuse(content: bytes) -> None:
    """Raises FileProblem for what is no file of prompts at first sight."""
    if not content.strip():
        raise FileProblem(f"It is empty. Accepted are {ACCEPTED}.")
    if len(content) > MOST_BYTES:
        raise FileProblem(
            f"It has {readable(len(content))}, and a batch takes {readable(MOST_BYTES)} at most. Split it into several"
            " batches."
        )
    known = next((words for magic, words in kinds.OTHERS.items() if content.startswith(magic)), None)
    if known:
        raise FileProblem(f"This is {known[0]}. {known[1]} Accepted are {ACCEPTED}.")
    if content.startswith(kinds.PARQUET):
        raise FileProblem(f"This is a Parquet file. Save it as JSONL or CSV. Accepted are {ACCEPTED}.")
    if packed := compression_of(content):
        raise FileProblem(f"This is packed with {packed}. Unpack it first. Accepted are {ACCEPTED}.")


def parsed_in(content: bytes, name: str, lines: bool) -> Parsed:
    if not lines and TEXTS.match(content) and (texts := list_of_texts(content)):
        return gathered(Source(format="json", unit="row"), iter([texts]))
    try:
        return parsed_as(content, name, lines, "")
    except SuspectEncoding:
        return parsed_as(content, name, lines, likeliest_encoding(content))


def list_of_texts(content: bytes) -> Piece | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(each, str) for each in found):
        return None
    return Piece([{lines_of_text.COLUMN: each} for each in found], list(range(1, len(found) + 1)), [])


def likeliest_encoding(content: bytes) -> str:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        return encodings.judge(Path(file.name), Meter())


def parsed_as(content: bytes, name: str, lines: bool, encoding: str) -> Parsed:
    source = Source()
    stream = Stream(io.BytesIO(content))
    if lines:
        source.format = "text"
        marked = encodings.by_start(stream.head)
        return gathered(source, lines_of_text.read(text_of(stream, marked or encoding)))
    found = gathered(source, opening.of_text(stream, name, source, encoding))
    # Sentences with commas look like a table. Without a name that says so they are one only if a column is called so.
    if found.format == "csv" and not kinds.ending_of(name) and not found.prompt_guess:
        return parsed_as(content, name, True, encoding)
    return found


def gathered(source: Source, pieces: Iterator[Piece]) -> Parsed:
    parsed, count, seen = Parsed(), 0, dict[str, None]()
    for piece in pieces:
        count += len(piece.rows)
        parsed.faults += [Fault(each.line, "", each.reason) for each in piece.rejected]
        if count <= MOST_ROWS:
            for number, row in zip(piece.numbers, piece.rows, strict=True):
                take(parsed, number, row, seen)
    if count > MOST_ROWS:
        raise FileProblem(
            f"It has {thousands(count)} rows, and a batch takes {thousands(MOST_ROWS)} at most. Split it into"
            f" {thousands(-(-count // MOST_ROWS))} files, each a batch of its own, or keep a sample of the rows."
        )
    parsed.format, parsed.unit, parsed.columns = source.format, source.unit, list(seen)
    parsed.notes = source.notes
    return parsed


def take(parsed: Parsed, number: int, row: Any, seen: dict[str, None]) -> None:
    if not isinstance(row, dict) or not row:
        parsed.faults.append(Fault(number, "", "not an object with a prompt in it."))
        return
    seen.update(dict.fromkeys(row))
    parsed.rows.append((number, row))


def prompts(parsed: Parsed, prompt: str, reference: str) -> tuple[list[Prompt], list[Fault]]:
    """The rows that a model can be given, and what is wrong with the others, in the order of the file."""
    found, faults = list[Prompt](), list(parsed.faults)
    for line, row in parsed.rows:
        made = prompt_in(line, row, prompt, reference)
        if isinstance(made, Fault):
            faults.append(made)
        else:
            found.append(made)
    return found, sorted(faults, key=lambda fault: fault.line)


def prompt_in(line: int, row: dict[str, Any], prompt: str, reference: str) -> Prompt | Fault:
    column = prompt
    try:
        text = text_in(row.get(prompt))
        if not text.strip():
            return Fault(line, prompt, "there is no prompt.")
        column = reference
        expected = reference_in(row.get(reference)) if reference else ""
    except Unusable as error:
        return Fault(line, column, str(error))
    others = {name: cell for name, cell in row.items() if name not in (prompt, reference)}
    return Prompt(line, text, expected, others)


def text_in(cell: Any) -> str:
    """Raises Unusable."""
    if isinstance(cell, list | dict):
        kind = "a list" if isinstance(cell, list) else "an object"
        raise Unusable(f"it holds {kind}, and a prompt is text. Choose another column.")
    text = cell if isinstance(cell, str) else "" if cell is None else json.dumps(cell)
    check_text(text, "It")
    if len(text) > LONGEST_PROMPT:
        raise Unusable(
            f"it has {thousands(len(text))} characters, and a prompt has {thousands(LONGEST_PROMPT)} at most."
        )
    return text


def reference_in(cell: Any) -> str:
    """Raises Unusable."""
    text = cell if isinstance(cell, str) else "" if cell is None else json.dumps(cell, ensure_ascii=False)
    check_text(text, "It")
    return text.strip()
