"""A weighted list of reward functions, as JSON in presets and configs, and how it scores an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rewards import functions  # noqa: F401
from rewards.registry import REGISTRY, RewardError, RewardFunction, Sample


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=80)
    function: str
    weight: float = Field(1.0, ge=-1000, le=1000, allow_inf_nan=False)
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def known_function_with_valid_parameters(self) -> Self:
        if self.function not in REGISTRY:
            raise ValueError(f"There is no reward function {self.function!r}. Known: {', '.join(sorted(REGISTRY))}.")
        self.definition.parameters.model_validate(self.parameters)
        return self

    @property
    def definition(self) -> RewardFunction:
        return REGISTRY[self.function]


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

    def score(self, sample: Sample) -> Result:
        values: dict[str, float | None] = {}
        errors: dict[str, str] = {}
        feedback: dict[str, str] = {}
        for part in self.parts:
            try:
                score = part.definition.score(sample, part.definition.parameters.model_validate(part.parameters))
            except RewardError as error:
                values[part.name], errors[part.name] = None, str(error)
            else:
                values[part.name], feedback[part.name] = float(score.value), score.feedback
        total = None if errors else sum(part.weight * (values[part.name] or 0.0) for part in self.parts)
        return Result(total, values, errors, feedback, self._correct(values))

    def _correct(self, values: dict[str, float | None]) -> bool | None:
        judged = [(values[p.name], p.definition.maximum) for p in self.parts if p.definition.judges_answer]
        if not judged or any(value is None for value, _ in judged):
            return None
        return all(value is not None and value >= maximum for value, maximum in judged)
