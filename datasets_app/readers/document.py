"""One JSON document: a list of objects, or an object with such a list in it. Read value by value, never as a whole.

json's own scanner reads each value, so that numbers, names and characters are exactly those of the file; a streaming
parser such as ijson would save a few lines, but writes “?” for half a character and knows no line numbers.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

from datasets_app.limits import MAX_DEPTH, MAX_LINE_BYTES, MIB, readable
from datasets_app.problems import DatasetProblem
from datasets_app.readers.exact import repeated
from datasets_app.readers.rows import Batch, Rejected, Source, shown
from datasets_app.readers.streams import CHUNK, Stream
from loracraft.numbers import thousands

BATCH_CHARACTERS = MIB
BATCH_ROWS = 5000
WHITESPACE = re.compile(r"[ \t\n\r]*")
# Lists with these names are parts of one dataset; the part's name becomes a column.
PARTS = {"train", "training", "validation", "valid", "val", "dev", "test", "eval", "evaluation"}
PART_COLUMN = "split"
# Lists of objects that belong to one row.
WITHIN_ROW = {"messages", "conversations", "conversation", "turns", "dialog", "dialogue"}


class Scanner:
    """The values of a document, one after the other, with little more of it in memory than one of them."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text = ""
        self.at = 0
        self.ended = False
        # Before `text`.
        self.lines = self.characters = 0
        # What is wrong with the value read last.
        self.flaws: list[str] = []
        hooks: dict[str, Any] = {"object_pairs_hook": self.pairs, "parse_constant": self.constant}
        self.json = json.JSONDecoder(**hooks)
        self.careful = json.JSONDecoder(**hooks, parse_int=self.integer)

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            name = repeated([name for name, _ in pairs])
            self.flaws.append(f"Has the name “{name}” twice. Keep one of them.")
        return found

    def constant(self, name: str) -> None:
        self.flaws.append(f"Holds {name}, which is not a JSON value. Write null or leave it out.")

    def integer(self, digits: str) -> int:
        try:
            return int(digits)
        except ValueError:
            self.flaws.append("Holds a number with too many digits.")
            return 0

    @property
    def line(self) -> int:
        return self.lines + self.text.count("\n", 0, self.at) + 1

    @property
    def place(self) -> int:
        return self.characters + self.at

    def fill(self) -> None:
        """Reads on; the more, the longer the value is that has to be seen as a whole."""
        self.lines += self.text.count("\n", 0, self.at)
        self.characters += self.at
        pieces, size = [self.text[self.at :]], 0
        wanted = max(CHUNK, len(pieces[0]))
        while size < wanted and not self.ended:
            raw = self.stream.read(CHUNK)
            self.ended = not raw
            pieces.append(self.decoder.decode(raw, not raw))
            size += len(raw)
        self.text, self.at = "".join(pieces), 0

    def peek(self) -> str:
        """The next character that is no white space; "" at the end."""
        while True:
            found = WHITESPACE.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.fill()

    def take(self, character: str, where: str) -> None:
        found = self.peek()
        if found != character:
            raise self.problem(f"{where}: “{character}” is expected, and there is {named(found)}.", found)
        self.at += 1

    def value(self, where: str) -> Any:
        self.peek()
        failed = -1
        while True:
            self.flaws.clear()
            try:
                value, end = self.decoded()
                # What touches the end of what was read may go on.
                if end < len(self.text) or self.ended:
                    self.at = end
                    return value
            except json.JSONDecodeError as error:
                # What more text does not put right is wrong; a text without an end may still end.
                stays = self.characters + error.pos == failed and not error.msg.startswith("Unterminated")
                if self.ended or stays:
                    raise self.broken(where, error) from None
                failed = self.characters + error.pos
            except RecursionError:
                raise DatasetProblem(f"{where}: nested more than {MAX_DEPTH} deep.", line=self.line) from None
            if len(self.text) - self.at > MAX_LINE_BYTES:
                size = readable(MAX_LINE_BYTES)
                raise self.problem(f"{where}: longer than {size}, or a quote or bracket in it is never closed.")
            self.fill()

    def decoded(self) -> tuple[Any, int]:
        try:
            return self.json.raw_decode(self.text, self.at)
        except json.JSONDecodeError:
            raise
        except ValueError:
            # A whole number with more digits than Python reads.
            self.flaws.clear()
            return self.careful.raw_decode(self.text, self.at)

    def broken(self, where: str, error: json.JSONDecodeError) -> DatasetProblem:
        self.at = min(error.pos, len(self.text))
        if not self.text[self.at :].strip() or error.msg.startswith("Unterminated"):
            return self.problem(f"{where}: the file ends in the middle of it.", "")
        return self.problem(f"{where}: not JSON, {error.msg}.")

    def problem(self, message: str, found: str = "-") -> DatasetProblem:
        if not found:
            message += " The file seems to be cut off."
        return DatasetProblem(f"{message} Nothing was imported.", line=self.line)


