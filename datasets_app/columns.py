"""Which column is the question, its input and the answer: by name, then by content. A proposal, never a decision."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from datasets_app import paths
from datasets_app.rules import RULES
from datasets_app.tables import text

# Likeliest first, in lower case.
QUESTION_NAMES = ("instruction", "question", "prompt", "problem", "query", "input", "task", "user", "text")
ANSWER_NAMES = (
    *("response", "answer", "output", "completion", "solution", "generated_solution", "target", "label"),
    *("reply", "assistant", "expected", "reference", "answers"),
)
# What a question is asked about. Only looked for beside a question.
INPUT_NAMES = ("input", "context", "passage", "background", "story")
SPLIT_NAMES = ("split", "set", "partition", "subset", "fold", "part", "data_split", "__split__")
# How chat formats call those who speak.
ASKING = ("[role=user]", "[from=human]", "[from=user]", "[role=human]")
ANSWERING = ("[role=assistant]", "[from=gpt]", "[from=assistant]", "[role=model]", "[from=model]")
SAID = (".content", ".value", ".text", ".content[0].text")
# The parts of a nested cell that hold the text itself.
TEXT_KEYS = ("text", "value", "content", "answer")
# More than this share of the answers must follow a notation before its rule is proposed.
RULE_SHARE = 0.5
# Endings are a weaker sign than a notation.
ENDING_SHARE = 0.8
ENDS_WITH_NUMBER = re.compile(r"[^\d\s][\s\S]*\s\S{0,2}\d[\d,]*(?:\.\d+)?\W{0,3}$")

Columns = list[dict[str, Any]]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Guess:
    """`column` is a path; `confidence` is 0 (nothing found) to 1."""

    column: str = ""
    confidence: float = 0.0
    because: str = ""


def detect(columns: Columns, rows: Rows) -> dict[str, Guess]:
    """{"instruction": Guess, "input": Guess, "response": Guess}; `rows` are a sample."""
    question = deepened(by_name(columns, QUESTION_NAMES), columns, rows)
    answer = deepened(by_name(others(columns, question), ANSWER_NAMES), columns, rows)
    if not (question.column and answer.column):
        chat = by_chat(columns, rows)
        if chat:
            return {"instruction": chat[0], "input": Guess(), "response": chat[1]}
    if not question.column:
        question = by_content(others(columns, answer), rows, asks)
    if not answer.column:
        answer = by_content(others(columns, question), rows, answers)
    return {"instruction": question, "input": detect_input(columns, rows, question, answer), "response": answer}


def others(columns: Columns, taken: Guess) -> Columns:
    place = paths.resolve(columns, taken.column) if taken.column else None
    return [column for column in columns if place is None or column["name"] != place.column]


def by_name(columns: Columns, names: tuple[str, ...]) -> Guess:
    best = Guess()
    for column in columns:
        for rank, name in enumerate(names):
            guess = match(column, name, rank)
            if guess.confidence > best.confidence:
                best = guess
    return best


def match(column: dict[str, Any], name: str, rank: int) -> Guess:
    """Sure for an equal name, less for one that contains it, less again where cells are empty."""
    own = plain(column["name"])
    if own == name:
        confidence, because = 0.98 - rank * 0.01, f"it is called “{column['name']}”"
    elif name in own.split("_"):
        confidence, because = 0.75 - rank * 0.01, f"its name contains “{name}”"
    else:
        return Guess()
    return Guess(column["name"], round(confidence * (0.5 + column["filled"] / 2), 2), because)


def plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def deepened(guess: Guess, columns: Columns, rows: Rows) -> Guess:
    """A nested cell is no text: the place in it that holds the text, in most rows."""
    if not any(c["name"] == guess.column and c["type"] == "json" for c in columns):
        return guess
    cells = [row.get(guess.column) for row in rows]
    found = paths.places(cells)
    if not found or any(place.startswith(ASKING + ANSWERING) for place in found):
        return Guess()
    place = min(found, key=lambda place: (last_key(place) not in TEXT_KEYS, found.index(place)))
    because = f"{guess.because} and holds text at “{place.lstrip('.')}”"
    share = filled(cells, guess.column, place)
    return replace(guess, column=guess.column + place, confidence=round(guess.confidence * share, 2), because=because)


def last_key(place: str) -> str:
    return re.sub(r"\[[^\]]*\]", "", place).rpartition(".")[2].lower()


def filled(cells: list[Any], column: str, place: str) -> float:
    found = sum(bool(text(paths.select({column: cell}, column + place)).strip()) for cell in cells)
    return found / len(cells) if cells else 0.0


def by_chat(columns: Columns, rows: Rows) -> tuple[Guess, Guess] | None:
    """The last question and the last answer of a column of messages, if there is one."""
    for column in columns:
        name = str(column["name"])
        cells = [row.get(name) for row in rows] if column["type"] in paths.NESTED_TYPES else []
        found = paths.places(cells)
        question, answer = speaker(found, ASKING), speaker(found, ANSWERING)
        if question and answer:
            because = f"“{name}” holds chats, and this is the last message of the"
            return tuple(  # type: ignore[return-value]
                Guess(name + place, round(0.95 * filled(cells, name, place), 2), f"{because} {who}")
                for place, who in ((question, "user"), (answer, "model"))
            )
    return None


def speaker(found: list[str], roles: tuple[str, ...]) -> str:
    return next((role + said for role in roles for said in SAID if role + said in found), "")


def detect_input(columns: Columns, rows: Rows, question: Guess, answer: Guess) -> Guess:
    free = others(others(columns, question), answer)
    if not question.column or not answer.column:
        return Guess()
    # Empty inputs are normal: most of Alpaca's are.
    guess = by_name([{**column, "filled": min(1.0, column["filled"] * 4)} for column in free], INPUT_NAMES)
    return guess if guess.confidence > 0.6 and any(text(row.get(guess.column)).strip() for row in rows) else Guess()


def by_content(columns: Columns, rows: Rows, score: Callable[[list[str]], float]) -> Guess:
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
    full = sum(bool(cell.strip()) for cell in cells) / len(cells) if cells else 0.0
    return 0.4 * full


@dataclass(frozen=True)
class RuleGuess:
    """`share`: of the filled answers in the sample, how many the rule finds a final answer in."""

    name: str
    share: float


def guess_rule(cells: list[str]) -> RuleGuess:
    """The rule that most filled cells of the answer column follow by their notation; else "whole"."""
    for name in ("after_hashes", "boxed"):
        if (share := rule_share(name, cells)) > RULE_SHARE:
            return RuleGuess(name, share)
    if worded(cells, ENDS_WITH_NUMBER) > ENDING_SHARE:
        return RuleGuess("last_number", rule_share("last_number", cells))
    if len(set(cells)) > 1 and rule_share("choice_letter", cells) > ENDING_SHARE and not only_letters(cells):
        return RuleGuess("choice_letter", rule_share("choice_letter", cells))
    return RuleGuess("whole", rule_share("whole", cells))


def detect_rule(cells: list[str]) -> str:
    return guess_rule(cells).name


def rule_share(name: str, cells: list[str]) -> float:
    full = [cell for cell in cells if cell.strip()]
    return sum(bool(RULES[name].apply(cell)[1]) for cell in full) / len(full) if full else 0.0


def worded(cells: list[str], pattern: re.Pattern[str]) -> float:
    full = [cell for cell in cells if cell.strip()]
    return sum(bool(pattern.search(cell.strip()[-200:])) for cell in full) / len(full) if full else 0.0


def only_letters(cells: list[str]) -> bool:
    """“B” is its own final answer."""
    return all(len(cell.strip()) <= 1 for cell in cells)
