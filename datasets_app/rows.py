"""The rows of a dataset version as training and evaluation get them.

Every row belongs to the test part, the validation part, the train part or none, and no question is in two parts: test
wins over validation, validation over train. The parts are derived, not stored, from the version's frozen split:

- by seed: questions are ordered by a keyed hash of their text; the first `held_out` different ones are the test part,
  the next `validation` the validation part, all others train;
- from the source: a column says where each row belongs.

Test and validation hold one row of each of their questions. Further rows with such a question are in no part.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

from datasets_app import paths, tables
from datasets_app.limits import HELD_OUT_ROWS, HELD_OUT_SHARE, SPLIT_SEED
from datasets_app.models import DatasetVersion
from datasets_app.paths import Place
from datasets_app.problems import DatasetProblem
from datasets_app.rules import RULES, Rule

TRAIN = "train"
# What a row is, looked at by itself. LOST: it can't be used. All but TRAINS and LOST need a split from a column.
NOWHERE, TRAINS, VALIDATES, TESTS, LOST = range(5)


class Section(Protocol):
    """What is needed of training.schema.DatasetSection."""

    instruction_field: str
    response_field: str
    max_samples: int | None
    split: str


@dataclass
class Fields:
    instruction_field: str
    response_field: str
    max_samples: int | None = None
    split: str = TRAIN


@dataclass(frozen=True)
class Row:
    """`instruction` has the mapping's input below it. `response` is the answer column as it is; the mapping's rule
    makes `reasoning` and `reference` of it. `columns`: every column, and what the mapping adds for rewards."""

    row: int
    instruction: str
    response: str
    reasoning: str
    reference: str
    columns: dict[str, Any]


@dataclass(frozen=True)
class Skipped:
    """Rows that can't be used, by reason."""

    no_question: int = 0
    no_answer: int = 0
    no_reference: int = 0

    @property
    def total(self) -> int:
        return self.no_question + self.no_answer + self.no_reference


@dataclass(frozen=True)
class Parts:
    """Row numbers. `duplicates` counts the rows in no part because their question is in test or validation already,
    `unassigned` those that the split's column puts nowhere, `questions` the different questions of all usable rows."""

    train: Sequence[int]
    validation: Sequence[int]
    held_out: Sequence[int]
    duplicates: int
    unassigned: int
    questions: int
    skipped: Skipped

    @property
    def usable(self) -> int:
        return len(self.train) + len(self.validation) + len(self.held_out) + self.duplicates + self.unassigned

    @property
    def counts(self) -> dict[str, Any]:
        return {
            "train": len(self.train),
            "validation": len(self.validation),
            "held_out": len(self.held_out),
            "duplicates": self.duplicates,
            "unassigned": self.unassigned,
            "questions": self.questions,
            "usable": self.usable,
            "skipped": asdict(self.skipped),
        }


@dataclass(frozen=True)
class Reading:
    """How question, answer and reference are read out of the cells of a row."""

    instruction: Place
    response: Place
    rule: Rule
    input: Place | None = None
    extra: dict[str, Place] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """What must be read to tell whether a row can be used."""
        places = [self.instruction, self.response, *([self.input] if self.input else [])]
        return [place.column for place in places]

    def question(self, cells: dict[str, Any]) -> str:
        question = tables.text(self.instruction.find(cells))
        return joined(question, tables.text(self.input.find(cells))) if self.input else question

    def answer(self, cells: dict[str, Any]) -> str:
        return tables.text(self.response.find(cells))


def joined(question: str, further: str) -> str:
    """Alpaca's way: a blank line between the instruction and its input, nothing if there is no input."""
    return f"{question}\n\n{further}" if question.strip() and further.strip() else question


def training_rows(version: DatasetVersion, section: Section, seed: int) -> list[Row]:
    """Rows of the part that `section.split` names, in an order that `seed` decides; the first `max_samples` of it, if
    given. No question of the test or validation part is among them.

    Raises DatasetProblem if a column is missing, the split can't be trained on, or no row is left.
    """
    return load(version, section, training_numbers(version, section, seed))


def training_numbers(version: DatasetVersion, section: Section, seed: int) -> list[int]:
    """Of the rows of `training_rows`, in their order. Raises DatasetProblem as it does."""
    numbers = parts(version, section).train
    if not numbers:
        raise DatasetProblem(
            f"{version.dataset} has no row to train on: every row lacks a question or an answer, or is held out."
            " Check the columns on the dataset's page.",
            field="instruction_field",
        )
    key = as_key(seed)

    def order(number: int) -> int:
        return ordering(key, str(number))

    if section.max_samples:
        return heapq.nsmallest(section.max_samples, numbers, key=order)
    return sorted(numbers, key=order)


def sampled(numbers: Sequence[int], size: int, seed: int) -> list[int]:
    """`size` of them at random, in their order: the same for the same seed, and among those of a larger size."""
    key = as_key(seed)
    return sorted(heapq.nsmallest(size, numbers, key=lambda number: ordering(key, str(number))))


