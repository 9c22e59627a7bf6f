"""How the format rewards score an answer: shown beside a prompt template's sample answers."""

from __future__ import annotations

from collections.abc import Mapping

from datasets_app.prompt_templates import Verdict
from rewards.composition import Part
from rewards.functions import form
from rewards.registry import REGISTRY, Markers, RewardError, Sample

FUNCTIONS = (form.markers.__name__, form.solution_markers.__name__)


def judge(markers: Mapping[str, str], answer: str) -> list[Verdict]:
    """One verdict for each format reward that these markers allow."""
    sample = Sample("", answer, markers=Markers(**markers))
    return [found for name in FUNCTIONS if (found := verdict(name, sample))]


def verdict(name: str, sample: Sample) -> Verdict | None:
    found = Part(name=name, function=name).judge([sample])[0]
    if isinstance(found, RewardError):
        # Without solution markers there is nothing for it to judge.
        return None
    return Verdict(REGISTRY[name].title, found.value, found.feedback)
