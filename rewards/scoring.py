"""Scoring files of rows: JSONL in, JSONL out, one result a row in the same order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from rewards.composition import Composition, Result
from rewards.registry import Markers, Sample

BATCH = 64
KNOWN = ("instruction", "response", "reference", "tokens")


@dataclass(frozen=True)
class RowScore:
    total: float | None = None
    parts: dict[str, float | None] = field(default_factory=dict)
    error: str | None = None
    feedback: str = ""

    def as_json(self) -> str:
        return json.dumps(self.__dict__, ensure_ascii=False, allow_nan=False)


def samples(lines: Iterable[str], markers: Markers) -> Iterator[Sample | RowScore]:
    """A sample for each line, or the error that takes its place. Empty lines are no rows."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _sample(number, line, markers)


def _sample(number: int, line: str, markers: Markers) -> Sample | RowScore:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return RowScore(error=f"Line {number} is not JSON: {error}.")
    if not isinstance(row, dict) or not isinstance(row.get("response"), str):
        return RowScore(error=f"Line {number} needs to be an object with the text “response”.")
    tokens = row.get("tokens")
    columns = {name: value for name, value in row.items() if name not in KNOWN}
    return Sample(
        instruction=_text(row.get("instruction")) or "",
        response=row["response"],
        reference=_text(row.get("reference")),
        columns=columns,
        markers=markers,
        tokens=tokens if isinstance(tokens, int) and not isinstance(tokens, bool) else None,
    )


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def score(composition: Composition, rows: Iterable[Sample | RowScore]) -> Iterator[RowScore]:
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        scored = iter(composition.score_all([row for row in batch if isinstance(row, Sample)]))
        yield from (row if isinstance(row, RowScore) else _row_score(next(scored)) for row in batch)


def _row_score(result: Result) -> RowScore:
    return RowScore(
        total=result.total,
        parts=result.parts,
        error="; ".join(f"{name}: {error}" for name, error in result.errors.items()) or None,
        feedback=" ".join(f"{name}: {said}" for name, said in result.feedback.items()),
    )