def questions_of(version: DatasetVersion, section: Section, numbers: Sequence[int]) -> Iterator[str]:
    """As `same_question` makes them, without reading the other columns."""
    wanted, how = set(numbers), reading(version, section)
    for number, cells in tables.records(version.path, how.columns):
        if number in wanted:
            yield same_question(how.question(cells))


def held_out_rows(version: DatasetVersion, section: Section, limit: int) -> list[Row]:
    """The first `limit` rows of the test part. A smaller limit gives a beginning of a larger one's rows."""
    return load(version, section, parts(version, section).held_out[:limit])


def validation_rows(version: DatasetVersion, section: Section, limit: int) -> list[Row]:
    """As held_out_rows, of the validation part."""
    return load(version, section, parts(version, section).validation[:limit])


def skipped(version: DatasetVersion, section: Section) -> Skipped:
    return parts(version, section).skipped


def parts(version: DatasetVersion, section: Section) -> Parts:
    """Raises DatasetProblem if a column of `section` does not exist or its split can't be trained on."""
    check_columns(version, section)
    check_split(version, section)
    return divided(look_at(version, section), version.split)


def divided(looked: Looked, split: dict[str, Any]) -> Parts:
    return by_column(looked) if split.get("column") else by_seed(looked, split)


@dataclass
class Looked:
    """Of every row, by its number: a hash of its question, and what it is by itself. Nine bytes a row, since a version
    may have tens of millions."""

    questions: Any = field(default_factory=lambda: array("Q"))
    places: Any = field(default_factory=lambda: array("B"))
    lost: dict[str, int] = field(default_factory=lambda: {"no_question": 0, "no_answer": 0, "no_reference": 0})


def look_at(version: DatasetVersion, section: Section) -> Looked:
    found, how = Looked(), reading(version, section)
    key = as_key(int(version.split.get("seed", SPLIT_SEED)))
    column = version.split.get("column")
    place = placing(version.split, section.split) if column else {}
    for _, cells in tables.records(version.path, [*how.columns, *([column] if column else [])]):
        question, answer = how.question(cells), how.answer(cells)
        reason = missing(question, answer, how.rule)
        if reason:
            found.lost[reason] += 1
            found.questions.append(0)
            found.places.append(LOST)
        else:
            # Eight bytes: five million questions share one with odds of one in a million.
            found.questions.append(ordering(key, same_question(question)) >> 64)
            found.places.append(place.get(tables.text(cells[column]), NOWHERE) if column else TRAINS)
    return found


def placing(split: dict[str, Any], trained: str) -> dict[str, int]:
    """{value of the split's column: where its rows belong} if `trained` names what is trained on."""
    train = split.get("train", []) if trained == TRAIN else [trained]
    return {
        **dict.fromkeys(train, TRAINS),
        **dict.fromkeys(split.get("validation", []), VALIDATES),
        **dict.fromkeys(split.get("test", []), TESTS),
    }


