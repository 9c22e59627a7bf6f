"""Which column is the question and which the answer: by name, then by content. A proposal, never a decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets_app.rules import RULES
from datasets_app.tables import text

# Likeliest first, in lower case.
QUESTION_NAMES = ("instruction", "question", "prompt", "problem", "query", "input", "task", "user", "text")
ANSWER_NAMES = (
    *("response", "answer", "output", "completion", "solution", "generated_solution", "target", "label"),
    *("reply", "assistant", "expected", "reference", "answers"),
)
# More than this share of the answers must follow a rule before it is proposed.
RULE_SHARE = 0.5


@dataclass(frozen=True)
class Guess:
    """`confidence` is 0 (nothing found) to 1."""

    column: str = ""
    confidence: float = 0.0
    because: str = ""


def detect(columns: list[dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, Guess]:
    """{"instruction": Guess, "response": Guess}; `rows` are a sample."""
    question = by_name(columns, QUESTION_NAMES)
    answer = by_name([c for c in columns if c["name"] != question.column], ANSWER_NAMES)
    if not question.column:
        question = by_content([c for c in columns if c["name"] != answer.column], rows, asks)
    if not answer.column:
        answer = by_content([c for c in columns if c["name"] != question.column], rows, answers)
    return {"instruction": question, "response": answer}


def by_name(columns: list[dict[str, Any]], names: tuple[str, ...]) -> Guess:
    best = Guess()
    for column in columns:
        for rank, name in enumerate(names):
            guess = match(column, name, rank)
            if guess.confidence > best.confidence:
                best = guess
    return best


def match(column: dict[str, Any], name: str, rank: int) -> Guess:
    """Sure for an equal name, less for one that contains it, less again where cells are empty."""
    own = column["name"].strip().lower().replace("-", "_").replace(" ", "_")
    if own == name:
        confidence, because = 0.98 - rank * 0.01, f"it is called “{column['name']}”"
    elif name in own.split("_"):
        confidence, because = 0.75 - rank * 0.01, f"its name contains “{name}”"
    else:
        return Guess()
    return Guess(column["name"], round(confidence * (0.5 + column["filled"] / 2), 2), because)


def by_content(columns: list[dict[str, Any]], rows: list[dict[str, Any]], score: Any) -> Guess:
    scored = [(score([text(row.get(c["name"])) for row in rows]) * c["filled"], c["name"]) for c in columns]
    best, name = max(scored, default=(0.0, ""))
    return Guess(name, round(best, 2), "of what its cells hold") if best else Guess()


def asks(cells: list[str]) -> float:
    """Questions have question marks, and are text that differs from row to row."""
    if not cells or len(set(cells)) < len(cells) / 2:
        return 0.0
    marks = sum("?" in cell for cell in cells) / len(cells)
    words = sum(len(cell.split()) >= 3 for cell in cells) / len(cells)
    return 0.5 * marks + 0.15 * words


def answers(cells: list[str]) -> float:
    filled = sum(bool(cell.strip()) for cell in cells) / len(cells) if cells else 0.0
    return 0.4 * filled


def detect_rule(cells: list[str]) -> str:
    """The rule that most filled cells of the answer column follow by their notation; else "whole"."""
    filled = [cell for cell in cells if cell.strip()]
    marked = sum(bool(RULES["after_hashes"].apply(cell)[1]) for cell in filled)
    return "after_hashes" if marked > len(filled) * RULE_SHARE else "whole"
