"""From an answer to its reward: the one place where the engine calls the composition."""

from __future__ import annotations

from rewards.composition import Composition, Result
from rewards.registry import Markers, Sample
from training.engine.prompting import Row
from training.schema import PromptSection


def score(composition: Composition, prompt: PromptSection, row: Row, text: str, tokens: int) -> Result:
    return composition.score(sample(prompt, row, text, tokens))


def sample(prompt: PromptSection, row: Row, text: str, tokens: int) -> Sample:
    return Sample(
        instruction=row.instruction,
        response=text,
        reference=row.reference or None,
        columns=dict(row.columns),
        markers=Markers(prompt.reasoning_start, prompt.reasoning_end, prompt.solution_start, prompt.solution_end),
        tokens=tokens,
    )
