"""Where in a response the answer is: text work shared by the functions that judge answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from rewards.registry import RewardError, Sample

Place = Literal["response", "solution", "reasoning"]
LookIn = Literal["auto", "markers", "marked", "text"]

LOOK_IN_HELP = (
    "auto: the solution markers, else a marked answer (\\boxed, ####, Answer:), else the text; the others: only there."
)

# Possessive quantifiers: a model may write 100,000 spaces, and these stay linear on them.
HASHES = re.compile(r"####[ \t]*+([^\n]+)")
ANSWER_MARK = re.compile(r"\banswer\b\s*+(?:is\b\s*+:?|:)\s*+(?=[^\n])", re.IGNORECASE)
BOXED = re.compile(r"\\boxed\s*+\{")
MOST_BOXES = 50
# "It is 17. Or 18." is one statement.
SENTENCE_END = re.compile(r"[.!?](?=\s|$)(?!\s+(?:or|alternatively|maybe|perhaps|possibly)\b)", re.IGNORECASE)
WRONG = r"that(?:'s|’s| is) (?:wrong|incorrect|not right)\b"
WITHDRAWN = re.compile(
    rf"(?:\b(?:no,? wait|wait,? no|scratch that|i made a mistake)\b(?:[,.: ]{{1,3}}{WRONG})?"
    rf"|(?:^|[.!?\n])\s{{0,3}}(?:no,? )?{WRONG})[,.:;! ]{{0,3}}",
    re.IGNORECASE,
)
# Shorter responses may be answers that happen to stand in the question.
ECHO_WORDS = 5


@dataclass(frozen=True)
class Found:
    """`pieces` claim to be the answer (none: there is no answer); `marked` says that something points at them."""

    pieces: list[str]
    where: str
    marked: bool = True


def find_answer(sample: Sample, look_in: LookIn = "auto") -> Found:
    """Raises RewardError if only the solution markers count and the prompt has none."""
    if look_in in ("auto", "markers"):
        pieces = solutions(sample, required=look_in == "markers")
        if pieces or look_in == "markers":
            return Found([_unless_echo(piece, sample) for piece in pieces], "solution block")
    text = standing(without_question(sample))
    if look_in in ("auto", "marked"):
        pieces = marked_answers(text)
        if pieces or look_in == "marked":
            return Found(pieces, "marked answer")
    return Found([text] if text.strip() else [], "text", marked=False)


def standing(text: str) -> str:
    """What follows the last place where the text takes back what it said before: "17. No wait, 18"."""
    *_, last = [None, *WITHDRAWN.finditer(text)]
    return text[last.end() :] if last else text


def solutions(sample: Sample, required: bool = False) -> list[str]:
    if sample.markers.solution is None:
        if required:
            raise RewardError("The prompt has no solution markers: set them, or look elsewhere for the answer.")
        return []
    return between(sample.response, *sample.markers.solution)


def section(sample: Sample, place: Place) -> str:
    """The text of one section; empty if the response has none. Several are joined."""
    if place == "response":
        return sample.response
    pair = sample.markers.solution if place == "solution" else sample.markers.reasoning
    if pair is None:
        raise RewardError(f"The prompt has no {place} markers.")
    return "\n".join(between(sample.response, *pair))


def between(text: str, start: str, end: str) -> list[str]:
    """What follows each `start`, up to the next marker or the end of the text: an answer may be cut off."""
    pieces = text.split(start)[1:]
    return [piece.split(end, 1)[0].strip() for piece in pieces]


def without_question(sample: Sample) -> str:
    """The response without a repeated question, so that a number of the question is not taken for an answer."""
    question, response = " ".join(sample.instruction.split()), " ".join(sample.response.split())
    if not _unless_echo(response, sample):
        return ""
    if len(question.split()) >= ECHO_WORDS and question in response:
        return response.replace(question, "\n")
    return sample.response


def _unless_echo(text: str, sample: Sample) -> str:
    words = text.split()
    echo = len(words) >= ECHO_WORDS and " ".join(words) in " ".join(sample.instruction.split())
    return "" if echo else text


def marked_answers(text: str) -> list[str]:
    """What the first kind of mark that occurs points at: every \\boxed{}, every ####, or the last "answer is"."""
    return boxed(text) or _stripped(HASHES.findall(text)) or _last_answer(text)


def _last_answer(text: str) -> list[str]:
    *_, last = [None, *ANSWER_MARK.finditer(text)]
    return [_sentence(text[last.end() :].split("\n", 1)[0])] if last else []


def boxed(text: str) -> list[str]:
    pieces = []
    for start in islice(BOXED.finditer(text), MOST_BOXES):
        end = _closing_brace(text, start.end())
        if end is not None:
            pieces.append(text[start.end() : end].strip())
    return pieces


def _closing_brace(text: str, start: int, furthest: int = 2000) -> int | None:
    depth = 1
    for position in range(start, min(len(text), start + furthest)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return None


def _sentence(line: str) -> str:
    return SENTENCE_END.split(line, maxsplit=1)[0].strip().strip("*_` ")


def _stripped(pieces: list[str]) -> list[str]:
    return [piece.strip().strip("*_` ") for piece in pieces]
