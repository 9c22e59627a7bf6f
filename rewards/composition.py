"""A weighted list of reward functions, as JSON in presets and configs, and how it scores an answer."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from loracraft.numbers import thousands
from rewards import functions  # noqa: F401
from rewards.formula import Formula
from rewards.registry import REGISTRY, Parameters, RewardError, RewardFunction, Sample, Score, Verdict

# Longer than any answer that a model of ours can give; what is beyond it is refused before a pattern runs over it.
MAX_CHARACTERS = 400_000
LARGEST = 1e6

Normalise = Literal["none", "weights", "range"]


class Part(BaseModel):
    """One function with its weight.

    `gate`: below this score of the part, the whole answer gets the composition's `gated_total`.
    `clip`: the part's score is brought into this range before it is weighted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=80)
    function: str
    weight: float = Field(1.0, ge=-1000, le=1000, allow_inf_nan=False)
    parameters: dict[str, Any] = Field(default_factory=dict)
    gate: float | None = Field(None, ge=-LARGEST, le=LARGEST, allow_inf_nan=False)
    clip: tuple[float, float] | None = None
    _parsed: Parameters = PrivateAttr()

    @model_validator(mode="after")
    def known_function_with_valid_parameters(self) -> Self:
        if self.function not in REGISTRY:
            raise ValueError(f"There is no reward function {self.function!r}. Known: {', '.join(sorted(REGISTRY))}.")
        self._parsed = self.definition.parameters.model_validate(self.parameters)
        if self.clip and not (all(map(math.isfinite, self.clip)) and self.clip[0] < self.clip[1]):
            raise ValueError("clip: give the lower limit first, then a higher one.")
        low, high = self.definition.minimum, self.definition.maximum
        if self.gate is not None and not low < self.gate <= high:
            raise ValueError(
                f"gate: a limit that {self.function} can pass and fail is above {low:g} and at most {high:g}."
            )
        return self

    @property
    def definition(self) -> RewardFunction:
        return REGISTRY[self.function]

    @property
    def parsed(self) -> Parameters:
        return self._parsed

    @property
    def judges_answer(self) -> bool:
        decides = self._parsed.decides()
        return self.definition.judges_answer if decides is None else decides

    @property
    def low(self) -> float:
        return self.clipped(self.definition.minimum)

    @property
    def high(self) -> float:
        return self.clipped(self.definition.maximum)

    def clipped(self, value: float) -> float:
        return value if self.clip is None else min(max(value, self.clip[0]), self.clip[1])

    def holds(self, value: float) -> bool:
        return self.gate is None or value >= self.gate

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """A verdict for each sample: anything but a number between the function's minimum and maximum is an error."""
        return [verdict for verdict, _ in self.timed(samples)]

    def timed(self, samples: Sequence[Sample]) -> list[tuple[Verdict, float]]:
        """As `judge`, with the seconds that each sample took, or its share of the time that its batch took."""
        if self.definition.score_all is None:
            return [self._timed_one(sample) for sample in samples]
        began = time.perf_counter()
        verdicts = self._batch(samples) if samples else []
        share = (time.perf_counter() - began) / max(len(samples), 1)
        return [(self._checked(verdict), share) for verdict in verdicts]

    def _batch(self, samples: Sequence[Sample]) -> Sequence[Verdict]:
        assert self.definition.score_all is not None
        try:
            verdicts = self.definition.score_all(samples, self._parsed)
        except RewardError as error:
            return [error] * len(samples)
        except Exception as error:
            return [self._failed(error)] * len(samples)
        if len(verdicts) != len(samples):
            return [RewardError(f"{self.function} gave {len(verdicts)} verdicts on {len(samples)} answers.")] * len(
                samples
            )
        return verdicts

    def _timed_one(self, sample: Sample) -> tuple[Verdict, float]:
        began = time.perf_counter()
        verdict = self._checked(self._one(sample))
        return verdict, time.perf_counter() - began

    def _one(self, sample: Sample) -> Verdict:
        assert self.definition.score is not None
        try:
            return self.definition.score(sample, self._parsed)
        except RewardError as error:
            return error
        except Exception as error:
            return self._failed(error)

    def _failed(self, error: Exception) -> RewardError:
        return RewardError(f"{self.function} failed: {type(error).__name__}: {error}"[:300])

    def _checked(self, verdict: Verdict) -> Verdict:
        if isinstance(verdict, RewardError):
            return verdict
        low, high = self.definition.minimum, self.definition.maximum
        try:
            value = float(verdict.value)
        except (AttributeError, TypeError, ValueError) as error:
            return self._failed(error)
        if not (math.isfinite(value) and low <= value <= high):
            return RewardError(f"{self.function} gave {value}, which is not between {low:g} and {high:g}.")
        return Score(value, verdict.feedback)


@dataclass(frozen=True)
class Result:
    """`total` is None if a part could not judge. `correct` is None where nothing judges the answer.

    `parts` are the functions' own scores. `gate` names the part whose gate closed. `seconds` are what each
    part took, or its share of the time that its batch took.
    """

    total: float | None
    parts: dict[str, float | None]
    errors: dict[str, str]
    feedback: dict[str, str]
    correct: bool | None
    gate: str = ""
    seconds: dict[str, float] = field(default_factory=dict, compare=False)