def by_seed(looked: Looked, split: dict[str, Any]) -> Parts:
    import numpy as np

    questions, usable = np.asarray(looked.questions), np.asarray(looked.places) != LOST
    distinct = np.unique(questions[usable])
    # At most half of the questions, so that training never runs dry.
    held = within(split.get("held_out"), len(distinct) // 2)
    kept_back = held + within(split.get("validation"), len(distinct) // 2 - held)
    apart = usable & (questions <= distinct[kept_back - 1]) if kept_back else np.zeros(len(questions), bool)
    _, first = first_of(questions, apart)
    return made_of(looked, usable & ~apart, first[held:], first[:held], len(distinct))


def within(size: Any, most: int) -> int:
    return min(max(int(size or 0), 0), most)


def by_column(looked: Looked) -> Parts:
    import numpy as np

    questions, places = np.asarray(looked.questions), np.asarray(looked.places)
    test, first_test = first_of(questions, places == TESTS)
    validation, first_validation = first_of(questions, (places == VALIDATES) & ~among(questions, test))
    free = (places == TRAINS) & ~among(questions, test) & ~among(questions, validation)
    distinct = np.unique(questions[places != LOST])
    return made_of(looked, free, first_validation, first_test, len(distinct), int((places == NOWHERE).sum()))


def first_of(questions: Any, where: Any) -> tuple[Any, Any]:
    """(the different questions where `where` is true, the number of the first row of each), in the hash's order."""
    import numpy as np

    numbers = np.flatnonzero(where)
    distinct, first = np.unique(questions[numbers], return_index=True)
    return distinct, numbers[first]


def among(questions: Any, ordered: Any) -> Any:
    """Which of the questions are in an ordered array of different ones."""
    import numpy as np

    if not len(ordered):
        return np.zeros(len(questions), bool)
    return ordered[np.minimum(np.searchsorted(ordered, questions), len(ordered) - 1)] == questions


def made_of(looked: Looked, free: Any, validation: Any, held_out: Any, questions: int, unassigned: int = 0) -> Parts:
    import numpy as np

    train, validating, testing = (
        array("I", rows.astype(np.uintc).tobytes()) for rows in (np.flatnonzero(free), validation, held_out)
    )
    lost = Skipped(**looked.lost)
    placed = len(train) + len(validating) + len(testing)
    duplicates = len(looked.places) - lost.total - placed - unassigned
    return Parts(train, validating, testing, duplicates, unassigned, questions, lost)


def missing(question: str, answer: str, rule: Rule) -> str:
    if not question.strip():
        return "no_question"
    if not answer.strip():
        return "no_answer"
    return "" if rule.apply(answer)[1] else "no_reference"


def same_question(question: str) -> str:
    """Two questions that differ only in case and white space are one."""
    return " ".join(question.split()).casefold()


def as_key(seed: int) -> bytes:
    return seed.to_bytes(8, "big", signed=True)


def ordering(key: bytes, text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=16, key=key).digest(), "big")


def load(version: DatasetVersion, section: Section, numbers: Sequence[int]) -> list[Row]:
    found, how = tables.pick(version.path, numbers), reading(version, section)
    return [as_row(number, found[number], how) for number in numbers]


def as_row(number: int, columns: dict[str, Any], how: Reading) -> Row:
    response = how.answer(columns)
    reasoning, reference = how.rule.apply(response)
    added = {name: place.find(columns) for name, place in how.extra.items()}
    return Row(number, how.question(columns), response, reasoning, reference, {**columns, **added})


def reading(version: DatasetVersion, section: Section) -> Reading:
    """Raises DatasetProblem if a column of `section` does not exist."""
    check_columns(version, section)
    mapping, columns = version.mapping, version.columns
    # The mapping's input was chosen for the mapping's question, and says nothing about another one.
    further = mapping.get("input") if mapping.get("instruction") == section.instruction_field else ""
    return Reading(
        instruction=known(columns, section.instruction_field),
        response=known(columns, section.response_field),
        rule=rule_for(version, section),
        input=paths.resolve(columns, further) if further else None,
        extra={name: known(columns, path) for name, path in (mapping.get("extra") or {}).items()},
    )


def known(columns: list[dict[str, Any]], path: str) -> Place:
    place = paths.resolve(columns, path)
    if place is None:
        raise DatasetProblem(f"There is no column “{path}”. The columns are: {names_of(columns)}.")
    return place


def rule_for(version: DatasetVersion, section: Section) -> Rule:
    """The mapping's rule was chosen for the mapping's answer column, and says nothing about another one."""
    mapping = version.mapping
    name = mapping.get("rule") if mapping.get("response") == section.response_field else None
    return RULES[name or "whole"]


def names_of(columns: list[dict[str, Any]]) -> str:
    return ", ".join(str(column["name"]) for column in columns)


def check_columns(version: DatasetVersion, section: Section) -> None:
    for name in ("instruction_field", "response_field"):
        check_column(version, getattr(section, name), name)


LABELS = {"instruction": "question", "instruction_field": "question", "input": "input", "extra": "reward"}


def check_column(version: DatasetVersion, path: str, field: str) -> None:
    if not paths.valid(version.columns, path):
        raise DatasetProblem(
            f"{version.dataset} has no column “{path}” for the {LABELS.get(field, 'answer')}."
            f" Its columns: {names_of(version.columns)}.",
            field=field,
        )


def check_split(version: DatasetVersion, section: Section) -> None:
    """Raises DatasetProblem if `section.split` names nothing that this version can be trained on."""
    split, wanted = version.split, section.split
    if wanted == TRAIN:
        return
    if not split.get("column"):
        raise DatasetProblem(
            f"{version.dataset} is split by a seed, so there is no part “{wanted}” to train on. Use “{TRAIN}”, or take"
            " the split from a column on the dataset's page.",
            field="split",
        )
    if wanted in [*split.get("test", []), *split.get("validation", [])]:
        raise DatasetProblem(
            f"“{wanted}” is kept back from training in {version.dataset}. Use {quoted(trainable(split))}.",
            field="split",
        )
    if wanted not in trainable(split):
        raise DatasetProblem(
            f"No row of {version.dataset} has “{wanted}” in its column “{split['column']}”."
            f" Use {quoted(trainable(split))}.",
            field="split",
        )


def trainable(split: dict[str, Any]) -> list[str]:
    """What `dataset.split` of a config may be."""
    return list(dict.fromkeys([TRAIN, *split.get("train", []), *split.get("other", [])]))


def quoted(names: list[str]) -> str:
    return " or ".join(f"“{name}”" for name in names)


def default_held_out(questions: int) -> int:
    """10 % of the questions, at most 500, and one as soon as there are two."""
    return min(max(int(questions * HELD_OUT_SHARE), 1), HELD_OUT_ROWS) if questions >= 2 else 0
