"""What a filter keeps: each row gets at most one reason to be dropped, the first that applies."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from datasets_app import mapping, paths, rows, tables
from datasets_app.models import DatasetVersion
from datasets_app.problems import DatasetProblem
from loracraft.numbers import thousands

HOLDS, HOLDS_NOT, IS, IS_NOT = "holds", "holds_not", "is", "is_not"
FIRST, RANDOM = "first", "random"


@dataclass(frozen=True)
class Filters:
    """Lengths are in characters. An empty `search_column` means any column."""

    empty: bool = False
    min_question: int | None = None
    max_question: int | None = None
    min_answer: int | None = None
    max_answer: int | None = None
    search: str = ""
    search_column: str = ""
    search_how: str = HOLDS
    same_rows: bool = False
    same_questions: bool = False
    keep: int | None = None
    keep_how: str = FIRST
    seed: int = 42

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Filters:
        return cls(**{field.name: stored[field.name] for field in fields(cls) if field.name in stored})

    @property
    def stored(self) -> dict[str, Any]:
        """What differs from no filter at all, for JSON."""
        standard = asdict(Filters())
        return {name: value for name, value in asdict(self).items() if value != standard[name]}

    @property
    def is_empty(self) -> bool:
        return not (self.empty or self.lengths or self.search or self.same_rows or self.same_questions or self.keep)

    @property
    def lengths(self) -> bool:
        return any(v is not None for v in (self.min_question, self.max_question, self.min_answer, self.max_answer))

    @property
    def reads_mapping(self) -> bool:
        return self.empty or self.lengths or self.same_questions


# What becomes of a row, in the order in which a row is looked at: name, words for a table, words for one row.
REASONS = [
    ("empty", "Without question, answer or final answer", "It has no question, no answer or no final answer."),
    ("question_short", "Question too short", "Its question is too short."),
    ("question_long", "Question too long", "Its question is too long."),
    ("answer_short", "Answer too short", "Its answer is too short."),
    ("answer_long", "Answer too long", "Its answer is too long."),
    ("search", "Search does not fit", "It does not fit the search."),
    ("same_rows", "Row repeated", "An earlier row is the same in every column."),
    ("same_questions", "Question repeated", "An earlier row has the same question."),
    ("keep", "Beyond the number to keep", "It is beyond the number of rows to keep."),
]
KEPT = 0
CODES = {name: code for code, (name, _, _) in enumerate(REASONS, 1)}
TITLES = {name: title for name, title, _ in REASONS}
SENTENCES = {name: sentence for name, _, sentence in REASONS}


def titled(dropped: dict[str, int]) -> list[tuple[str, int]]:
    """Title and count of each reason, in the order in which rows are held against them: a database keeps no order."""
    return [(title, dropped[name]) for name, title in TITLES.items() if name in dropped]


def check(version: DatasetVersion, filters: Filters) -> None:
    """Raises DatasetProblem if nothing is filtered, or something that this version does not have."""
    if filters.is_empty:
        raise DatasetProblem("Choose what to leave out: nothing is chosen yet.")
    if filters.reads_mapping and not version.mapping:
        raise DatasetProblem("Choose question and answer column first: these filters look at question and answer.")
    for least, most, name in (
        (filters.min_question, filters.max_question, "question"),
        (filters.min_answer, filters.max_answer, "answer"),
    ):
        if least is not None and most is not None and least > most:
            raise DatasetProblem(
                f"No {name} can have at least {thousands(least)} and at most {thousands(most)} characters.",
                field=f"max_{name}",
            )
    if filters.search_column and not paths.valid(version.columns, filters.search_column):
        raise DatasetProblem(
            f"There is no column “{filters.search_column}”. The columns are: {rows.names_of(version.columns)}.",
            field="search_column",
        )


def verdicts(
    version: DatasetVersion, filters: Filters, tell: Callable[[int], None] | None = None, limit: int | None = None
) -> Any:
    """A NumPy array with a code for each row (the first `limit` rows): KEPT, or one of CODES. Holds some 30 bytes a
    row. `tell` is called with the number of rows looked at."""
    import numpy as np

    judge = Judge(version, filters)
    for number, cells in tables.records(version.path, judge.columns):
        if limit is not None and number >= limit:
            break
        judge.look(cells)
        if tell and number % 1000 == 0:
            tell(number)
    codes = np.array(judge.codes, dtype=np.uint8)
    drop_repeated(codes, judge.row_keys, CODES["same_rows"])
    drop_repeated(codes, judge.question_keys, CODES["same_questions"])
    drop_beyond(codes, filters)
    return codes


class Judge:
    """What one row shows by itself, and what is needed to compare it with the others."""

    def __init__(self, version: DatasetVersion, filters: Filters) -> None:
        self.filters = filters
        self.how = rows.reading(version, mapping.section_of(version)) if filters.reads_mapping else None
        self.places = searched(version, filters)
        every = [column["name"] for column in version.columns]
        read = [*(self.how.columns if self.how else []), *(place.column for place in self.places)]
        self.columns = every if filters.same_rows or not read else read
        self.fits = comparison(filters)
        self.codes, self.row_keys, self.question_keys = array("B"), array("Q"), array("Q")

    def look(self, cells: dict[str, Any]) -> None:
        question = self.how.question(cells) if self.how else ""
        answer = self.how.answer(cells) if self.how else ""
        self.codes.append(CODES.get(self.reason(cells, question, answer), KEPT))
        if self.filters.same_rows:
            self.row_keys.append(tables.key(repr(sorted(cells.items()))))
        if self.filters.same_questions:
            self.question_keys.append(tables.key(rows.same_question(question)))

    def reason(self, cells: dict[str, Any], question: str, answer: str) -> str:
        wanted = self.filters
        if wanted.empty and self.how and rows.missing(question, answer, self.how.rule):
            return "empty"
        for name, text, least, most in (
            ("question", question, wanted.min_question, wanted.max_question),
            ("answer", answer, wanted.min_answer, wanted.max_answer),
        ):
            if least is not None and len(text) < least:
                return f"{name}_short"
            if most is not None and len(text) > most:
                return f"{name}_long"
        if wanted.search and not self.fits([tables.text(place.find(cells)) for place in self.places]):
            return "search"
        return ""


def searched(version: DatasetVersion, filters: Filters) -> list[paths.Place]:
    if not filters.search:
        return []
    names = [filters.search_column] if filters.search_column else [c["name"] for c in version.columns]
    return [rows.known(version.columns, name) for name in names]


def comparison(filters: Filters) -> Callable[[list[str]], bool]:
    """Whether a row's cells fit the search: held text in any case, equal text as it is written."""
    wanted, lower = filters.search.strip(), filters.search.casefold()
    compare = {
        HOLDS: lambda cells: any(lower in cell.casefold() for cell in cells),
        HOLDS_NOT: lambda cells: not any(lower in cell.casefold() for cell in cells),
        IS: lambda cells: any(cell.strip() == wanted for cell in cells),
        IS_NOT: lambda cells: not any(cell.strip() == wanted for cell in cells),
    }
    return compare[filters.search_how]


