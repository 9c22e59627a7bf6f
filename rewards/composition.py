"""A weighted list of reward functions, as JSON in presets and configs, and how it scores an answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from rewards import functions  # noqa: F401
from rewards.registry import REGISTRY, Parameters, RewardError, RewardFunction, Sample, Score

# Longer than any answer that a model of ours can give; what is beyond it is refused before a pattern runs over it.
MAX_CHARACTERS = 400_000


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=80)
    function: str
    weight: float = Field(1.0, ge=-1000, le=1000, allow_inf_nan=False)
    parameters: dict[str, Any] = Field(default_factory=dict)
    _parsed: Parameters = PrivateAttr()

    @model_validator(mode="after")
    def known_function_with_valid_parameters(self) -> Self:
        if self.function not in REGISTRY:
            raise ValueError(f"There is no reward function {self.function!r}. Known: {', '.join(sorted(REGISTRY))}.")
        self._parsed = self.definition.parameters.model_validate(self.parameters)
        return self

    @property
    def definition(self) -> RewardFunction:
        return REGISTRY[self.function]

    def score(self, sample: Sample) -> Score:
        """Raises RewardError for anything but a number between the function's minimum and maximum."""
        try:
            score = self.definition.score(sample, self._parsed)
            value = float(score.value)
        except RewardError:
            raise
        except Exception as error:
            raise RewardError(f"{self.function} failed: {type(error).__name__}: {error}"[:300]) from error
        low, high = self.definition.minimum, self.definition.maximum
        if not (math.isfinite(value) and low <= value <= high):
            raise RewardError(f"{self.function} gave {value}, which is not between {low:g} and {high:g}.")
        return Score(value, score.feedback)


@dataclass(frozen=True)
class Result:
    """`total` is the weighted sum, or None if any part could not judge. `correct` is None where nothing judges it."""

    total: float | None
    parts: dict[str, float | None]
    errors: dict[str, str]
    feedback: dict[str, str]
    correct: bool | None


class Composition(BaseModel):
    model_config = ConfigDict(extra="forbid")

    parts: list[Part] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def names_differ(self) -> Self:
        names = [part.name for part in self.parts]
        if len(set(names)) != len(names):
            raise ValueError("Two parts have the same name: give each its own.")
        return self

    @property
    def needs_reference(self) -> bool:
        return any(part.definition.needs_reference for part in self.parts)

    @property
    def judges_answer(self) -> bool:
        """False: form alone earns the full reward, so a model can learn to say nothing right."""
        return any(part.definition.judges_answer and part.weight > 0 for part in self.parts)

    @property
    def best_total(self) -> float:
        return sum(max(p.weight * p.definition.maximum, p.weight * p.definition.minimum) for p in self.parts)

    def score(self, sample: Sample) -> Result:
        values: dict[str, float | None] = {}
        errors: dict[str, str] = {}
        feedback: dict[str, str] = {}
        too_long = _too_long(sample)
        for part in self.parts:
            try:
                if too_long:
                    raise RewardError(too_long)
                score = part.score(sample)
            except RewardError as error:
                values[part.name], errors[part.name] = None, str(error)
            else:
                values[part.name], feedback[part.name] = score.value, score.feedback
        total = None if errors else sum(part.weight * (values[part.name] or 0.0) for part in self.parts)
        return Result(total, values, errors, feedback, self._correct(values))

    def _correct(self, values: dict[str, float | None]) -> bool | None:
        judged = [(values[p.name], p.definition.maximum) for p in self.parts if p.definition.judges_answer]
        if not judged or any(value is None for value, _ in judged):
            return None
        return all(value is not None and value >= maximum for value, maximum in judged)


def _too_long(sample: Sample) -> str:
    for what, text in (("answer", sample.response), ("question", sample.instruction), ("reference", sample.reference)):
        if text and len(text) > MAX_CHARACTERS:
            return f"The {what} has {len(text):,} characters; rewards read at most {MAX_CHARACTERS:,}."
    return ""
