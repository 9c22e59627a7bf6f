"""What the warm-up's and GRPO's trainer have in common: events, safe checkpoints, stopping at any moment."""

from __future__ import annotations

import math
import random
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, TypedDict

import numpy
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback

from training import fallbacks
from training.engine.beats import SAVING, TRAINING
from training.engine.checkpoints import checkpoint_path, rotate
from training.engine.files import publish, unfinished_folder
from training.engine.loading import load_adapters, name_base
from training.engine.problems import Stopper, StopRequested, not_a_number
from training.events import Emit, EngineEvent, finite
from training.schema import SessionConfig

NOT_A_CURVE = {"epoch", "total_flos", "train_loss", "train_runtime", "train_samples_per_second"}


@dataclass
class Journal:
    """Where a run says what happens. `phase` is the session's status."""

    emit: Emit
    phase: str = "starting"
    seconds_after_training: float = 0.0

    def event(self, kind: str, data: dict[str, Any], step: int | None = None) -> None:
        self.emit(EngineEvent(kind, self.phase, finite(data), step))

    def log(self, message: str, level: str = "info", **more: Any) -> None:
        self.event("log", {"level": level, "message": message, **more})

    def enter(
        self,
        phase: str,
        label: str,
        total_steps: int | None = None,
        resumed_from: int | None = None,
        mode: str | None = None,
    ) -> None:
        self.phase = phase
        self.event(
            "phase",
            {"status": phase, "label": label, "total_steps": total_steps, "resumed_from": resumed_from, "mode": mode},
        )


class Randomness(TypedDict):
    python: Any
    numpy: Any
    torch: Any
    cuda: Any


def randomness() -> Randomness:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    return {
        "python": random.getstate(),
        "numpy": numpy.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": cuda,
    }


def restore(state: Randomness) -> None:
    random.setstate(state["python"])
    numpy.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state_all(state["cuda"])


class SafeCheckpoints(Trainer):
    """Mixed in before a TRL trainer. `prepare_run` is to be called once after construction."""

    model: Any
    optimizer: Any
    journal: Journal
    stopper: Stopper
    folder: Path
    config: SessionConfig

    def prepare_run(self, folder: Path, config: SessionConfig, journal: Journal, stopper: Stopper) -> None:
        self.folder, self.config, self.journal, self.stopper = folder, config, journal, stopper
        self.rewards_since_save: list[float] = []
        self._writing_to: Path | None = None
        self._saved_step = 0
        self._after_step: tuple[Randomness, int] | None = None
        # What callbacks have measured after the step that is logged next.
        self.measured: dict[str, float | None] = {}
        self.remove_callback(PrinterCallback)
        self.add_callback(Reporter(self))

    def train_until_stopped(self, checkpoint: Path | None) -> bool:
        """True if it went to the end; False if it was stopped, with the last completed step saved."""
        self._saved_step = 0
        hooks = self.stop_hooks()
        try:
            with self.stopper.during(TRAINING):
                self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except StopRequested:
            self.save_completed_step()
            return False
        finally:
            for hook in hooks:
                hook.remove()
        return True

    def stop_hooks(self) -> list[Any]:
        """A look at the stop sign at every layer, there and back: a pass of a large batch takes many seconds."""

        def check(*_: Any) -> None:
            self.stopper.check()

        def check_there_and_back(layer: Any, inputs: tuple[Any, ...]) -> None:
            check()
            if inputs and isinstance(inputs[0], torch.Tensor) and inputs[0].requires_grad:
                inputs[0].register_hook(check)

        blocks = [module for module in self.model.modules() if isinstance(module, torch.nn.ModuleList)]
        return [layer.register_forward_pre_hook(check_there_and_back) for block in blocks for layer in block]

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.stopper.check()
        loss = super().training_step(*args, **kwargs)
        if not loss.isfinite():
            raise not_a_number("the loss is", self.state.global_step + 1)
        return loss

    def remember_step(self) -> None:
        self._after_step = (randomness(), self.state.num_input_tokens_seen)

    def save_completed_step(self) -> None:
        """The half step that was under way is forgotten: gradients are dropped and the dice are put back."""
        self.optimizer.zero_grad()
        if self._after_step is None or self.state.global_step in (0, self._saved_step):
            return
        dice, self.state.num_input_tokens_seen = self._after_step
        restore(dice)
        self._save_checkpoint(self.model, None)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_adapters(self.model, Path(resume_from_checkpoint))

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._writing_to or super()._get_output_dir(trial))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with self.stopper.during(SAVING):
            self.save_whole(model, trial)

    def save_whole(self, model: Any, trial: Any) -> None:
        step, began = self.state.global_step, time.perf_counter()
        if not all(weights.isfinite().all() for weights in self.model.parameters() if weights.requires_grad):
            raise not_a_number("the adapter's weights are", step)
        target = checkpoint_path(self.folder, self.journal.phase, step)
        with unfinished_folder(target.parent) as temporary:
            self._writing_to = temporary
            try:
                # transformers' own, not TRL's: that one also writes a model card, which names this machine's paths.
                Trainer._save_checkpoint(self, model, trial)
            finally:
                self._writing_to = None
            written = temporary / f"checkpoint-{step}"
            name_base(written, self.config)
            reward = self.mean_reward()
            made = publish(written, target, step=step, phase=self.journal.phase, reward=reward)
        self._saved_step, self.rewards_since_save = step, []
        rotate(self.folder, self.journal.phase, self.config.training.save_total_limit)
        path = str(target.relative_to(self.folder))
        seconds = time.perf_counter() - began
        facts = {"path": path, "bytes": made.bytes, "sha256": made.sha256, "seconds": seconds, "reward": reward}
        self.journal.event("checkpoint", facts, step)

    def look_at(self, values: dict[str, Any], step: int) -> None:
        """Before a checkpoint is written: transformers logs a step first."""
        norm, reward = values.get("grad_norm"), values.get("reward")
        if isinstance(norm, float) and not math.isfinite(norm):
            raise not_a_number("the gradient is", step)
        if isinstance(reward, float) and math.isfinite(reward):
            self.rewards_since_save.append(reward)

    def mean_reward(self) -> float | None:
        """Of the steps since the checkpoint before: what the best one is chosen by."""
        return fmean(self.rewards_since_save) if self.rewards_since_save else None


