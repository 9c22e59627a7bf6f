"""The rows of a dataset version as training and evaluation get them.

The held-out part is derived, not stored: questions are ordered by a keyed hash of their text, and the first `held_out`
different ones are held out, one row each. Further rows with a held-out question are in neither part, so no question
can be in both, whatever the seed and the order of the rows.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, Protocol

from datasets_app import tables
from datasets_app.limits import HELD_OUT_ROWS, HELD_OUT_SHARE, SPLIT_SEED
from datasets_app.models import DatasetVersion
from datasets_app.problems import DatasetProblem
from datasets_app.rules import RULES, Rule


class Section(Protocol):
    """What is needed of training.schema.DatasetSection."""

    instruction_field: str
    response_field: str
    max_samples: int | None


@dataclass
class Fields:
    instruction_field: str
    response_field: str
    max_samples: int | None = None


@dataclass(frozen=True)
class Row:
    """`response` is the answer column as it is; the mapping's rule makes `reasoning` and `reference` of it."""

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
    """Row numbers. `duplicates` counts the rows left out of training because their question is held out."""

    train: list[int]
    held_out: list[int]
    duplicates: int
    questions: int
    skipped: Skipped

    @property
    def counts(self) -> dict[str, Any]:
        return {
            "train": len(self.train),
            "held_out": len(self.held_out),
            "duplicates": self.duplicates,
            "questions": self.questions,
            "skipped": asdict(self.skipped),
        }


def training_rows(version: DatasetVersion, section: Section, seed: int) -> list[Row]:
    """Rows outside the held-out part, in an order that `seed` decides; the first `max_samples` of it, if given.

    Raises DatasetProblem if a column is missing or no row is left.
    """
    numbers = parts(version, section).train
    if not numbers:
        raise DatasetProblem(
            f"{version.dataset} has no row to train on: every row lacks a question or an answer, or is held out."
            " Check the columns on the dataset's page.",
            field="instruction_field",
        )
    key = seed.to_bytes(8, "big", signed=True)
    order = {number: ordering(key, str(number)) for number in numbers}
    if section.max_samples:
        chosen = heapq.nsmallest(section.max_samples, numbers, key=order.__getitem__)
    else:
        chosen = sorted(numbers, key=order.__getitem__)
    return load(version, section, chosen)


def held_out_rows(version: DatasetVersion, section: Section, limit: int) -> list[Row]:
    """The first `limit` rows of the held-out part. A smaller limit gives a beginning of a larger one's rows."""
    return load(version, section, parts(version, section).held_out[:limit])


def skipped(version: DatasetVersion, section: Section) -> Skipped:
    return parts(version, section).skipped


def parts(version: DatasetVersion, section: Section) -> Parts:
    """Raises DatasetProblem if a column of `section` does not exist."""
    check_columns(version, section)
    usable, lost = sort_out(version, section)
    first_rows: dict[int, int] = {}
    for number, question in usable:
        first_rows.setdefault(question, number)
    # At most half of the questions, so that training never runs dry.
    size = min(version.split.get("held_out", 0), len(first_rows) // 2)
    held = heapq.nsmallest(size, first_rows)
    questions = set(held)
    train = [number for number, question in usable if question not in questions]
    held_out = [first_rows[question] for question in held]
    duplicates = len(usable) - len(train) - len(held_out)
    return Parts(train, held_out, duplicates, len(first_rows), Skipped(**lost))


def sort_out(version: DatasetVersion, section: Section) -> tuple[list[tuple[int, int]], dict[str, int]]:
    """(row number, hash of the question) of every row that can be used, and how many can't for which reason."""
    rule = rule_for(version, section)
    key = int(version.split.get("seed", SPLIT_SEED)).to_bytes(8, "big", signed=True)
    usable, lost = [], {"no_question": 0, "no_answer": 0, "no_reference": 0}
    for number, question, answer in cells(version, section):
        reason = missing(question, answer, rule)
        if reason:
            lost[reason] += 1
        else:
            usable.append((number, ordering(key, same_question(question))))
    return usable, lost


def cells(version: DatasetVersion, section: Section) -> Iterator[tuple[int, str, str]]:
    for number, question, answer in tables.pairs(version.path, section.instruction_field, section.response_field):
        yield number, tables.text(question), tables.text(answer)


def missing(question: str, answer: str, rule: Rule) -> str:
    if not question.strip():
        return "no_question"
    if not answer.strip():
        return "no_answer"
    return "" if rule.apply(answer)[1] else "no_reference"


def same_question(question: str) -> str:
    """Two questions that differ only in case and white space are one."""
    return " ".join(question.split()).casefold()


def ordering(key: bytes, text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=16, key=key).digest(), "big")


def load(version: DatasetVersion, section: Section, numbers: list[int]) -> list[Row]:
    found, rule = tables.pick(version.path, numbers), rule_for(version, section)
    return [as_row(number, found[number], section, rule) for number in numbers]


def as_row(number: int, columns: dict[str, Any], section: Section, rule: Rule) -> Row:
    response = tables.text(columns[section.response_field])
    reasoning, reference = rule.apply(response)
    instruction = tables.text(columns[section.instruction_field])
    return Row(number, instruction, response, reasoning, reference, columns)


def rule_for(version: DatasetVersion, section: Section) -> Rule:
    """The mapping's rule was chosen for the mapping's answer column, and says nothing about another one."""
    mapping = version.mapping
    name = mapping.get("rule") if mapping.get("response") == section.response_field else None
    return RULES[name or "whole"]


def check_columns(version: DatasetVersion, section: Section) -> None:
    for field in ("instruction_field", "response_field"):
        check_column(version, getattr(section, field), field)


def check_column(version: DatasetVersion, column: str, field: str) -> None:
    names = [c["name"] for c in version.columns]
    if column not in names:
        label = "question" if field in ("instruction_field", "instruction") else "answer"
        raise DatasetProblem(
            f"{version.dataset} has no column “{column}” for the {label}. Its columns: {', '.join(names)}.", field=field
        )


def default_held_out(questions: int) -> int:
    """10 % of the questions, at most 500, and one as soon as there are two."""
    return min(max(int(questions * HELD_OUT_SHARE), 1), HELD_OUT_ROWS) if questions >= 2 else 0
