"""Reward functions: named, typed, pure. Importing this needs neither Django nor torch.

A function gets one sample and its parameters and returns a Score between its minimum and maximum. What it cannot judge
(no reference, text it cannot parse a reference from, a time-out) it says with RewardError: an error is not a zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict


class RewardError(Exception):
    """The answer could not be judged. Recorded, shown, counted, and left out of the gradient."""


@dataclass(frozen=True)
class Markers:
    reasoning_start: str = ""
    reasoning_end: str = ""
    solution_start: str = ""
    solution_end: str = ""

    @property
    def solution(self) -> tuple[str, str] | None:
        pair = (self.solution_start, self.solution_end)
        return pair if all(pair) else None

    @property
    def reasoning(self) -> tuple[str, str] | None:
        pair = (self.reasoning_start, self.reasoning_end)
        return pair if all(pair) else None


@dataclass(frozen=True)
class Sample:
    """One answer of the model with everything it may be judged by."""

    instruction: str
    response: str
    reference: str | None = None
    columns: dict[str, Any] = field(default_factory=dict)
    markers: Markers = Markers()
    tokens: int | None = None


@dataclass(frozen=True)
class Score:
    value: float
    feedback: str = ""


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class NoParameters(Parameters):
    pass


@dataclass(frozen=True)
class Example:
    """Shown in the library and run as a test: this sample scores `value` with these parameters."""

    sample: Sample
    value: float
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RewardFunction:
    name: str
    title: str
    help: str
    category: str
    parameters: type[Parameters]
    score: Callable[[Sample, Any], Score]
    minimum: float = 0.0
    maximum: float = 1.0
    judges_answer: bool = False
    needs_reference: bool = False
    examples: tuple[Example, ...] = ()


REGISTRY: dict[str, RewardFunction] = {}


def reward_function(
    *, title: str, category: str, parameters: type[Parameters] = NoParameters, **traits: Any
) -> Callable[[Callable[[Sample, Any], Score]], Callable[[Sample, Any], Score]]:
    """Registers the decorated function under its own name; its docstring's first line is the help text."""

    def register(score: Callable[[Sample, Any], Score]) -> Callable[[Sample, Any], Score]:
        name = score.__name__
        if name in REGISTRY:
            raise ValueError(f"Two reward functions are called {name}.")
        help_text = (score.__doc__ or "").strip().split("\n")[0]
        REGISTRY[name] = RewardFunction(name, title, help_text, category, parameters, score, **traits)
        return score

    return register