def named(character: str) -> str:
    return f"“{character}”" if character else "the end of the file"


def read(stream: Stream, source: Source) -> Iterator[Batch]:
    source.unit = "row"
    scanner = Scanner(stream)
    if scanner.peek() == "[":
        yield from objects(scanner, Numbers())
    else:
        yield from fields(scanner, source)
    if left := scanner.peek():
        raise scanner.problem(f"After the end of the document there is more: {named(left)}.")


class Numbers:
    """Rows are numbered through all lists of a document."""

    last = 0

    def next(self) -> int:
        self.last += 1
        return self.last


def fields(scanner: Scanner, source: Source) -> Iterator[Batch]:
    numbers, lists, others = Numbers(), [], []
    scanner.take("{", "The document")
    more = scanner.peek() != "}"
    while more:
        name = scanner.value("The name of a field")
        if not isinstance(name, str):
            raise scanner.problem("A field of the document has no name.")
        scanner.take(":", f"Field “{name[:100]}”")
        if name.lower() not in WITHIN_ROW and begins_rows(scanner):
            lists.append(name)
            check_lists(lists)
            yield from objects(scanner, numbers, name if name.lower() in PARTS else "")
        else:
            scanner.value(f"Field “{name[:100]}”")
            others.append(name)
        more = scanner.peek() == ","
        scanner.at += more
    scanner.take("}", "The document")
    if not lists:
        raise DatasetProblem(no_rows(others))
    if others:
        source.notes.append(f"The rows were taken from {quoted(lists)}. Left out: {quoted(others)}.")


def begins_rows(scanner: Scanner) -> bool:
    """Whether a list of objects, or an empty one, comes next."""
    if scanner.peek() != "[":
        return False
    while not (left := scanner.text[scanner.at + 1 :].lstrip()) and not scanner.ended:
        scanner.fill()
    return left[:1] in ("{", "]")


def check_lists(lists: list[str]) -> None:
    if len(lists) > 1 and any(name.lower() not in PARTS for name in lists):
        raise DatasetProblem(f"The document has more than one list of rows: {quoted(lists)}. Keep one of them.")


def no_rows(names: list[str]) -> str:
    has = f"it has {quoted(names)}" if names else "it is empty"
    return (
        f"The document is one object without a list of rows in it: {has}. Upload a list of objects, an object with"
        " such a list (“data”, “rows”, “train”, …), or JSONL: one object on each line."
    )


def quoted(names: list[str]) -> str:
    shown_names = [f"“{name[:60]}”" for name in names[:8]]
    return ", ".join(shown_names) + (", …" if len(names) > 8 else "")


def objects(scanner: Scanner, numbers: Numbers, part: str = "") -> Iterator[Batch]:
    scanner.take("[", "The list of rows")
    batch, begun = Batch([], [], []), scanner.place
    more = scanner.peek() != "]"
    while more:
        number = numbers.next()
        take(batch, number, scanner.value(f"Row {thousands(number)}"), scanner.flaws, part)
        if len(batch.rows) + len(batch.rejected) >= BATCH_ROWS or scanner.place - begun > BATCH_CHARACTERS:
            yield batch
            batch, begun = Batch([], [], []), scanner.place
        more = scanner.peek() == ","
        scanner.at += more
    scanner.take("]", f"After row {thousands(numbers.last)}")
    yield batch


def take(batch: Batch, number: int, value: Any, flaws: list[str], part: str) -> None:
    if flaws:
        batch.rejected.append(Rejected(number, flaws[0], shown(json.dumps(value, ensure_ascii=False))))
        return
    if part and isinstance(value, dict) and value:
        value.setdefault(PART_COLUMN, part)
    batch.rows.append(value)
    batch.numbers.append(number)
