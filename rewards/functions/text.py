"""Does the answer have the right words?"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Literal

import re2
from pydantic import Field, field_validator

from rewards.numbers import quantity
from rewards.registry import Example, Markers, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import LOOK_IN_HELP, LookIn, Place, find_answer, section

MARKED = Markers(solution_start="<SOLUTION>", solution_end="</SOLUTION>")
ARTICLES = re.compile(r"\b(?:a|an|the)\b")
PLACE_HELP = "The whole response, or one of its sections."


class ExactMatch(Parameters):
    look_in: LookIn = Field("auto", title="Look in", description=LOOK_IN_HELP)
    normalise: bool = Field(
        True, title="Normalise", description="Ignore case, punctuation, accents, articles and extra spaces."
    )
    numbers: bool = Field(True, title="Numbers by value", description="72.0 equals 72 where both are numbers.")


def answered(response: str, reference: str, value: float, **parameters: object) -> Example:
    return Example(Sample("What is the capital of France?", response, reference, markers=MARKED), value, parameters)


@reward_function(
    title="Exact match",
    category="Answer",
    parameters=ExactMatch,
    judges_answer=True,
    needs_reference=True,
    examples=(
        answered("<SOLUTION>Paris</SOLUTION>", "Paris", 1.0),
        answered("Answer: paris.", "Paris", 1.0),
        answered("<SOLUTION>The Eiffel Tower</SOLUTION>", "eiffel tower", 1.0),
        answered("<SOLUTION>72.0</SOLUTION>", "72", 1.0),
        answered("<SOLUTION>Paris, Lyon</SOLUTION>", "Paris", 0.0),
        answered("<SOLUTION>not Paris</SOLUTION>", "Paris", 0.0),
        answered("<SOLUTION>paris</SOLUTION>", "Paris", 0.0, normalise=False),
    ),
)
def exact_match(sample: Sample, parameters: ExactMatch) -> Score:
    """1 if the answer is the reference, by default whatever the case, punctuation and articles."""
    if not (sample.reference or "").strip():
        raise RewardError("This row has no reference answer.")
    reference = (sample.reference or "").strip()
    found = find_answer(sample, parameters.look_in)
    if found.pieces and all(_matches(piece, reference, parameters) for piece in found.pieces):
        return Score(1.0, f"“{reference[:80]}” is right.")
    shown = "; ".join(found.pieces)[:80] or "no answer"
    return Score(0.0, f"Expected “{reference[:80]}”, found “{shown}” in the {found.where}.")


def _matches(piece: str, reference: str, parameters: ExactMatch) -> bool:
    expected = quantity(reference) if parameters.numbers else None
    # Only where the reference is nothing but a number: "Boeing 747" is a name.
    if expected is not None and re.fullmatch(r"[-+$€£]?[\d.,/]+%?", reference):
        return quantity(piece) == expected
    if parameters.normalise:
        return normalised(piece) == normalised(reference)
    return piece.strip() == reference


def normalised(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(c if c.isalnum() or c in "+-#%" else " " for c in letters if not unicodedata.combining(c))
    plain = " ".join(kept.split())
    return " ".join(ARTICLES.sub(" ", plain).split()) or plain


class Contains(Parameters):
    phrases: list[str] = Field(min_length=1, max_length=100, title="Phrases", description="One a line.")
    mode: Literal["all", "any", "none"] = Field("all", title="Mode", description="How many of them must occur.")
    place: Place = Field("response", title="Place", description=PLACE_HELP)
    ignore_case: bool = Field(True, title="Ignore case")

    @field_validator("phrases")
    @classmethod
    def not_empty(cls, phrases: list[str]) -> list[str]:
        if not all(phrase.strip() for phrase in phrases):
            raise ValueError("An empty phrase occurs everywhere: remove it.")
        return phrases


def said(response: str, value: float, **parameters: object) -> Example:
    return Example(Sample("Recommend a book.", response), value, parameters)


@reward_function(
    title="Contains phrases",
    category="Text",
    parameters=Contains,
    examples=(
        said("Because it is short.", 1.0, phrases=["because"]),
        said("Because it is short.", 0.5, phrases=["because", "therefore"]),
        said("Because it is short.", 1.0, phrases=["because", "therefore"], mode="any"),
        said("As an AI, I like it.", 0.0, phrases=["as an AI"], mode="none"),
    ),
)
def contains(sample: Sample, parameters: Contains) -> Score:
    """Share of the phrases that occur (all), or 1 if at least one (any) or none of them does."""
    text = _cased(section(sample, parameters.place), parameters)
    present = [phrase for phrase in parameters.phrases if _cased(phrase, parameters) in text]
    share = len(present) / len(parameters.phrases)
    value = {"all": share, "any": float(bool(present)), "none": float(not present)}[parameters.mode]
    return Score(value, f"{len(present)} of {len(parameters.phrases)} phrases occur.")


def _cased(text: str, parameters: Contains) -> str:
    return text.casefold() if parameters.ignore_case else text


class Regex(Parameters):
    pattern: str = Field(
        min_length=1,
        max_length=2000,
        title="Pattern",
        description="RE2 syntax, which always runs in linear time: no look-around and no back-references.",
    )
    whole: bool = Field(False, title="Whole text", description="The pattern must cover all of the text.")
    absent: bool = Field(False, title="Must not occur")
    place: Place = Field("response", title="Place", description=PLACE_HELP)
    ignore_case: bool = Field(False, title="Ignore case")

    @field_validator("pattern")
    @classmethod
    def compiles(cls, pattern: str) -> str:
        compiled(pattern)
        return pattern


def compiled(pattern: str, ignore_case: bool = False) -> Any:
    """Raises ValueError with a sentence if this is no RE2 pattern."""
    try:
        return re2.compile(pattern, _options(ignore_case))
    except re2.error as error:
        reason = error.args[0] if error.args else error
        reason = reason.decode() if isinstance(reason, bytes) else reason
        raise ValueError(f"This is not an RE2 pattern: {reason}.") from None


def encodable(text: str) -> str:
    """RE2 works on UTF-8, which has no half characters."""
    return text.encode(errors="replace").decode()


def _options(ignore_case: bool) -> re2.Options:
    options = re2.Options()
    options.dot_nl, options.case_sensitive, options.log_errors = True, not ignore_case, False
    options.max_mem = 8 << 20
    return options


@reward_function(
    title="Matches a pattern",
    category="Text",
    parameters=Regex,
    examples=(
        said("Published in 1999.", 1.0, pattern=r"\b\d{4}\b"),
        said("Published in 1999.", 0.0, pattern=r"\b\d{4}\b", absent=True),
        said("Published in 1999.", 0.0, pattern=r"\d{4}", whole=True),
        said("a" * 5000 + "b", 0.0, pattern=r"(a+)+$"),
    ),
)
def regex(sample: Sample, parameters: Regex) -> Score:
    """1 if the pattern occurs in the text (or covers it, or does not occur)."""
    pattern = compiled(parameters.pattern, parameters.ignore_case)
    text = encodable(section(sample, parameters.place))
    occurs = (pattern.fullmatch(text) if parameters.whole else pattern.search(text)) is not None
    return Score(float(occurs != parameters.absent), "The pattern occurs." if occurs else "The pattern does not occur.")