class Composition(BaseModel):
    """How the parts make one number: a weighted sum, or `formula` over the names of the parts.

    `normalise` brings the sum to a common scale: "weights" divides it by the weights, "range" maps worst to 0 and
    best to 1. A closed gate gives `gated_total` whatever else the answer earned.
    """

    model_config = ConfigDict(extra="forbid")

    parts: list[Part] = Field(min_length=1, max_length=50)
    normalise: Normalise = "none"
    formula: str = Field("", max_length=2000)
    gated_total: float = Field(0.0, ge=-LARGEST, le=LARGEST, allow_inf_nan=False)
    _formula: Formula | None = PrivateAttr(None)

    @model_validator(mode="after")
    def names_differ(self) -> Self:
        names = [part.name for part in self.parts]
        if len(set(names)) != len(names):
            raise ValueError("Two parts have the same name: give each its own.")
        return self

    @model_validator(mode="after")
    def formula_computes(self) -> Self:
        if not self.formula.strip():
            return self
        if self.normalise != "none":
            raise ValueError("normalise: a formula makes the total itself. Choose one of the two.")
        self._formula = Formula(self.formula, {part.name for part in self.parts})
        unused = [part.name for part in self.parts if part.name not in self._formula.used and part.gate is None]
        if unused:
            raise ValueError(f"formula: it does not use {', '.join(unused)}. Name them, or remove these parts.")
        return self

    @property
    def needs_reference(self) -> bool:
        return any(part.definition.needs_reference for part in self.parts)

    @property
    def compares(self) -> bool:
        """It is told what the right answer is, so that it should know wrong ones."""
        return self.needs_reference or any(part.parsed.compares() for part in self.parts)

    @property
    def columns(self) -> list[str]:
        """The dataset columns that the parts read, beside question and reference."""
        return sorted({column for part in self.parts for column in part.parsed.columns()})

    @property
    def judges_answer(self) -> bool:
        """False: form alone earns the full reward, so a model can learn to say nothing right."""
        return any(not part.definition.form_only and (part.weight > 0 or self._formula) for part in self.parts)

    @property
    def asks_outside(self) -> bool:
        return any(part.definition.asks_outside for part in self.parts)

    @property
    def unavailable(self) -> list[str]:
        """Why parts can't be used on this machine."""
        return [f"{part.name}: {why}" for part in self.parts if (why := part.definition.unavailable())]

    @property
    def best_total(self) -> float | None:
        """None where a formula decides: its best is not known without searching for it."""
        return None if self._formula else self._scaled(self._best)

    @property
    def worst_total(self) -> float | None:
        if self._formula:
            return None
        worst = self._scaled(self._worst)
        return min(worst, self.gated_total) if any(part.gate is not None for part in self.parts) else worst

    @property
    def _best(self) -> float:
        return sum(max(p.weight * p.high, p.weight * p.low) for p in self.parts)

    @property
    def _worst(self) -> float:
        return sum(min(p.weight * p.high, p.weight * p.low) for p in self.parts)

    def score(self, sample: Sample) -> Result:
        return self.score_all([sample])[0]

    def score_all(self, samples: Sequence[Sample]) -> list[Result]:
        """One result a sample, in order. A part judges all of them at once, so that services see batches."""
        too_long = [_too_long(sample) for sample in samples]
        fitting = [sample for sample, message in zip(samples, too_long, strict=True) if not message]
        judged = {part.name: self._in_place(part.timed(fitting), too_long) for part in self.parts}
        return [self._result({name: found[i] for name, found in judged.items()}) for i in range(len(samples))]

    def _in_place(self, timed: Sequence[tuple[Verdict, float]], too_long: Sequence[str]) -> list[tuple[Verdict, float]]:
        rest = iter(timed)
        return [(RewardError(message), 0.0) if message else next(rest) for message in too_long]

    def _result(self, timed: dict[str, tuple[Verdict, float]]) -> Result:
        verdicts = {name: verdict for name, (verdict, _) in timed.items()}
        seconds = {name: taken for name, (_, taken) in timed.items()}
        values = {name: v.value if isinstance(v, Score) else None for name, v in verdicts.items()}
        errors = {name: str(v) for name, v in verdicts.items() if isinstance(v, RewardError)}
        feedback = {name: v.feedback for name, v in verdicts.items() if isinstance(v, Score)}
        gate = self._closed_gate(values)
        total = None
        if gate:
            total = self.gated_total
        elif not errors:
            try:
                total = self._total({name: value for name, value in values.items() if value is not None})
            except RewardError as error:
                errors["formula"] = str(error)
        correct = self._correct(values)
        # What a gate must have is part of being right.
        return Result(total, values, errors, feedback, False if gate and correct else correct, gate, seconds)

    def _closed_gate(self, values: dict[str, float | None]) -> str:
        for part in self.parts:
            value = values[part.name]
            if value is not None and not part.holds(value):
                return part.name
        return ""

    def _total(self, values: dict[str, float]) -> float:
        clipped = {part.name: part.clipped(values[part.name]) for part in self.parts}
        if self._formula:
            return self._formula.value(clipped)
        return self._scaled(sum(part.weight * clipped[part.name] for part in self.parts))

    def _scaled(self, total: float) -> float:
        if self.normalise == "weights":
            return total / (sum(abs(part.weight) for part in self.parts) or 1.0)
        if self.normalise == "range":
            return (total - self._worst) / ((self._best - self._worst) or 1.0)
        return total

    def _correct(self, values: dict[str, float | None]) -> bool | None:
        judged = [(values[p.name], p.definition.maximum) for p in self.parts if p.judges_answer]
        if not judged or any(value is None for value, _ in judged):
            return None
        return all(value is not None and value >= maximum for value, maximum in judged)


def _too_long(sample: Sample) -> str:
    for what, text in (("answer", sample.response), ("question", sample.instruction), ("reference", sample.reference)):
        if text and len(text) > MAX_CHARACTERS:
            return (
                f"The {what} has {thousands(len(text))} characters; rewards read at most {thousands(MAX_CHARACTERS)}."
            )
    return ""
