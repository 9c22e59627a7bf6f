"""Named rules that take the final answer out of the answer column. A mapping names its rule, and the page shows it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
# “B”, “(B)”, “B) Paris”, “B. Paris” as the whole answer or its beginning.
LETTER_FIRST = re.compile(r"\s*\(?([A-J])(?:[).:](?=\s|$)|\s*$)")
# “the answer is (B)”, “Answer: B”, “option B”.
LETTER_SAID = re.compile(r"\b(?:answer|option|choice)\b(?:\s+is)?\s*[:=]?\s*\**\(?([A-J])\b(?!['’])", re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    """`apply` turns the answer column's text into (reasoning, reference). An empty reference: the rule found none."""

    name: str
    label: str
    help: str
    apply: Callable[[str], tuple[str, str]]


def whole(text: str) -> tuple[str, str]:
    return "", text.strip()


def after_hashes(text: str) -> tuple[str, str]:
    reasoning, marker, reference = text.rpartition("####")
    return (reasoning.strip(), reference.strip()) if marker else ("", "")


def last_number(text: str) -> tuple[str, str]:
    found = list(NUMBER.finditer(text))
    if not found:
        return "", ""
    return text[: found[-1].start()].strip(), found[-1].group().rstrip(",")


def boxed(text: str) -> tuple[str, str]:
    r"""Braces inside the box belong to it: \boxed{\frac{1}{2}} holds \frac{1}{2}."""
    for box in reversed(list(BOX.finditer(text))):
        end = closing_brace(text, box.end())
        if end is not None and text[box.end() : end].strip():
            return text[: box.start()].strip().removesuffix("$").strip(), text[box.end() : end].strip()
    return "", ""


def closing_brace(text: str, start: int) -> int | None:
    depth, position = 1, start
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] in "{}":
            depth += 1 if text[position] == "{" else -1
            if not depth:
                return position
        position += 1
    return None


def choice_letter(text: str) -> tuple[str, str]:
    said = [match for match in LETTER_SAID.finditer(text) if match[1].isupper()]
    if said:
        return text[: said[-1].start()].strip(), said[-1][1]
    first = LETTER_FIRST.match(text)
    return ("", first[1]) if first else ("", "")


RULES = {
    rule.name: rule
    for rule in (
        Rule("whole", "The whole answer", "The reward compares with all of the answer column.", whole),
        Rule(
            "after_hashes",
            "Text after ####",
            "GSM8K's notation: what follows the last #### is the final answer, what comes before it is the reasoning.",
            after_hashes,
        ),
        Rule(
            "boxed",
            r"Inside \boxed{ }",
            r"LaTeX's notation: what the last \boxed{ } holds is the final answer, what comes before it is the"
            " reasoning.",
            boxed,
        ),
        Rule(
            "last_number",
            "The last number",
            "The last number in the answer column is the final answer, what comes before it is the reasoning.",
            last_number,
        ),
        Rule(
            "choice_letter",
            "The letter of a choice",
            "Multiple choice: the letter after the last “answer is”, or the one that the answer column begins with,"
            " such as B in “(B) Paris”.",
            choice_letter,
        ),
    )
}
