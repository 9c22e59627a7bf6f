"""Held-out questions answered by the base and by the adapter, with the same settings: greedily, so that nothing but the
weights differs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rewards.composition import Composition, Result
from training.engine.beats import REWARDING
from training.engine.generation import Answer, Generator, Sampling, answer_all
from training.engine.grpo import Question
from training.engine.problems import Stopper
from training.engine.scoring import score_all
from training.engine.trainers import Journal
from training.schema import SessionConfig

CHUNK = 16
LONGEST_TEXT = 8_000


@dataclass
class Evaluation:
    label: str
    questions: list[Question]
    config: SessionConfig
    composition: Composition
    journal: Journal

    def run(self, generator: Generator, stopper: Stopper) -> dict[str, Any]:
        """Emits the answers as they come and the summary at the end, which it also returns. Raises StopRequested."""
        summary = self.measure(generator, stopper)
        self.journal.event("evaluation", {"label": self.label, "summary": summary})
        return summary

    def measure(self, generator: Generator, stopper: Stopper) -> dict[str, Any]:
        began = time.perf_counter()
        self.results: dict[int, Result] = {}
        self.stopper = stopper
        answer_all(
            generator,
            [question.prompt for question in self.questions],
            self.sampling,
            self.config.evaluation.batch_size,
            stopper,
            self.judge,
        )
        return summarised(list(self.results.values()), time.perf_counter() - began)

    @property
    def rewards(self) -> list[float]:
        """Of the answers measured last, those that could be judged."""
        return [result.total for result in self.results.values() if result.total is not None]

    @property
    def sampling(self) -> Sampling:
        return Sampling(new_tokens(self.config))

    def judge(self, indexes: list[int], answers: list[Answer]) -> None:
        told = []
        rows = [self.questions[index].row for index in indexes]
        answered = [(row, answer.text, answer.tokens) for row, answer in zip(rows, answers, strict=True)]
        with self.stopper.during(REWARDING):
            results = score_all(self.composition, self.config.prompt, answered)
        for index, row, answer, result in zip(indexes, rows, answers, results, strict=True):
            self.results[index] = result
            told.append(
                {
                    "row": row.row,
                    "question": row.instruction[:LONGEST_TEXT],
                    "reference": row.reference[:LONGEST_TEXT],
                    "completion": answer.text[:LONGEST_TEXT],
                    "correct": result.correct,
                    "reward": result.total,
                    "cut_off": answer.cut_off,
                }
            )
        self.tell(told)

    def tell(self, told: list[dict[str, Any]]) -> None:
        done = len(self.results) - len(told)
        for start in range(0, len(told), CHUNK):
            chunk = told[start : start + CHUNK]
            done += len(chunk)
            counts = {"label": self.label, "done": done, "total": len(self.questions)}
            self.journal.event("evaluation", {**counts, "answers": chunk})


def new_tokens(config: SessionConfig) -> int:
    return config.evaluation.max_new_tokens or config.training.max_new_tokens


def summarised(results: list[Result], seconds: float) -> dict[str, Any]:
    """`questions` counts the answers that could be judged; low and high are the accuracy's 95 % Wilson interval."""
    judged = [result.correct for result in results if result.correct is not None]
    rewards = [result.total for result in results if result.total is not None]
    low, high = interval(sum(judged), len(judged))
    return {
        "questions": len(judged),
        "correct": sum(judged),
        "accuracy": fmean(judged) if judged else None,
        "low": low,
        "high": high,
        "mean_reward": fmean(rewards) if rewards else None,
        "seconds": seconds,
    }


def mean_interval(values: list[float]) -> tuple[float | None, float | None]:
    """The 95 % interval of a mean by Student's t; none for fewer than two values."""
    if len(values) < 2:
        return None, None
    from scipy.stats import sem, t

    middle, error = fmean(values), float(sem(values))
    reach = error * float(t.ppf(0.975, len(values) - 1))
    return middle - reach, middle + reach


def interval(correct: int, questions: int) -> tuple[float | None, float | None]:
    if not questions:
        return None, None
    from scipy.stats import binomtest

    found = binomtest(correct, questions).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)
