"""Rough arithmetic before a run: how many steps, and what they may cost. Pages say "about" in front of every figure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from datasets_app.models import DatasetVersion
from training.architecture import Architecture
from training.memory import Estimate, Situation
from training.memory import estimate as memory_estimate
from training.schema import SessionConfig

# Answered tokens times model parameters a second of a whole training step, measured with SmolLM2-135M on 2 CPU cores
# (32 answers of 14 tokens in 5 s). The one for a GPU is a guess: no GPU was measured.
CPU_SPEED = 1.2e10
GPU_SPEED = 3e11
# Answers rarely use their whole limit; without a run this is a guess.
USED_SHARE = 0.5
# Generating alone, as evaluation does, against a whole training step.
GENERATION_GAIN = 2


@dataclass(frozen=True)
class Plan:
    """What a config makes of a dataset. `rows` is None while no usable dataset is chosen."""

    rows: int | None
    held_out: int
    completions: int
    group: int
    steps: int | None
    warmup_steps: int
    # Completions of one round of answering, which may feed more or less than a step.
    generated: int = 0
    # Tokens of a step's answers at most.
    tokens: int = 0

    @property
    def prompts(self) -> float:
        return self.completions / self.group

    @property
    def whole_groups(self) -> bool:
        return self.generated % self.group == 0


def counts(version: DatasetVersion) -> tuple[int, int]:
    """(rows to train on, held-out questions), as counted at import."""
    parts = version.report.get("parts") or {}
    held_out = int(version.split.get("held_out") or 0)
    return int(parts.get("train") or max(version.row_count - held_out, 0)), held_out


def plan(config: SessionConfig, train_rows: int | None, held_out: int) -> Plan:
    rows = min(train_rows, config.dataset.max_samples or train_rows) if train_rows is not None else None
    return Plan(
        rows=rows,
        held_out=min(held_out, config.evaluation.max_samples) if config.evaluation.enabled else 0,
        completions=config.completions_per_step,
        group=config.grpo.num_generations,
        steps=steps(config, rows),
        warmup_steps=warmup_steps(config, rows),
        generated=config.completions_per_generation,
        tokens=config.completions_per_step * config.training.max_new_tokens,
    )


def steps(config: SessionConfig, rows: int | None) -> int | None:
    """Optimiser steps of GRPO, as TRL counts them."""
    if rows is None:
        return config.training.max_steps
    found = max(1, math.ceil(config.training.num_epochs * config.steps_per_epoch(rows)))
    return min(found, config.training.max_steps or found)


def warmup_steps(config: SessionConfig, rows: int | None) -> int:
    section = config.pre_training
    if not section.enabled or not rows:
        return 0
    return math.ceil(min(rows, section.max_samples or rows) * section.epochs / section.batch_size)


@dataclass(frozen=True)
class Cost:
    """None where the model's size or the dataset is not known."""

    seconds: float | None
    memory: float | None
    disk: float | None
    on_gpu: bool
    # What the memory is made of; None while the model's files are not on this machine.
    estimate: Estimate | None = None


def cost(config: SessionConfig, made: Plan, parameters: int | None, vram_gb: float | None, on_gpu: bool) -> Cost:
    """Of a model that is not here: what the catalogue says of it. Its memory is known once it is fetched."""
    if parameters is None:
        return Cost(None, None, None, on_gpu)
    needed = vram_gb * 1e9 if vram_gb and on_gpu else None
    adapter = adapter_parameters(parameters, config.model.lora_rank)
    return Cost(seconds(config, made, parameters, on_gpu), needed, disk(config, adapter), on_gpu)


def cost_of(config: SessionConfig, made: Plan, model: Architecture, where: Situation) -> Cost:
    """Of a model whose files are here."""
    found = memory_estimate(model, config, where)
    space = disk(config, model.adapter_parameters(config.model))
    time = seconds(config, made, model.parameters, where.on_gpu)
    return Cost(time, found.total, space, where.on_gpu, found)


def seconds(config: SessionConfig, made: Plan, parameters: int, on_gpu: bool) -> float | None:
    if made.steps is None:
        return None
    limit = config.training.max_new_tokens
    trained = made.steps * made.completions * limit
    evaluated = 2 * made.held_out * (config.evaluation.max_new_tokens or limit) / GENERATION_GAIN
    return (trained + evaluated) * USED_SHARE * parameters / (GPU_SPEED if on_gpu else CPU_SPEED)


def disk(config: SessionConfig, adapter: float) -> float:
    """Adapter, and kept checkpoints with the optimiser's two numbers a weight, all in 4 bytes."""
    return 4 * adapter * (1 + 3 * config.training.save_total_limit)


def adapter_parameters(parameters: int, rank: int) -> float:
    """Of all linear layers of a transformer of common shape: width 128 times the depth."""
    width = (128 * parameters / 12) ** (1 / 3)
    return rank * 20 * width * (width / 128)
