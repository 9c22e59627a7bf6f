"""The held-out score while GRPO trains: questions of the dataset's validation part, every so many steps.

A score is greedy and uses no dice, so a run with scores learns exactly what it would learn without.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rewards.composition import Composition
from training.engine.evaluate import Evaluation, mean_interval
from training.engine.files import write_json
from training.engine.generation import Generator
from training.engine.grpo import Question, Trainer
from training.schema import EvaluationSection, SessionConfig

LABEL = "validation"
BEST = "best"


@dataclass
class TimeShare:
    """Keeps what is measured beside the training below a share of its time. The first measurement is free: nobody
    knows before it how long one takes."""

    share: float
    began: float = field(default_factory=time.perf_counter)
    spent: float = 0.0
    last: float = 0.0

    @property
    def allows_another(self) -> bool:
        return not self.spent or self.spent + self.last <= self.share * (time.perf_counter() - self.began)

    def took(self, seconds: float) -> None:
        self.last = seconds
        self.spent += seconds


@dataclass
class History:
    """Scores by step, and how long none was better. It outlives an attempt as a file."""

    path: Path
    threshold: float
    scores: dict[int, float] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, threshold: float, until: int) -> History:
        """What earlier attempts measured up to step `until`: what came after it is trained again."""
        kept = json.loads(path.read_text()) if path.is_file() else {}
        return cls(path, threshold, {int(step): score for step, score in kept.items() if int(step) <= until})

    def add(self, step: int, score: float) -> bool:
        """True if it is the best so far."""
        self.scores[step] = score
        write_json(self.path, {str(step): score for step, score in self.scores.items()})
        return self.best_step == step

    @property
    def best_step(self) -> int | None:
        best: int | None = None
        for step, score in sorted(self.scores.items()):
            if best is None or score > self.scores[best] + self.threshold:
                best = step
        return best

    @property
    def without_gain(self) -> int:
        best = self.best_step
        return 0 if best is None else sum(step > best for step in self.scores)


class Score(Evaluation):
    """An evaluation that keeps its answers to itself: hundreds of them every few steps would drown the session's."""

    def tell(self, told: list[dict[str, Any]]) -> None:
        return


class HeldOutScore(TrainerCallback):
    """Scores the model after a step, reports it, and ends the training when patience is over. `keep(folder)` writes
    the adapter as it is."""

    def __init__(
        self,
        trainer: Trainer,
        config: SessionConfig,
        composition: Composition,
        questions: list[Question],
        keep: Callable[[Path], Any],
    ) -> None:
        self.trainer, self.keep = trainer, keep
        self.section: EvaluationSection = config.evaluation
        self.score = Score(LABEL, questions, config, composition, trainer.journal)
        self.time = TimeShare(self.section.max_time_share)
        self.waiting = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.time = TimeShare(self.section.max_time_share)
        folder = self.trainer.folder
        path, threshold = folder / f"{LABEL}.json", self.section.early_stopping_threshold
        before = History.read(path, threshold, 10**12).best_step or 0
        if before > state.global_step:
            # It was kept after the step that is gone back to.
            shutil.rmtree(folder / BEST, ignore_errors=True)
        self.history = History.read(path, threshold, state.global_step if before <= state.global_step else 0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step
        if not self.waiting and step % (self.section.eval_steps or 1):
            return
        if not self.time.allows_another:
            self.put_off(step)
            return
        self.waiting = False
        self.measure(step)
        patience = self.section.early_stopping_patience
        if patience is not None and self.history.without_gain >= patience:
            self.stop(step, control)

    def put_off(self, step: int) -> None:
        if not self.waiting:
            self.trainer.journal.log(
                f"Step {step}: the validation score waits, because it would take more than"
                f" {self.section.max_time_share:.0%} of the training time so far."
            )
        self.waiting = True

    def measure(self, step: int) -> None:
        summary = self.score.measure(self.generator, self.trainer.stopper)
        self.time.took(summary["seconds"])
        measured = {"reward": summary["mean_reward"], "accuracy": summary["accuracy"]}
        self.trainer.measured |= {f"eval_{name}": value for name, value in measured.items() if value is not None}
        metric = self.section.metric_for_best_model
        score = measured[metric]
        interval = (summary["low"], summary["high"]) if metric == "accuracy" else mean_interval(self.score.rewards)
        is_best = score is not None and self.history.add(step, score)
        if is_best and self.section.load_best_model_at_end:
            self.keep(self.trainer.folder / BEST)
        self.report(step, summary, score, interval, is_best)

    @property
    def generator(self) -> Generator:
        made = self.trainer.rollouts or Generator(self.trainer.model, self.trainer._tokenizer)
        made.refresh()
        return made

    def report(
        self,
        step: int,
        summary: dict[str, Any],
        score: float | None,
        interval: tuple[float | None, float | None],
        is_best: bool,
    ) -> None:
        best = self.history.best_step
        data = {
            "label": LABEL,
            "summary": summary,
            "metric": self.section.metric_for_best_model,
            "score": score,
            "low": interval[0],
            "high": interval[1],
            "best": is_best,
            "best_step": best,
            "best_score": None if best is None else self.history.scores[best],
            "without_gain": self.history.without_gain,
            "patience": self.section.early_stopping_patience,
        }
        self.trainer.journal.event("evaluation", data, step)

    def stop(self, step: int, control: Any) -> None:
        best = self.history.best_step
        control.should_training_stop = True
        self.trainer.journal.log(
            f"Stopped early at step {step}: {self.history.without_gain} validation scores in a row were not better than"
            f" that of step {best} ({self.history.scores[best or 0]:.3g})."
        )
