"""Answers the rows of an evaluation. Runs in the child process `manage.py answer_evaluation` only: it imports torch.

Each model answers in rounds that depend on the set, the model and the settings alone, each with a seed of its own. A
round is written in one transaction. So an attempt that follows a killed one does the rounds that are missing, and each
row gets the answer that it would have had.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F

from evaluation import answerers, candidates, evaluation_report, sets_overlap
from evaluation.answering import recorded
from evaluation.batch_answering import parts_of, too_long
from evaluation.candidates import Candidate, NoSuchCandidate
from evaluation.models import EvaluatedAnswer, EvaluatedModel, Evaluation, EvaluationRow
from jobs import running
from loracraft.numbers import thousands
from rewards import judge_access
from rewards.composition import Composition, Result
from rewards.functions.text import ExactMatch, exact_match
from rewards.registry import Markers, Sample
from rewards.sandbox import pool
from training import reward_gate
from training.engine.problems import EngineError
from training.recorder import storable

if TYPE_CHECKING:
    from evaluation.answerers import Answerer
    from training.engine.generation import Answer, Sampling

# Answers that are made together.
ROUND = 16
WRITTEN_AT_ONCE = 500


@dataclass(frozen=True)
class Asked:
    """A row that fits; `tokens` are those of its rendered prompt."""

    row: EvaluationRow
    text: str
    tokens: int


@dataclass(frozen=True)
class Round:
    """What is answered together: rows with the number of the sample, all greedy (0) or none."""

    number: int
    wanted: Sequence[tuple[Asked, int]]

    @property
    def greedy(self) -> bool:
        return self.wanted[0][1] == 0


def rounds(fits: Sequence[Asked], samples: int) -> list[Round]:
    """Prompts of like length together, greedy answers first."""
    ordered = sorted(fits, key=lambda each: (each.tokens, each.row.number))
    greedy = [(each, 0) for each in ordered]
    sampled = [(each, sample) for each in ordered for sample in range(1, samples + 1)]
    parts = [each[at : at + ROUND] for each in (greedy, sampled) for at in range(0, len(each), ROUND)]
    return [Round(number, part) for number, part in enumerate(parts)]


def evaluate(evaluation: Evaluation) -> None:
    """Records answers and outcome. Raises running.Lost if it was cancelled or taken by another worker."""
    recorded(evaluation, lambda: Evaluating(evaluation).run())


class Evaluating:
    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        self.settings = evaluation.settings
        self.reward = Composition.model_validate(evaluation.reward) if evaluation.reward else None
        self.rows = list(evaluation.evaluation_set.rows.all())
        self.models = list(evaluation.models.all())

    def run(self) -> None:
        team = self.evaluation.team_id
        with judge_access.paid_by(self.evaluation.team), pool.owned_by(lambda: f"team {team}"):
            for model in self.models:
                OneModel(self, model).run()
                # The next one needs the memory.
                release()
        self.tell(len(self.models), 0, "Comparing the models")
        running.finish(self.evaluation, report=storable(evaluation_report.made(self.evaluation)))

    def tell(self, models_done: int, share: float, message: str) -> None:
        """Raises running.Lost."""
        running.report(self.evaluation, 0.99 * (models_done + share) / len(self.models), message)


class OneModel:
    """A model of the evaluation and its answers."""

    def __init__(self, whole: Evaluating, model: EvaluatedModel) -> None:
        self.whole, self.model, self.settings = whole, model, whole.settings
        answered = model.answers.values_list("row_id", "sample", "error")
        self.answered = {(row, sample) for row, sample, _ in answered}
        self.failed = {row for row, _, error in answered if error}
        self.wanted = len(whole.rows) * whole.evaluation.answers_a_row

    @property
    def done(self) -> int:
        return len(self.answered) + len(self.failed) * (self.whole.evaluation.answers_a_row - 1)

    def run(self) -> None:
        """Raises EngineError."""
        if self.done == self.wanted:
            return
        self.tell("loading")
        candidate = self.candidate()
        self.note_overlap(candidate)
        try:
            answerer = answerers.load(candidate)
        except EngineError as error:
            raise EngineError(f"{self.model.title} can't be loaded: {error.message}", error.hint) from error
        self.tell("reading the prompts")
        markers = reward_gate.markers_of(candidate.config)
        fits = self.fitting(answerer, candidate)
        self.tell()
        for each in rounds(fits, self.settings["samples"]):
            self.answer(answerer, each, markers)

    def candidate(self) -> Candidate:
        try:
            return candidates.restored(self.model.candidate)
        except NoSuchCandidate as problem:
            raise EngineError(str(problem), "Start a new evaluation without it.") from None

    def note_overlap(self, candidate: Candidate) -> None:
        untrained = candidate.kind == candidates.SESSION and not candidate.adapter
        if candidate.session and not untrained:
            self.model.trained_on = sets_overlap.trained_on(self.whole.evaluation.evaluation_set, candidate.session)
            self.model.save(update_fields=["trained_on"])

    def tell(self, message: str = "") -> None:
        """Raises running.Lost."""
        place = f" ({self.model.number} of {len(self.whole.models)})" if len(self.whole.models) > 1 else ""
        said = message or f"{thousands(self.done)} of {thousands(self.wanted)} answers"
        self.whole.tell(self.model.number - 1, self.done / max(self.wanted, 1), f"{self.model.title}{place}: {said}")

    def fitting(self, answerer: Answerer, candidate: Candidate) -> list[Asked]:
        """Rows that can be asked, answered ones as well: they decide which round a row is in. The others are noted."""
        fits, unfit = [], []
        for row in self.whole.rows:
            asked = self.asked(answerer, candidate, row)
            if isinstance(asked, Asked):
                fits.append(asked)
            elif row.pk not in self.failed:
                unfit.append(EvaluatedAnswer(model=self.model, row=row, sample=0, error=storable(asked)))
        if unfit:
            self.write(unfit)
        return fits

    def asked(self, answerer: Answerer, candidate: Candidate, row: EvaluationRow) -> Asked | str:
        """Or why it can't be: a chat template is a program of somebody else's."""
        from training.engine import prompting

        room, context = self.settings["max_new_tokens"], answerer.context
        try:
            text = answerer.render(prompting.messages(candidate.config.prompt, row.instruction))
            tokens = len(answerer.encode(text))
        except Exception as error:
            return f"The chat template does not take this prompt: {' '.join(str(error).split())[:300]}"
        return too_long(tokens, room, context) if context and tokens + room > context else Asked(row, text, tokens)

    def answer(self, answerer: Answerer, each: Round, markers: Markers) -> None:
        wanted = [(asked, sample) for asked, sample in each.wanted if (asked.row.pk, sample) not in self.answered]
        if not wanted:
            return
        began = time.monotonic()
        texts = [asked.text for asked, _ in wanted]
        seed = self.settings["seed"] + each.number
        answers = answerer.answer(texts, self.sampling(each.greedy), seed=seed, batch_size=ROUND)
        seconds = time.monotonic() - began
        asked_rows = [asked.row for asked, _ in wanted]
        made = [
            EvaluatedAnswer(
                model=self.model,
                row=asked.row,
                sample=sample,
                text=storable(answer.text),
                tokens=answer.tokens,
                cut_off=answer.cut_off,
            )
            for (asked, sample), answer in zip(wanted, answers, strict=True)
        ]
        self.judge(made, [sample_of(*pair, markers) for pair in zip(asked_rows, answers, strict=True)])
        self.write(made, seconds)

    def sampling(self, greedy: bool) -> Sampling:
        from training.engine.generation import Sampling

        wanted = self.settings
        if greedy:
            return Sampling(wanted["max_new_tokens"])
        return Sampling(wanted["max_new_tokens"], wanted["temperature"], wanted["top_p"], wanted["top_k"])

    def judge(self, answers: Sequence[EvaluatedAnswer], samples: Sequence[Sample]) -> None:
        for answer, (result, exact) in zip(answers, self.verdicts(samples), strict=True):
            answer.right = exact
            if result:
                answer.total, answer.unjudged = result.total, bool(result.errors)
                answer.parts = storable(list(parts_of(result)))
                # What the reward could not judge is not wrong.
                if result.correct is not None or answer.unjudged:
                    answer.right = result.correct

    def verdicts(self, samples: Sequence[Sample]) -> Iterator[tuple[Result | None, bool | None]]:
        reward = self.whole.reward
        results = reward.score_all(samples) if reward else [None] * len(samples)
        for result, sample in zip(results, samples, strict=True):
            yield result, exact_match(sample, ExactMatch()).value == 1 if sample.reference else None

    def write(self, made: list[EvaluatedAnswer], seconds: float = 0) -> None:
        """Raises running.Lost."""
        self.answered |= {(each.row_id, each.sample) for each in made}
        self.failed |= {each.row_id for each in made if each.error}
        with transaction.atomic():
            # First: it says whether this attempt still counts, and holds the row until the answers are in.
            self.tell()
            spent = F("generation_seconds") + seconds
            EvaluatedModel.objects.filter(pk=self.model.pk).update(generation_seconds=spent)
            EvaluatedAnswer.objects.bulk_create(made, batch_size=WRITTEN_AT_ONCE)


def sample_of(row: EvaluationRow, answer: Answer, markers: Markers) -> Sample:
    columns: dict[str, Any] = row.columns
    return Sample(row.instruction, storable(answer.text), row.reference or None, columns, markers, answer.tokens)


def release() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