def drop_repeated(codes: Any, keys: Any, code: int) -> None:
    """Of the rows that are left, all but the first with each key."""
    import numpy as np

    if len(keys):
        left = np.flatnonzero(codes == KEPT)
        _, first = np.unique(np.asarray(keys)[left], return_index=True)
        repeated = np.ones(len(left), bool)
        repeated[first] = False
        codes[left[repeated]] = code


def drop_beyond(codes: Any, filters: Filters) -> None:
    import numpy as np

    left = np.flatnonzero(codes == KEPT)
    if not filters.keep or len(left) <= filters.keep:
        return
    if filters.keep_how == RANDOM:
        seed = rows.as_key(filters.seed)
        order = array("Q", (rows.ordering(seed, str(number)) >> 64 for number in left.tolist()))
        left = left[np.argsort(np.asarray(order), kind="stable")]
    codes[left[filters.keep :]] = CODES["keep"]


def counts(codes: Any) -> dict[str, int]:
    """{reason: rows} of those that are dropped, in the order of REASONS."""
    import numpy as np

    found = np.bincount(codes, minlength=len(REASONS) + 1)
    return {name: int(found[code]) for name, code in CODES.items() if found[code]}


def words(filters: Filters) -> list[str]:
    """What a filter leaves out, in words, for the list of versions."""
    said = []
    if filters.empty:
        said.append("rows without question, answer or final answer")
    for name, least, most in (
        ("question", filters.min_question, filters.max_question),
        ("answer", filters.min_answer, filters.max_answer),
    ):
        if least is not None:
            said.append(f"{name} under {thousands(least)} characters")
        if most is not None:
            said.append(f"{name} over {thousands(most)} characters")
    if filters.search:
        said.append(search_words(filters))
    if filters.same_rows:
        said.append("repeated rows")
    if filters.same_questions:
        said.append("repeated questions")
    if filters.keep:
        chosen = f"chosen by seed {filters.seed}" if filters.keep_how == RANDOM else "from the top"
        said.append(f"all but {thousands(filters.keep)} rows {chosen}")
    return said


def search_words(filters: Filters) -> str:
    where = f"“{filters.search_column}”" if filters.search_column else "any column"
    verb = {HOLDS: "not holding", HOLDS_NOT: "holding", IS: "other than", IS_NOT: "equal to"}[filters.search_how]
    return f"rows with {where} {verb} “{filters.search}”"
