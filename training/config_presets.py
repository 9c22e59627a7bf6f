"""Ready sets of values for the Config step. A preset sets every key of its kind, so that nothing of another stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ConfigPreset:
    """`changes` are the values that are not the schema's defaults."""

    slug: str
    title: str
    description: str
    changes: dict[str, Any]


TRAINING = [
    ConfigPreset("recommended", "Recommended", "The defaults, for a first session.", {}),
    ConfigPreset(
        "fast",
        "Fast",
        "One epoch, small groups, short answers: a first look.",
        {
            "training.num_epochs": 1.0,
            "training.learning_rate": 5e-4,
            "training.warmup_steps": 5,
            "training.weight_decay": 1e-4,
            "training.max_new_tokens": 256,
            "grpo.num_generations": 4,
            "grpo.kl_penalty": 0.0,
        },
    ),
    ConfigPreset(
        "balanced",
        "Balanced",
        "Twice the questions a step: steadier, twice the time a step.",
        {"training.batch_size": 2, "training.max_grad_norm": 1.0, "training.lr_scheduler_type": "cosine"},
    ),
    ConfigPreset(
        "quality",
        "Quality",
        "Large groups, long answers, small steps: slow and steady.",
        {
            "training.num_epochs": 5.0,
            "training.batch_size": 2,
            "training.gradient_accumulation_steps": 16,
            "training.learning_rate": 1e-4,
            "training.warmup_steps": 20,
            "training.weight_decay": 0.01,
            "training.max_grad_norm": 0.5,
            "training.lr_scheduler_type": "cosine",
            "training.max_new_tokens": 1024,
            "grpo.num_generations": 16,
            "grpo.clip_range": 0.15,
        },
    ),
]
LORA = [
    ConfigPreset(
        "rl",
        "Rank 1",
        "As little as can be learned with. Enough for many rewards.",
        {"model.lora_rank": 1, "model.lora_alpha": 32},
    ),
    ConfigPreset(
        "low-memory", "Low memory", "Rank 8: a small adapter.", {"model.lora_rank": 8, "model.lora_alpha": 16}
    ),
    ConfigPreset("standard", "Standard", "Rank 16 with alpha 32.", {}),
    ConfigPreset(
        "large", "Large", "Rank 64: learns more, needs more.", {"model.lora_rank": 64, "model.lora_alpha": 128}
    ),
]
KINDS = {"Training": TRAINING, "LoRA": LORA}


def keys_of(presets: list[ConfigPreset]) -> list[str]:
    return sorted({key for preset in presets for key in preset.changes})


def find(slug: str) -> tuple[ConfigPreset, list[ConfigPreset]] | None:
    """The preset and all of its kind."""
    return next(((each, kind) for kind in KINDS.values() for each in kind if each.slug == slug), None)


def values_of(preset: ConfigPreset, kind: list[ConfigPreset], standard: Mapping[str, Any]) -> dict[str, Any]:
    """What the preset sets; `standard` has the schema's defaults."""
    return {key: preset.changes.get(key, standard[key]) for key in keys_of(kind)}


def chosen(kind: list[ConfigPreset], current: Mapping[str, Any], standard: Mapping[str, Any]) -> str:
    """The slug of the preset whose values `current` has, or an empty text."""
    keys = keys_of(kind)
    now = {key: current[key] for key in keys}
    return next((each.slug for each in kind if values_of(each, kind, standard) == now), "")