class Reporter(TrainerCallback):
    """Turns the trainer's log lines into metrics events, one a step, with what other callbacks measured."""

    def __init__(self, trainer: SafeCheckpoints) -> None:
        self.trainer = trainer
        self.durations: deque[float] = deque(maxlen=20)
        self.began = self.ended = time.perf_counter()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.began = time.perf_counter()
        # transformers asks callbacks for a resumed checkpoint's step only here.
        self.trainer._saved_step = state.global_step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.remember_step()
        self.ended = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if not logs or "train_runtime" in logs:
            return
        # What is measured after a step is no part of it.
        self.durations.append(self.ended - self.began)
        self.began = time.perf_counter()
        values = {name: value for name, value in logs.items() if name not in NOT_A_CURVE}
        self.trainer.look_at(values, state.global_step)
        values |= self.trainer.measured
        self.trainer.measured = {}
        values["epoch"] = logs.get("epoch")
        values["seconds_left"] = self.seconds_left(state)
        self.trainer.journal.event("metrics", values, state.global_step)

    def seconds_left(self, state: Any) -> float:
        typical = sum(self.durations) / len(self.durations)
        return typical * max(state.max_steps - state.global_step, 0) + self.trainer.journal.seconds_after_training


def common_options(config: SessionConfig, folder: Path, half: bool, cuda: bool) -> dict[str, Any]:
    """Fields of transformers' TrainingArguments that both trainers share. All are given, because Unsloth puts defaults
    of its own in the place of those that are not."""
    training = config.training
    return {
        "output_dir": str(folder / "trainer"),
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "optim": fallbacks.optimiser(config, cuda)[0],
        "seed": training.seed,
        "data_seed": training.seed,
        "save_strategy": "steps",
        "save_steps": training.save_steps,
        # Ours rotates after a checkpoint is published; transformers' would look into a folder that is not there.
        "save_total_limit": None,
        "eval_strategy": "no",
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "gradient_checkpointing": training.gradient_checkpointing,
        "bf16": half,
        "fp16": not half and fallbacks.precision(config, cuda)[0] == "fp16",
        "use_cpu": not cuda,
        "report_to": "none",
        "disable_tqdm": True,
        "push_to_hub": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": cuda,
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_epsilon": 1e-8,
    }


def schedule(config: SessionConfig) -> str:
    """transformers' constant schedule ignores the warm-up steps."""
    asked = config.training.lr_scheduler_type
    return "constant_with_warmup" if asked == "constant" and config.training.warmup_steps else asked
