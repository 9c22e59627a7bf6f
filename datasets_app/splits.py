"""The verbs that say which rows train, validate and test. rows.py derives the parts from what is set here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets_app import columns, mapping, rows, tables
from datasets_app.limits import MAX_SPLIT_VALUES, SPLIT_SEED
from datasets_app.models import DatasetVersion
from datasets_app.problems import DatasetProblem
from loracraft.numbers import thousands

PARTS = ("train", "validation", "test")
# How data sets call their parts, in lower case.
CALLED = {
    "train": ("train", "training", "train_sft", "tr"),
    "validation": ("validation", "valid", "val", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing", "test_sft", "heldout", "held_out", "held-out", "holdout"),
}


def set_split(version: DatasetVersion, held_out: int, seed: int, validation: int = 0) -> None:
    """Raises DatasetProblem for an impossible size, and once a session uses the version."""
    version.split = {"seed": seed, "held_out": held_out, "validation": validation, "chosen": True}
    questions = mapping.measure(version).questions
    if not 1 <= held_out <= questions // 2:
        raise DatasetProblem(
            f"Between 1 and {thousands(questions // 2)} of the {thousands(questions)} different"
            " questions can be held out, at most half.",
            field="held_out",
        )
    if not 0 <= validation <= questions // 2 - held_out:
        raise DatasetProblem(
            f"At most {thousands(questions // 2 - held_out)} more can be used for validation: half of"
            f" the {thousands(questions)}"
            " different questions stay for training.",
            field="validation",
        )
    mapping.change(version)


def set_source_split(version: DatasetVersion, column: str, assigned: Mapping[str, str]) -> None:
    """Takes the split from a column: `assigned` says for each of its values the part, or "" for none.

    Raises DatasetProblem for an unknown column, a part without rows, and once a session uses the version.
    """
    found = [value for value, _ in values(version, column)]
    version.split = {"seed": SPLIT_SEED, "column": column, **grouped(found, assigned), "chosen": True}
    parts = mapping.measure(version)
    for part, numbers in (("train", parts.train), ("test", parts.held_out)):
        if not numbers:
            raise DatasetProblem(
                f"No row that can be used is in the {part} part. Choose a value of “{column}” for it.", field="column"
            )
    mapping.change(version)


def grouped(found: list[str], assigned: Mapping[str, str]) -> dict[str, list[str]]:
    parts = {part: [value for value in found if assigned.get(value) == part] for part in PARTS}
    return {**parts, "other": [value for value in found if assigned.get(value) not in PARTS]}


def values(version: DatasetVersion, column: str) -> list[tuple[str, int]]:
    """(value, rows) of a column, most rows first. Raises DatasetProblem if it has too many to be a split."""
    if column not in [c["name"] for c in version.columns]:
        raise DatasetProblem(
            f"There is no column “{column}”. The columns are: {rows.names_of(version.columns)}.", field="column"
        )
    found: dict[str, int] = {}
    for _, batch in tables.batches(version.path, [column]):
        for item in batch.column(0).value_counts().to_pylist():
            value = tables.text(item["values"])
            found[value] = found.get(value, 0) + item["counts"]
        if len(found) > MAX_SPLIT_VALUES or any(len(value) > 60 for value in found):
            raise DatasetProblem(
                f"“{column}” has more than {MAX_SPLIT_VALUES} different values or long ones, so it does not say which"
                " part a row belongs to. Choose a column with a few, such as train and test.",
                field="column",
            )
    return sorted(found.items(), key=lambda item: -item[1])


def guessed(found: list[str]) -> dict[str, str]:
    """The part that each value names, as far as it names one."""
    parts = {name: part for part, names in CALLED.items() for name in names}
    return {value: parts[key] for value in found if (key := value.strip().lower()) in parts}


def candidate(version: DatasetVersion) -> str:
    """The column that by its name holds the source's own split, "" if none does."""
    names = {columns.plain(column["name"]): column["name"] for column in reversed(version.columns)}
    return next((names[name] for name in columns.SPLIT_NAMES if name in names), "")


def propose(version: DatasetVersion) -> None:
    """Takes the source's own split for an unsaved version, if a column names a train and a test part."""
    column = candidate(version)
    if not column:
        return
    try:
        found = [value for value, _ in values(version, column)]
    except DatasetProblem:
        return
    parts = guessed(found)
    if {"train", "test"} <= set(parts.values()):
        version.split = {"seed": SPLIT_SEED, "column": column, **grouped(found, parts), "held_out": 0}


def by_source(version: DatasetVersion) -> dict[str, Any]:
    """For the page: what each value of the split's column is used for."""
    split = version.split
    return {value: part for part in PARTS if split.get("column") for value in split.get(part, [])}
