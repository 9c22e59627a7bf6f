"""Sets, evaluations and their answers as JSON and CSV: for the API, for files and for the command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from evaluation.batch_export import as_text, word
from evaluation.models import EvaluatedAnswer, Evaluation, EvaluationRow, EvaluationSet
from loracraft import spreadsheets

READ_AT_ONCE = 200
HEAD = [
    *("row", "model", "sample", "instruction", "reference", "answer", "error", "right", "reward", "tokens"),
    *("cut_off", "feedback"),
]


def set_as_json(found: EvaluationSet) -> dict[str, Any]:
    return {
        "id": str(found.pk),
        "name": found.name,
        "description": found.description,
        "rows": found.row_count,
        "sha256": found.sha256,
        "origin": found.origin,
        "created_at": found.created_at,
    }


def set_row_as_json(row: EvaluationRow) -> dict[str, Any]:
    return {
        "row": row.number,
        "dataset_row": row.dataset_row,
        "instruction": row.instruction,
        "reference": row.reference,
        "columns": row.columns,
    }


def as_json(found: Evaluation) -> dict[str, Any]:
    """`report` is None until it is done."""
    return {
        "id": str(found.pk),
        "name": found.name,
        "status": found.status,
        "progress": found.progress,
        "message": found.message,
        "error": found.error,
        "set": set_as_json(found.evaluation_set),
        "models": [{"number": each.number, "key": each.key, "title": each.title} for each in found.models.all()],
        "settings": found.settings,
        "reward": found.reward_name,
        "created_at": found.created_at,
        "finished_at": found.finished_at,
        "report": found.report or None,
    }


def answer_as_json(answer: EvaluatedAnswer) -> dict[str, Any]:
    return {
        "model": answer.model.number,
        "sample": answer.sample,
        "answer": answer.text,
        "error": answer.error,
        "right": answer.right,
        "reward": answer.total,
        "tokens": answer.tokens,
        "cut_off": answer.cut_off,
        "unjudged": answer.unjudged,
        "parts": answer.parts,
    }


def cells(answer: EvaluatedAnswer) -> list[Any]:
    row = answer.row
    said = [" ".join(filter(None, [part["feedback"], part["error"]])) for part in answer.parts]
    about = [row.number, answer.model.title, answer.sample or "greedy", row.instruction, row.reference]
    verdict = [answer.text, answer.error, word(answer.right), answer.total, answer.tokens, word(answer.cut_off)]
    return [*about, *verdict, " | ".join(filter(None, said))]


async def csv_lines(found: Evaluation) -> AsyncIterator[str]:
    """An async iterator: under ASGI a plain one is read into memory as a whole before the first byte goes out."""
    yield spreadsheets.csv_line(HEAD)
    async for answer in answers_of(found).aiterator(READ_AT_ONCE):
        yield spreadsheets.csv_line(cells(answer))


async def json_text(about: dict[str, Any], found: Evaluation) -> AsyncIterator[str]:
    """{"evaluation": about, "answers": [...]}, an answer on each line."""
    yield f'{{"evaluation": {as_text(about)},\n"answers": ['
    before = "\n"
    async for answer in answers_of(found).aiterator(READ_AT_ONCE):
        yield before + as_text({"row": answer.row.number, **answer_as_json(answer)})
        before = ",\n"
    yield "\n]}\n"


def answers_of(found: Evaluation) -> Any:
    answers = EvaluatedAnswer.objects.filter(model__evaluation=found).select_related("model", "row")
    return answers.order_by("row__number", "model__number", "sample")
