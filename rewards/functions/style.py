"""How long, and how repetitive, is the answer?"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from rewards.registry import Example, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import Place, section


class Length(Parameters):
    unit: Literal["words", "tokens", "characters"] = Field("words", title="Unit")
    shortest: int = Field(1, ge=0, le=1_000_000, title="At least")
    longest: int = Field(200, ge=0, le=1_000_000, title="At most")
    fade: int = Field(
        50, ge=1, le=1_000_000, title="Fade", description="This much too short or too long scores 0; in between, less."
    )
    place: Place = Field("response", title="Place", description="The whole response, or one of its sections.")

    @model_validator(mode="after")
    def a_range(self) -> Self:
        if self.longest < self.shortest:
            raise ValueError("“At most” is below “at least”.")
        if self.unit == "tokens" and self.place != "response":
            raise ValueError("Tokens are counted for the whole response only: choose words or characters.")
        return self


def long(words: int, value: float, tokens: int | None = None, **parameters: object) -> Example:
    return Example(Sample("Say something.", "word " * words, tokens=tokens), value, parameters)


@reward_function(
    title="Length",
    category="Style",
    parameters=Length,
    examples=(
        long(100, 1.0),
        long(225, 0.5),
        long(250, 0.0),
        long(5, 0.5, shortest=10, fade=10),
        long(0, 0.0),
        long(3, 1.0, tokens=6, unit="tokens", longest=6),
    ),
)
def length(sample: Sample, parameters: Length) -> Score:
    """1 within a range of words, tokens or characters; outside it falls evenly to 0. An empty text scores 0."""
    count = _count(sample, parameters)
    beyond = max(parameters.shortest - count, count - parameters.longest, 0)
    nothing = count == 0 and parameters.shortest > 0
    value = 0.0 if nothing else max(0.0, 1.0 - beyond / parameters.fade)
    return Score(
        value, f"{parameters.unit.capitalize()}: {count}; asked for {parameters.shortest} to {parameters.longest}."
    )


def _count(sample: Sample, parameters: Length) -> int:
    if parameters.unit == "tokens":
        if sample.tokens is None:
            raise RewardError("The number of tokens is only known while training: use words here.")
        return sample.tokens
    text = section(sample, parameters.place)
    return len(text.split()) if parameters.unit == "words" else len(text.strip())


class Repetition(Parameters):
    words: int = Field(3, ge=1, le=20, title="Words", description="Length of the phrases that are compared.")


@reward_function(
    title="No repetition",
    category="Style",
    parameters=Repetition,
    examples=(
        Example(Sample("Go on.", "one two three four five"), 1.0),
        Example(Sample("Go on.", "no no no no no no"), 0.25),
        Example(Sample("Go on.", "yes"), 1.0),
    ),
)
def repetition(sample: Sample, parameters: Repetition) -> Score:
    """Share of the phrases of a few words that are different from each other: 1 if none is repeated."""
    words = sample.response.casefold().split()
    phrases = [tuple(words[i : i + parameters.words]) for i in range(len(words) - parameters.words + 1)]
    if not phrases:
        return Score(1.0, "Too short to repeat itself.")
    distinct = len(set(phrases))
    return Score(distinct / len(phrases), f"{distinct} of {len(phrases)} phrases are different.")
