"""A session tried out: some answers of the base model, and one step of the largest kind, measured.

The model is loaded and stepped by the very code that trains, with the session's config. Nothing is kept of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from random import Random
from statistics import fmean
from typing import Any

import torch

from rewards.composition import Result
from training.engine import high_water, loading
from training.engine.generation import Completion, Generator
from training.engine.grpo import Judge, Question, fitting, grpo_trainer, sampling, total_steps
from training.engine.problems import Stopper, StopRequested
from training.engine.prompting import encode
from training.engine.run import RunSpec, quiet
from training.engine.scoring import score_all
from training.engine.sft import example, longest, undo_patches, warm_up_rows, warm_up_trainer
from training.engine.trainers import Journal
from training.events import EngineEvent
from training.schema import SessionConfig

# What remains is for the largest step.
SAMPLING_SHARE = 0.6
LONGEST_TEXT = 4_000
# Rows whose exact length is looked at, to find the longest or a mean.
LOOKED_AT = 256
NEVER = 10**9

Tell = Callable[[float, str], None]


@dataclass(frozen=True)
class Wanted:
    """`seconds` bounds sampling and steps; loading is not interrupted."""

    questions: int
    answers: int
    seconds: float


@dataclass
class Measured:
    """Seconds and bytes. `questions` has {"question", "reference", "answers": [...]} of each that was answered."""

    engine: str = ""
    on_gpu: bool = False
    trainable: int = 0
    steps: int = 0
    usable: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    questions: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    # {"answers", "prompt_tokens", "new_tokens", "mean_prompt_tokens", "generating"} and what Trial.run_step gives.
    step: dict[str, Any] = field(default_factory=dict)
    # {"steps", "tokens", "mean_tokens"} and what Trial.run_step gives; {} without one.
    warm_up: dict[str, Any] = field(default_factory=dict)
    checkpoint: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "peak": max(self.peaks.values())}


def measure(spec: RunSpec, wanted: Wanted, tell: Tell, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Measured as JSON. Raises EngineError, and whatever `should_stop` raises."""
    quiet(spec.config)
    return Trial(spec, wanted, tell, should_stop).execute()


