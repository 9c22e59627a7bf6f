"""Is the right one of several choices picked?"""

from __future__ import annotations

import re

from pydantic import Field

from rewards.registry import Example, Markers, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import LOOK_IN_HELP, LookIn, find_answer

MARKED = Markers(solution_start="<SOLUTION>", solution_end="</SOLUTION>")
DENIED = re.compile(r"\b(?:not|never|neither|nor|except|isn't|isn’t|all of|none of)\b", re.IGNORECASE)
# "A" and "I" are words, too: "A dog barks" picks nothing, "A or B" names both.
ARTICLE = re.compile(r"\b[AI] (?!or\b|and\b)(?=[a-z])")


class MultipleChoice(Parameters):
    choices: str = Field(
        "ABCD", min_length=2, max_length=26, pattern=r"^[A-Z]+$", title="Choices", description="Their letters."
    )
    look_in: LookIn = Field("auto", title="Look in", description=LOOK_IN_HELP)


def picked(response: str, value: float, reference: str = "B") -> Example:
    return Example(Sample("Which? A) Lyon B) Paris C) Nice D) Lille", response, reference, markers=MARKED), value)


@reward_function(
    title="Multiple choice",
    category="Answer",
    parameters=MultipleChoice,
    judges_answer=True,
    needs_reference=True,
    examples=(
        picked("<SOLUTION>B</SOLUTION>", 1.0),
        picked("<SOLUTION>(b)</SOLUTION>", 1.0),
        picked("The answer is B) Paris.", 1.0, reference="B) Paris"),
        picked("<SOLUTION>A, B, C, D</SOLUTION>", 0.0),
        picked("<SOLUTION>A or B</SOLUTION>", 0.0),
        picked("<SOLUTION>not B</SOLUTION>", 0.0),
        picked("<SOLUTION>C</SOLUTION>", 0.0),
    ),
)
def multiple_choice(sample: Sample, parameters: MultipleChoice) -> Score:
    """1 if exactly one choice is named and it is the right one, else 0."""
    expected = letters(sample.reference or "", parameters.choices)
    if len(expected) != 1:
        raise RewardError(f"The reference {(sample.reference or '')[:40]!r} names no single choice.")
    found = find_answer(sample, parameters.look_in)
    named = set[str]().union(*(letters(piece, parameters.choices) for piece in found.pieces))
    denied = any(DENIED.search(piece) for piece in found.pieces)
    right = named == expected and not denied
    shown = ", ".join(sorted(named)) or "no choice"
    return Score(float(right), f"Expected {min(expected)}, found {shown} in the {found.where}.")


def letters(text: str, choices: str) -> set[str]:
    """The choices that a text names: a lone letter in any case, else capital letters that stand for themselves."""
    alone = text.strip().strip("().:*[]_ ").upper()
    if len(alone) == 1:
        return {alone} & set(choices)
    return set(re.findall(rf"(?<![A-Za-z0-9'])([{choices}])(?![A-Za-z0-9'])", ARTICLE.sub(" ", text)))
