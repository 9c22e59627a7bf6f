"""What the Config step says at a field though nothing is wrong: it will run, but not as one may think."""

from __future__ import annotations

from typing import Any

from loracraft.numbers import thousands
from training import fallbacks
from training.estimates import Plan
from training.schema import SessionConfig

CLIPS = ("clip_range", "clip_range_high", "delta")
WIDE_FOR_SEQUENCES = 0.05


def notes(config: SessionConfig, plan: Plan, cuda: bool, validation: int | None) -> dict[str, str]:
    """Sentence by field. `validation` counts the rows of the dataset's validation part, None without a dataset."""
    found = {notice.field: notice.message for notice in fallbacks.notices(config, cuda)}
    return {**of_clipping(config), **of_scores(config, plan, validation), **of_steps(config, plan), **found}


def of_clipping(config: SessionConfig) -> dict[str, str]:
    standard, grpo = SessionConfig().grpo, config.grpo
    changed = [name for name in CLIPS if getattr(grpo, name) != getattr(standard, name)]
    if not config.reuses_answers:
        text = "Nothing is clipped with these settings: every answer is trained on once, before the model changes."
        return {f"grpo.{name}": text for name in changed}
    if grpo.importance_sampling_level == "sequence" and grpo.clip_range > WIDE_FOR_SEQUENCES:
        return {"grpo.clip_range": "Wide for whole answers, whose ratio stays near 1: GSPO's authors use 3e-4."}
    return {}


def of_scores(config: SessionConfig, plan: Plan, validation: int | None) -> dict[str, str]:
    every = config.evaluation.eval_steps
    if every is None:
        return {}
    if validation == 0:
        text = "The dataset has no validation part, so there is no score. Set one aside on the dataset's Split tab."
        return {"evaluation.eval_steps": text}
    if plan.steps and every > plan.steps:
        return {"evaluation.eval_steps": f"The session has {thousands(plan.steps)} steps, so no score comes."}
    return {}


def of_steps(config: SessionConfig, plan: Plan) -> dict[str, str]:
    training: Any = config.training
    found = {}
    if plan.steps and training.warmup_steps >= plan.steps:
        found["training.warmup_steps"] = (
            f"The session has {thousands(plan.steps)} steps: the learning rate never reaches its value."
        )
    if plan.steps and training.save_steps > plan.steps:
        found["training.save_steps"] = f"The session has {thousands(plan.steps)} steps: only its end is saved."
    return found
