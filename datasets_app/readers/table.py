"""CSV and its relatives. The first line names the columns; a cell may span lines if it is quoted."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from datasets_app.limits import MAX_COLUMNS, MAX_LINE_BYTES, MIB
from datasets_app.problems import DatasetProblem
from datasets_app.readers.rows import Batch, Rejected, Source, Unusable, check_name, shown
from datasets_app.readers.streams import Long, Stream, blocks, too_long
from loracraft.numbers import thousands

DELIMITERS = ",;\t|"
SAMPLE_RECORDS = 60
BATCH_ROWS = 2000
BATCH_BYTES = MIB


@dataclass(frozen=True)
class Dialect:
    """`agreement`: share of the first records that are as wide as the first one."""

    delimiter: str
    escape: str | None = None
    width: int = 1
    agreement: float = 0.0

    def reader(self, lines: Iterator[str]) -> Iterator[list[str]]:
        return csv.reader(
            lines, delimiter=self.delimiter, escapechar=self.escape, doublequote=self.escape is None, strict=True
        )


def detect(head: str, *, whole: bool, ending: str = "") -> Dialect:
    """The dialect in which the beginning of the file makes the most even table."""
    text = head if whole else head.rpartition("\n")[0]
    escapes = [None, "\\"] if '\\"' in text else [None]
    found = [measured(Dialect(delimiter, escape), text, whole) for delimiter in DELIMITERS for escape in escapes]
    best = max(found, key=lambda dialect: (dialect.width > 1, round(dialect.agreement, 1), dialect.width))
    if best.width == 1:
        return Dialect("\t" if ending == ".tsv" else ",", best.escape, 1, best.agreement)
    return best


def measured(dialect: Dialect, text: str, whole: bool) -> Dialect:
    records = dialect.reader(iter(text.splitlines(keepends=True)))
    widths: list[int] = []
    bad = 0
    while len(widths) + bad < SAMPLE_RECORDS:
        try:
            cells = next(records)
        except StopIteration:
            break
        except csv.Error as error:
            # The beginning of a file may end within a cell.
            bad += whole or "end of data" not in str(error)
        else:
            widths += [len(cells)] if cells else []
    width = widths[0] if widths else 1
    agreement = widths.count(width) / max(len(widths) + bad, 1)
    return Dialect(dialect.delimiter, dialect.escape, width, agreement)


class TooLong(Unusable):
    pass


class Lines:
    """The lines of the file as csv wants them. Goes on after it has raised TooLong."""

    def __init__(self, stream: Stream) -> None:
        self.lines = (line for block in blocks(stream) for line in block)
        self.number = 0
        self.read = 0
        self.text = b""

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        self.text = next(self.lines)
        self.number += 1
        self.read += len(self.text)
        if isinstance(self.text, Long):
            raise TooLong(too_long())
        return self.text.decode(errors="surrogateescape") + "\n"


def read(stream: Stream, dialect: Dialect, source: Source) -> Iterator[Batch]:
    csv.field_size_limit(MAX_LINE_BYTES)
    lines = Lines(stream)
    records = numbered(lines, dialect)
    names: list[str] = []
    batch, begun = Batch([], [], []), 0
    for number, cells, error in records:
        if error:
            text = shown(lines.text) if number == lines.number else ""
            batch.rejected.append(Rejected(number, error, text))
        elif cells and not names:
            names = header(cells, source)
        elif cells:
            take(batch, number, cells, names, dialect)
        if len(batch.rows) + len(batch.rejected) >= BATCH_ROWS or lines.read - begun > BATCH_BYTES:
            yield batch
            batch, begun = Batch([], [], []), lines.read
    yield batch


def numbered(lines: Lines, dialect: Dialect) -> Iterator[tuple[int, list[str], str]]:
    """(its first line, cells, "") of each record, and (line, [], what is wrong) of each line that is in none."""
    reader = dialect.reader(lines)
    while True:
        first = lines.number + 1
        try:
            yield first, next(reader), ""
            continue
        except StopIteration:
            return
        except TooLong as error:
            wrong = str(error)
        except csv.Error as error:
            wrong = reason(str(error), first, lines.number)
        # csv lost its way: every line that it took on the way is said to be lost.
        for number in range(first, lines.number + 1):
            yield number, [], wrong


def reason(error: str, first: int, last: int) -> str:
    if "end of data" in error or "field larger" in error:
        return (
            f"A quote opens in line {thousands(first)} and is not closed up to line"
            f" {thousands(last)}. Double it, or remove it."
        )
    return "A quote within a cell is not doubled, so that it is not clear where the cell ends. Double it."


def header(cells: list[str], source: Source) -> list[str]:
    if len(cells) > MAX_COLUMNS:
        raise DatasetProblem(f"The header has {len(cells)} columns: at most {MAX_COLUMNS} are allowed.", line=1)
    names = unique_names([cell.strip() for cell in cells], source)
    for number, name in enumerate(names, 1):
        try:
            check_name(name)
        except Unusable as error:
            raise DatasetProblem(f"Column {number} of the header can't be used: {error}", line=1) from None
    source.empty = f"under its header ({', '.join(names)[:200]}) there is no row."
    return names


def unique_names(names: list[str], source: Source) -> list[str]:
    """Each name once: a column without a name, or with that of another, gets one that says so."""
    taken: set[str] = set()
    for place, name in enumerate(names):
        wanted = name or f"column {place + 1}"
        free, number = wanted, 2
        while free in taken or (number > 2 and free in names):
            free, number = f"{wanted} ({number})", number + 1
        if not name:
            source.notes.append(f"Column {place + 1} has no name. It is called “{free}”.")
        elif free != name:
            source.notes.append(f"The column name “{name}” is used twice. The second one is called “{free}”.")
        taken.add(free)
        names = [*names[:place], free, *names[place + 1 :]]
    return names


def take(batch: Batch, number: int, cells: list[str], names: list[str], dialect: Dialect) -> None:
    extra = cells[len(names) :]
    if len(cells) < len(names) or any(extra):
        text = shown(dialect.delimiter.join(cells))
        batch.rejected.append(Rejected(number, f"{cells_of(cells)}, but the header has {len(names)}.", text))
    elif not any(cells):
        batch.rejected.append(Rejected(number, "All cells are empty."))
    else:
        batch.rows.append(dict(zip(names, [cell or None for cell in cells], strict=False)))
        batch.numbers.append(number)


def cells_of(cells: list[str]) -> str:
    return "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
