"""Named rules that take the final answer out of the answer column. A mapping names its rule, and the page shows it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


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
            "last_number",
            "The last number",
            "The last number in the answer column is the final answer, what comes before it is the reasoning.",
            last_number,
        ),
    )
}