class Trial:
    def __init__(self, spec: RunSpec, wanted: Wanted, tell: Tell, should_stop: Callable[[], bool]) -> None:
        self.spec, self.config, self.wanted, self.tell = spec, spec.config, wanted, tell
        self.should_stop = should_stop
        self.found = Measured(on_gpu=loading.cuda_available())
        self.began = time.monotonic()

    def execute(self) -> dict[str, Any]:
        with self.phase("loading", 0.02, "Loading the model"):
            self.load()
        # Loading a large model from a slow disk takes nothing from what comes after it.
        self.began = time.monotonic()
        with self.phase("sampling", 0.1, "The base model answers"):
            self.sample()
        if self.config.pre_training.enabled:
            with self.phase("warm_up", 0.6, "One step of the warm-up, with the longest rows"):
                self.warm_up()
        with self.phase("step", 0.7, "One largest step, with the longest prompts and answers"):
            self.largest_step()
        return self.found.as_json()

    @contextmanager
    def phase(self, name: str, progress: float, label: str) -> Iterator[None]:
        self.tell(progress, label)
        high_water.begin()
        began = time.perf_counter()
        yield
        self.found.seconds[name] = time.perf_counter() - began
        self.found.peaks[name] = high_water.peak()

    def stopper(self, share: float) -> Stopper:
        """Says stop when this share of the time is spent."""
        end = self.began + share * self.wanted.seconds
        return Stopper(lambda: self.should_stop() or time.monotonic() > end)

    def load(self) -> None:
        model, self.tokenizer = loading.load_model(self.spec.model_path, self.config)
        rows = self.spec.train_rows
        self.questions, _ = fitting(self.tokenizer, self.config, rows, self.config.training.max_new_tokens)
        self.model = loading.add_adapter(model, self.config)
        self.found.trainable = sum(each.numel() for each in self.model.parameters() if each.requires_grad)
        self.found.usable = len(self.questions)
        self.found.steps = total_steps(self.config, len(self.questions))

    # Samples

    def sample(self) -> None:
        """What was answered when the time is over stays."""
        chosen = drawn(self.questions, self.wanted.questions, self.config.training.seed)
        self.found.asked = len(chosen)
        self.found.seconds |= {"generating": 0.0, "scoring": 0.0}
        self.model.eval()
        torch.manual_seed(self.config.training.seed)
        stopper = self.stopper(SAMPLING_SHARE)
        # A fresh adapter adds exactly nothing, so this is the base model.
        generator = Generator(self.model, self.tokenizer)
        self.found.engine = generator.engine
        # As many answers at once as in training, so that their speed is that of training.
        at_once = max(self.config.completions_per_generation // self.wanted.answers, 1)
        try:
            for start in range(0, len(chosen), at_once):
                self.answer(generator, chosen[start : start + at_once], stopper)
                share = len(self.found.questions) / len(chosen)
                told = f"{len(self.found.questions)} of {len(chosen)} questions answered"
                self.tell(0.1 + 0.5 * share, told)
        except StopRequested:
            return

    def answer(self, generator: Generator, asked: list[Question], stopper: Stopper) -> None:
        began, copies = time.perf_counter(), self.wanted.answers
        prompts = [encode(self.tokenizer, question.prompt) for question in asked]
        if generator.decoder is not None:
            made = generator.complete(prompts, copies, sampling(self.config), stopper)
        else:
            # As TRL generates: each copy is a row of its own.
            made = generator.complete([p for p in prompts for _ in range(copies)], 1, sampling(self.config), stopper)
        generated = time.perf_counter()
        owners = [question for question in asked for _ in range(copies)]
        texts = self.tokenizer.batch_decode([each.ids for each in made], skip_special_tokens=True)
        answered = [(q.row, text, len(each.ids)) for q, text, each in zip(owners, texts, made, strict=True)]
        results = score_all(self.spec.composition, self.config.prompt, answered)
        self.found.seconds["generating"] += generated - began
        self.found.seconds["scoring"] += time.perf_counter() - generated
        told = [told_of(*each) for each in zip(texts, made, results, strict=True)]
        for place, question in enumerate(asked):
            self.found.questions.append(
                {
                    "question": question.row.instruction[:LONGEST_TEXT],
                    "reference": question.row.reference[:LONGEST_TEXT],
                    "answers": told[place * copies : (place + 1) * copies],
                }
            )

    # Steps

    def warm_up(self) -> None:
        rows = warm_up_rows(self.config, [question.row for question in self.questions])
        looked_at = sorted(rows, key=lambda row: len(row.instruction) + len(row.response))[-LOOKED_AT:]
        lengths = [(self.length(row), row) for row in looked_at]
        fitting_rows = [pair for pair in lengths if pair[0] <= longest(self.config)]
        section = self.config.pre_training
        chosen = sorted(fitting_rows, key=lambda pair: pair[0])[-section.batch_size :]
        if not chosen:
            return
        one_pass = section.model_copy(update={"epochs": 1, "max_additional_epochs": 0, "max_samples": None})
        config = unsaved(self.config).model_copy(update={"pre_training": one_pass})
        trainer = warm_up_trainer(
            self.model, self.tokenizer, config, [row for _, row in chosen], self.spec.folder / "warm_up"
        )
        ran = self.run_step(trainer, config, "pretraining")
        undo_patches(self.model)
        typical = Random(0).sample(rows, min(LOOKED_AT, len(rows)))
        self.found.warm_up = {
            "steps": -(-len(rows) * section.epochs // section.batch_size),
            "tokens": fmean(length for length, _ in chosen),
            "mean_tokens": fmean(self.length(row) for row in typical),
            **ran,
        }

    def length(self, row: Any) -> int:
        return len(example(self.tokenizer, self.config, row)["input_ids"])

    def largest_step(self) -> None:
        lengths = [len(encode(self.tokenizer, question.prompt)) for question in self.questions]
        order = sorted(range(len(lengths)), key=lambda place: lengths[place])
        chosen = order[-self.config.prompts_per_generation :]
        config, questions = one_step(self.config), [self.questions[place] for place in chosen]
        parts = (config, self.spec.composition, questions, self.spec.folder / "step")
        trainer, _ = grpo_trainer(self.model, self.tokenizer, *parts)
        judge = Alternating(self.spec.composition, config, questions)
        trainer.reward_funcs = [judge]
        clock = GenerationClock(trainer)
        ran = self.run_step(trainer, config, "training", judge)
        self.found.step = {
            "answers": self.config.completions_per_step,
            "prompt_tokens": fmean(lengths[place] for place in chosen),
            "mean_prompt_tokens": fmean(lengths),
            "new_tokens": config.training.max_new_tokens,
            "generating": clock.seconds,
            **ran,
        }

    def run_step(self, trainer: Any, config: SessionConfig, phase: str, judge: Judge | None = None) -> dict[str, Any]:
        """{"seconds": without saving, "finished": False if there was not time enough}."""
        saving = 0.0

        def note(event: EngineEvent) -> None:
            nonlocal saving
            if event.kind == "checkpoint":
                saving += event.data["seconds"]
                self.found.checkpoint = event.data["bytes"]

        journal = Journal(note, phase)
        trainer.prepare_run(self.spec.folder, config, journal, self.stopper(1.0))
        if judge is not None:
            trainer.prepare_rollouts(judge)
            never_ending(trainer)
        began = time.perf_counter()
        finished = trainer.train_until_stopped(None)
        return {"seconds": time.perf_counter() - began - saving, "finished": bool(finished)}


def drawn(questions: Sequence[Question], count: int, seed: int) -> list[Question]:
    return Random(seed).sample(list(questions), min(count, len(questions)))


def told_of(text: str, made: Completion, result: Result) -> dict[str, Any]:
    return {
        "text": text[:LONGEST_TEXT],
        "tokens": len(made.ids),
        "cut_off": made.cut_off,
        "total": result.total,
        "correct": result.correct,
        "errors": list(result.errors.values()),
    }


def unsaved(config: SessionConfig) -> SessionConfig:
    return config.model_copy(update={"training": config.training.model_copy(update={"save_steps": NEVER})})


def one_step(config: SessionConfig) -> SessionConfig:
    """Of the largest kind: an answer that was cut off is learned from, too, because here every one is."""
    training = config.training.model_copy(update={"max_steps": 1, "save_steps": NEVER})
    grpo = config.grpo.model_copy(update={"mask_truncated_completions": False})
    return config.model_copy(update={"training": training, "grpo": grpo})


class Alternating(Judge):
    """Every second answer is good: each group has a signal, so that no answer's pass is saved."""

    def score(self, completions: list[str], completion_ids: list[list[int]], question: list[int]) -> None:
        self.results = [
            Result(total=float(place % 2), parts={}, errors={}, feedback={}, correct=None)
            for place in range(len(completions))
        ]


def never_ending(trainer: Any) -> None:
    """Every answer gets all tokens that the config allows."""
    if trainer.rollouts is not None:
        trainer.rollouts.ends = set()
    trainer.generation_config.min_new_tokens = trainer.max_completion_length


class GenerationClock:
    """Seconds that a trainer spent in rounds of answering."""

    def __init__(self, trainer: Any) -> None:
        self.seconds = 0.0
        self.inner = trainer._generate_and_score_completions
        trainer._generate_and_score_completions = self

    def __call__(self, inputs: Any) -> Any:
        began = time.perf_counter()
        try:
            return self.inner(inputs)
        finally:
            self.seconds += time.perf_counter() - began
