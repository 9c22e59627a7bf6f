"""One training session from the base model to the adapter, as a plain function: events come out, files are written.

load -> evaluate the base -> SFT warm-up -> GRPO -> save the adapter -> evaluate the adapter
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rewards.composition import Composition
from training import fallbacks
from training.engine import beats, checkpoints, environment, files, loading, model_files
from training.engine.problems import EngineError, Stopper, StopRequested, explained
from training.events import Emit
from training.schema import Problem, SessionConfig

if TYPE_CHECKING:
    from training.engine.grpo import Question
    from training.engine.prompting import Row
    from training.engine.trainers import Journal


@dataclass
class RunSpec:
    """`model_path` is a hub id or an absolute folder; everything is written below `folder`. With `resume`, the newest
    verified checkpoint there is gone on from, and what is finished is not done again."""

    config: SessionConfig
    composition: Composition
    train_rows: Sequence[Row]
    held_out_rows: Sequence[Row]
    model_path: str
    folder: Path
    resume: bool = False
    # Scored while training. Never trained on, and never part of the evaluation before and after.
    validation_rows: Sequence[Row] = ()


@dataclass
class Outcome:
    """`scores` has the summary of each finished evaluation, by its label: base, adapter."""

    status: Literal["completed", "stopped"]
    adapter: Path | None
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)


def run(spec: RunSpec, emit: Emit, should_stop: Callable[[], bool]) -> Outcome:
    """Raises EngineError for what a user can change; anything else that is raised is a fault of the program."""
    quiet(spec.config)
    try:
        spec.folder.mkdir(parents=True, exist_ok=True)
        with closing(beats.Pulse(spec.folder)) as pulse:
            return Run(spec, emit, should_stop, pulse).execute()
    except Exception as error:
        problem = explained(error, spec.folder)
        if problem is None or problem is error:
            raise
        raise problem from error


def quiet(config: SessionConfig) -> None:
    """Libraries neither report to outside services nor draw progress bars into the log."""
    os.environ["WANDB_DISABLED"] = "true"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if loading.uses_unsloth(config):
        import unsloth  # noqa: F401  rewrites the classes of the libraries imported next
    from datasets.utils.logging import disable_progress_bar as no_dataset_bar
    from transformers.utils import logging as transformers_logging

    no_dataset_bar()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    for name in ("httpx", "trl", "accelerate"):
        logging.getLogger(name).setLevel(logging.ERROR)


class Run:
    def __init__(self, spec: RunSpec, emit: Emit, should_stop: Callable[[], bool], pulse: beats.Pulse) -> None:
        from training.engine.trainers import Journal

        self.spec, self.config, self.folder = spec, spec.config, spec.folder
        self.journal: Journal = Journal(emit)
        self.stopper = Stopper(should_stop, pulse)
        self.scores: dict[str, dict[str, Any]] = {}
        self.adapter: Path | None = None
        self.steps_done = False

    def execute(self) -> Outcome:
        checkpoints.remove_unfinished(self.folder)
        try:
            self.start()
            self.base_evaluation()
            finished = self.learn()
            if finished:
                self.finish()
        except StopRequested:
            finished = False
        if not finished:
            self.save_what_there_is()
        return Outcome("completed" if finished else "stopped", self.adapter, self.scores)

    def start(self) -> None:
        lines = loading.mode_lines(self.config)
        self.journal.enter("starting", "Loading the model", mode=lines[0])
        notices = fallbacks.notices(self.config, loading.cuda_available())
        for line in [*lines, *(notice.message for notice in notices)]:
            self.journal.log(line)
        self.model, self.tokenizer = loading.load_model(self.spec.model_path, self.config)
        self.record(notices)
        self.train_questions = self.usable(self.spec.train_rows, self.config.training.max_new_tokens, "training")
        self.model = loading.add_adapter(self.model, self.config)
        self.stopper.check()

    def record(self, notices: Sequence[Problem]) -> None:
        """What this attempt runs with, for the session's manifest."""
        found = environment.describe()
        training = self.config.training
        self.journal.log(
            environment.sentence(found),
            environment=found,
            model=self.model_facts(),
            fallbacks=[{"field": notice.field, "message": notice.message} for notice in notices],
            passes={name: getattr(training, name) for name in ("batch_size", "gradient_accumulation_steps")},
        )

    def model_facts(self) -> dict[str, Any]:
        folder = model_files.folder_of(self.spec.model_path, self.config.model.revision)
        if folder is None:
            return {}
        return {
            "commit": model_files.commit_of(folder),
            "fingerprint": model_files.fingerprint(folder, self.stopper.check),
        }

    def usable(self, rows: Sequence[Row], new_tokens: int, name: str) -> list[Question]:
        from training.engine.grpo import fitting

        questions, left_out = fitting(self.tokenizer, self.config, rows, new_tokens)
        if left_out:
            self.journal.log(
                f"{left_out} of {len(rows)} {name} rows are left out: prompt and answer would be longer than"
                f" {self.config.training.max_sequence_length} tokens.",
                "warning",
            )
        return questions

    # Evaluation

    def base_evaluation(self) -> None:
        if not self.config.evaluation.enabled:
            return
        kept = self.folder / "evaluation_base.json"
        if self.spec.resume and kept.is_file():
            self.scores["base"] = json.loads(kept.read_text())
        else:
            self.journal.enter("starting", "Asking the base model the held-out questions")
            # A fresh adapter adds exactly nothing, so this is the base model.
            self.evaluate("base")
            files.write_json(kept, self.scores["base"])
        self.journal.seconds_after_training = self.scores["base"]["seconds"]

    def evaluate(self, label: str) -> None:
        from training.engine.evaluate import Evaluation, new_tokens
        from training.engine.generation import Generator

        rows = self.spec.held_out_rows[: self.config.evaluation.max_samples]
        questions = self.usable(rows, new_tokens(self.config), "held-out")
        evaluation = Evaluation(label, questions, self.config, self.spec.composition, self.journal)
        self.model.eval()
        generator = Generator(self.model, self.tokenizer)
        self.journal.log(f"Generating with {generator.engine}.")
        with self.stopper.during(beats.GENERATING):
            self.scores[label] = evaluation.run(generator, self.stopper)

    # Learning

    def learn(self) -> bool:
        """False if it was stopped."""
        checkpoint = self.newest("training")
        if checkpoint is None and self.config.pre_training.enabled and not self.warm_up():
            return False
        return self.grpo(checkpoint)

    def newest(self, phase: str) -> Path | None:
        if not self.spec.resume:
            return None
        return checkpoints.newest_verified(self.folder, phase, lambda text: self.journal.log(text, "warning"))

    def warm_up(self) -> bool:
        from training.engine.format_watch import watch_format
        from training.engine.sft import undo_patches, warm_up_trainer

        done = self.folder / checkpoints.WARM_UP
        if self.spec.resume and files.damage(done) is None:
            loading.load_adapters(self.model, done)
            self.journal.log("The SFT warm-up is already done.")
            return True
        checkpoint = self.newest("pretraining")
        rows = [question.row for question in self.train_questions]
        trainer = warm_up_trainer(self.model, self.tokenizer, self.config, rows, self.folder)
        self.prepare(trainer, "pretraining", "SFT warm-up", steps_of(trainer), checkpoint)
        watch_format(trainer, self.config, self.train_questions)
        finished: bool = trainer.train_until_stopped(checkpoint)
        self.steps_done = self.steps_done or trainer.state.global_step > 0
        undo_patches(self.model)
        if finished:
            self.save_adapter(done)
        return finished

    def prepare(self, trainer: Any, phase: str, label: str, steps: int, checkpoint: Path | None) -> None:
        trainer.prepare_run(self.folder, self.config, self.journal, self.stopper)
        resumed = checkpoints.step_of(checkpoint) if checkpoint else (0 if self.spec.resume else None)
        self.journal.enter(phase, label, total_steps=steps, resumed_from=resumed)

    def grpo(self, checkpoint: Path | None) -> bool:
        from training.engine.grpo import grpo_trainer, total_steps

        parts = (self.config, self.spec.composition, self.train_questions, self.folder)
        trainer, judge = grpo_trainer(self.model, self.tokenizer, *parts)
        steps = total_steps(self.config, len(self.train_questions))
        self.prepare(trainer, "training", "GRPO", steps, checkpoint)
        if checkpoint and checkpoints.step_of(checkpoint) >= steps:
            loading.load_adapters(self.model, checkpoint)
            return True
        trainer.prepare_rollouts(judge)
        self.score_while_training(trainer)
        finished = trainer.train_until_stopped(checkpoint)
        self.steps_done = self.steps_done or trainer.state.global_step > 0
        if finished:
            self.take_best()
        return finished

    def score_while_training(self, trainer: Any) -> None:
        from training.engine.evaluate import new_tokens
        from training.engine.validation import HeldOutScore

        section = self.config.evaluation
        if section.eval_steps is None:
            return
        rows = self.spec.validation_rows[: section.eval_samples]
        questions = self.usable(rows, new_tokens(self.config), "validation") if rows else []
        if not questions:
            self.journal.log("The dataset has no validation part that can be used: nothing is scored while training.")
            return
        composition = self.spec.composition
        trainer.add_callback(HeldOutScore(trainer, self.config, composition, questions, self.save_adapter))

    def take_best(self) -> None:
        from training.engine.validation import BEST

        best = self.folder / BEST
        if self.config.evaluation.load_best_model_at_end and files.damage(best) is None:
            loading.load_adapters(self.model, best, ["default"])
            self.journal.log("The adapter with the best validation score is the result.")

    # Results

    def finish(self) -> None:
        self.journal.enter("finishing", "Saving the adapter")
        self.adapter = self.save_adapter(self.folder / "adapter")
        if self.config.evaluation.enabled:
            self.journal.enter("finishing", "Asking the adapter the held-out questions")
            self.evaluate("adapter")

    def save_what_there_is(self) -> None:
        """A stopped session's adapter can be tried and exported, too."""
        if self.steps_done and self.adapter is None:
            self.adapter = self.save_adapter(self.folder / "adapter")

    def save_adapter(self, target: Path) -> Path:
        with self.stopper.during(beats.SAVING), files.unfinished_folder(self.folder) as temporary:
            self.model.save_pretrained(temporary, selected_adapters=["default"])
            self.tokenizer.save_pretrained(temporary)
            loading.name_base(temporary, self.config)
            files.publish(temporary, target)
        return target


def steps_of(trainer: Any) -> int:
    per_epoch = max(len(trainer.get_train_dataloader()), 1)
    return int(-(-trainer.args.num_train_epochs * per_epoch // 1))


__all__ = ["EngineError", "Outcome", "RunSpec", "run"]
