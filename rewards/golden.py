"""Golden cases: answers to one question that a preset must put in order, shown and run as tests.

[{"instruction", "reference", "markers": {...}, "answers": [{"text", "rank", "label"}]}]: a lower rank is a better
answer and must score strictly more; answers of the same rank are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from rewards.composition import Composition, Result
from rewards.registry import Markers, Sample


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    rank: int
    label: str = "answer"


class Case(BaseModel):
    model_config = ConfigDict(extra="forbid")

    instruction: str
    reference: str | None = None
    columns: dict[str, Any] = Field(default_factory=dict)
    markers: dict[Literal["reasoning_start", "reasoning_end", "solution_start", "solution_end"], str] = Field(
        default_factory=dict
    )
    answers: list[Answer]


CASES = TypeAdapter(list[Case])


@dataclass(frozen=True)
class Judged:
    text: str
    rank: int
    label: str
    result: Result


@dataclass(frozen=True)
class CaseRun:
    instruction: str
    reference: str
    answers: list[Judged]

    @property
    def passed(self) -> bool:
        return not self.problems

    @property
    def problems(self) -> list[str]:
        scored = [(a.rank, a.result.total, a.label) for a in self.answers]
        found = [f"“{label}” could not be judged." for _, total, label in scored if total is None]
        for rank, total, label in scored:
            for other_rank, other, other_label in scored:
                if rank < other_rank and total is not None and other is not None and total <= other:
                    found.append(f"“{label}” ({total:g}) must score more than “{other_label}” ({other:g}).")
        return found


def run(composition: Composition, cases: list[dict[str, Any]]) -> list[CaseRun]:
    return [_run_case(composition, case) for case in CASES.validate_python(cases)]


def _run_case(composition: Composition, case: Case) -> CaseRun:
    markers = Markers(**case.markers)
    samples = [
        Sample(case.instruction, answer.text, case.reference, dict(case.columns), markers) for answer in case.answers
    ]
    results = composition.score_all(samples)
    judged = [Judged(a.text, a.rank, a.label, result) for a, result in zip(case.answers, results, strict=True)]
    return CaseRun(case.instruction, case.reference or "", judged)
