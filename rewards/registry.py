"""Reward functions: named, typed, pure. Importing this needs neither Django nor torch.

A function gets one sample and its parameters and returns a Score between its minimum and maximum. What it cannot judge
(no reference, text it cannot parse a reference from, a time-out) it says with RewardError: an error is not a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

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


Verdict = Score | RewardError


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    def columns(self) -> list[str]:
        """The dataset columns beside question and reference that the function reads."""
        return []

    def decides(self) -> bool | None:
        """With these parameters: is the highest score for right answers only? None: as the function says of itself."""
        return None

    def compares(self) -> bool:
        """With these parameters: does it look at the reference, though the function can do without one?"""
        return False


class NoParameters(Parameters):
    pass


@dataclass(frozen=True)
class Example:
    """Shown in the library and run as a test: this sample scores `value` with these parameters."""

    sample: Sample
    value: float
    parameters: dict[str, Any] = field(default_factory=dict)


def always() -> str:
    return ""


@dataclass(frozen=True)
class RewardFunction:
    """`score` judges one sample; `score_all`, in its place, a batch: one verdict a sample, in order.

    `judges_answer`: the highest score means right, anything less wrong. `grades_content`: content decides how high the
    score is, but no score means right. A function that does neither looks at form alone.
    `asks_outside`: a call goes to a service that may be slow and cost money, so no page makes it unasked.
    `unavailable` says why the function can't be used on this machine, or nothing.
    """

    name: str
    title: str
    help: str
    category: str
    parameters: type[Parameters]
    score: Callable[[Sample, Any], Score] | None = None
    score_all: Callable[[Sequence[Sample], Any], Sequence[Verdict]] | None = None
    minimum: float = 0.0
    maximum: float = 1.0
    judges_answer: bool = False
    grades_content: bool = False
    asks_outside: bool = False
    needs_reference: bool = False
    unavailable: Callable[[], str] = always
    examples: tuple[Example, ...] = ()

    @property
    def form_only(self) -> bool:
        return not (self.judges_answer or self.grades_content)


REGISTRY: dict[str, RewardFunction] = {}
F = TypeVar("F", bound=Callable[..., Any])


def reward_function(
    *, title: str, category: str, parameters: type[Parameters] = NoParameters, **traits: Any
) -> Callable[[F], F]:
    """Registers the decorated function under its own name; its docstring's first line is the help text."""
    return _registering("score", title=title, category=category, parameters=parameters, **traits)


def batch_reward_function(
    *, title: str, category: str, parameters: type[Parameters] = NoParameters, **traits: Any
) -> Callable[[F], F]:
    """The same for a function that judges many samples at once: a service, a model, a process of its own."""
    return _registering("score_all", title=title, category=category, parameters=parameters, **traits)


def _registering(how: str, **traits: Any) -> Callable[[F], F]:
    def register(function: F) -> F:
        name = function.__name__
        if name in REGISTRY:
            raise ValueError(f"Two reward functions are called {name}.")
        help_text = (function.__doc__ or "").strip().split("\n")[0]
        REGISTRY[name] = RewardFunction(name=name, help=help_text, **(traits | {how: function}))
        return function

    return register
