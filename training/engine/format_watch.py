"""Has the warm-up taught the answer format yet? Answers are sampled every so many steps, and it ends once it has."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from transformers import TrainerCallback

from training.engine.generation import Generator, Sampling, answer_all, cuda_devices
from training.engine.grpo import Question, sampling
from training.engine.prompting import Row, target_text
from training.engine.sft import IGNORED, WarmUpTrainer, plain_forward, warm_up_rows
from training.schema import PromptSection, SessionConfig

KEY = "format_rate"
# Room beyond the longest answer that was learned: one that goes on longer has not learned to end.
SLACK_TOKENS = 16


def markers_taught(section: PromptSection, row: Row) -> list[str]:
    """The markers that an answer to `row` has after the warm-up, in their order."""
    text = target_text(section, row)
    pairs = [section.solution_start, section.solution_end]
    if row.reasoning:
        pairs = [section.reasoning_start, section.reasoning_end, *pairs]
    return [marker for marker in pairs if marker and marker in text]


def has_format(text: str, markers: list[str]) -> bool:
    """Each marker once, and in order."""
    places = [text.find(marker) for marker in markers]
    return -1 not in places and places == sorted(places) and all(text.count(marker) == 1 for marker in markers)


def asked(config: SessionConfig, questions: list[Question]) -> list[Question]:
    """Chosen by the seed, and as far as there are enough none that is warmed up on."""
    learned = {row.row for row in warm_up_rows(config, [question.row for question in questions])}
    shuffled = random.Random(config.training.seed).sample(questions, len(questions))
    return sorted(shuffled, key=lambda each: each.row.row in learned)[: config.pre_training.validation_samples]


class FormatWatch(TrainerCallback):
    def __init__(self, trainer: WarmUpTrainer, config: SessionConfig, questions: list[Question]) -> None:
        self.trainer: Any = trainer
        self.section = config.pre_training
        self.questions = asked(config, questions)
        self.markers = [markers_taught(config.prompt, question.row) for question in self.questions]
        self.sampling: Sampling = replace(sampling(config), max_new_tokens=self.room(config))
        self.seed, self.batch_size = config.training.seed, config.evaluation.batch_size
        self.right = 0

    def room(self, config: SessionConfig) -> int:
        answers = [sum(label != IGNORED for label in row["labels"]) for row in self.trainer.train_dataset]
        return min(max(answers, default=0) + SLACK_TOKENS, config.training.max_new_tokens)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step
        is_last = step >= state.max_steps
        if step % self.section.validation_steps and not is_last:
            return
        self.right = self.count_right(step)
        rate = self.right / len(self.questions)
        self.trainer.measured[KEY] = rate
        if rate >= self.section.min_success_rate and self.section.adaptive and not is_last:
            control.should_training_stop = True
        if is_last or control.should_training_stop:
            self.conclude(step, state.max_steps, rate)

    def count_right(self, step: int) -> int:
        prompts = [question.prompt for question in self.questions]
        with plain_forward(self.trainer.model), dice(self.seed + step):
            generator = Generator(self.trainer.model, self.trainer.processing_class)
            answers = answer_all(generator, prompts, self.sampling, self.batch_size, self.trainer.stopper)
        return sum(has_format(answer.text, markers) for answer, markers in zip(answers, self.markers, strict=True))

    def conclude(self, step: int, steps: int, rate: float) -> None:
        found = f"{self.right} of {len(self.questions)} sampled answers have the right markers in the right order"
        if rate >= self.section.min_success_rate:
            self.trainer.journal.log(f"The format is learned: {found}. The warm-up ends at step {step} of {steps}.")
        else:
            self.trainer.journal.log(
                f"The warm-up ends without the format being learned: {found}. More epochs or rows, or a higher learning"
                " rate of the warm-up may help.",
                "warning",
            )


@contextmanager
def dice(seed: int) -> Iterator[None]:
    """Sampling that leaves the training's own dice alone."""
    with torch.random.fork_rng(devices=cuda_devices()):
        torch.manual_seed(seed)
        yield


def watch_format(trainer: Any, config: SessionConfig, questions: list[Question]) -> None:
    """Adds the watch, if the config asks for it and the prompt has markers to look for."""
    if not config.pre_training.validate_format or not questions:
        return
    watch = FormatWatch(trainer, config, questions)
    if any(watch.markers):
        trainer.add_callback(watch)


__all__ = ["KEY", "FormatWatch", "has_format", "markers_taught", "watch_format"]
