"""From an answer to its reward: the one place where the engine calls the composition."""

from __future__ import annotations

from collections.abc import Iterable

from rewards.composition import Composition, Result
from rewards.registry import Markers, Sample
from training.engine.prompting import Row
from training.schema import PromptSection

# The row that was asked, the answer and its tokens.
Answered = tuple[Row, str, int]


def score_all(composition: Composition, prompt: PromptSection, answers: Iterable[Answered]) -> list[Result]:
    return composition.score_all([sample(prompt, row, text, tokens) for row, text, tokens in answers])


def sample(prompt: PromptSection, row: Row, text: str, tokens: int) -> Sample:
    return Sample(
        instruction=row.instruction,
        response=text,
        reference=row.reference or None,
        columns=dict(row.columns),
        markers=Markers(prompt.reasoning_start, prompt.reasoning_end, prompt.solution_start, prompt.solution_end),
        tokens=tokens,
    )
