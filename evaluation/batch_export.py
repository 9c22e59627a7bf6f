"""All rows of a batch as a file, written while it is sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from evaluation.models import Batch, BatchRow
from loracraft import spreadsheets

READ_AT_ONCE = 200
HEAD = [
    *("number", "line", "prompt", "reference", "answer", "status", "error", "prompt_tokens", "tokens", "seconds"),
    *("cut_off", "exact_match", "right", "reward"),
]


def row_as_json(row: BatchRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "line": row.line,
        "prompt": row.prompt,
        "reference": row.reference or None,
        "columns": row.columns,
        "status": row.status,
        "error": row.error,
        "rendered": row.rendered,
        "prompt_tokens": row.prompt_tokens,
        "answer": row.answer,
        "tokens": row.tokens,
        "seconds": row.seconds,
        "cut_off": row.cut_off,
        "exact_match": row.exact,
        "exact_match_feedback": row.exact_feedback,
        "right": row.right,
        "reward": row.total,
        "correct": row.correct,
        "parts": row.parts,
    }


def part_names(batch: Batch) -> list[str]:
    return [str(part["name"]) for part in batch.reward.get("parts", [])]


def cells(row: BatchRow, parts: list[str]) -> list[Any]:
    scored = {part["name"]: part for part in row.parts}
    verdicts = [word(row.cut_off), word(row.exact), word(row.right), row.total]
    values = [scored.get(name, {}).get("value") for name in parts]
    said = [" ".join(filter(None, [part["feedback"], part["error"]])) for part in row.parts]
    facts = [row.number, row.line, row.prompt, row.reference, row.answer, row.status, row.error]
    return [*facts, row.prompt_tokens, row.tokens, row.seconds, *verdicts, *values, *[" | ".join(filter(None, said))]]


def word(verdict: bool | None) -> str:
    return "" if verdict is None else "yes" if verdict else "no"


async def csv_lines(batch: Batch) -> AsyncIterator[str]:
    """An async iterator: under ASGI a plain one is read into memory as a whole before the first byte goes out."""
    parts = part_names(batch)
    yield spreadsheets.csv_line([*HEAD, *(f"reward: {name}" for name in parts), "feedback"])
    async for row in batch.rows.aiterator(READ_AT_ONCE):
        yield spreadsheets.csv_line(cells(row, parts))


async def json_text(batch: Batch, about: dict[str, Any]) -> AsyncIterator[str]:
    """{"batch": about, "rows": [...]}, a row on each line."""
    yield f'{{"batch": {as_text(about)},\n"rows": ['
    before = "\n"
    async for row in batch.rows.aiterator(READ_AT_ONCE):
        yield before + as_text(row_as_json(row))
        before = ",\n"
    yield "\n]}\n"


def as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
