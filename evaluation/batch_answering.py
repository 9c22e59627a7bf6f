"""Answers the rows of a batch. Runs in the child process `manage.py answer_batch` only: it imports torch.

The rows are answered in groups of like length that depend on the file and the model alone, each with a seed of its own.
A group is written in one transaction. So an attempt that follows a killed one does the groups that are missing, and
each row gets the answer that it would have had.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F

from evaluation.answering import recorded
from evaluation.choices import RowStatus
from evaluation.models import Batch, BatchRow
from jobs import running
from loracraft.numbers import thousands
from rewards import judge_access
from rewards.composition import Composition, Result
from rewards.functions.text import ExactMatch, exact_match
from rewards.registry import Markers, Sample
from rewards.sandbox import pool
from training import adapters, base_models
from training.engine.problems import EngineError, Stopper, never
from training.recorder import storable
from training.schema import SessionConfig

if TYPE_CHECKING:
    from training.engine.generation import Answer, Generator, Sampling

GROUP = 16
# Loading a model, as a share of the whole.
LOADED = 0.02
WRITTEN = [
    *("status", "error", "rendered", "prompt_tokens", "answer", "tokens", "seconds", "cut_off", "exact"),
    *("exact_feedback", "total", "correct", "right", "unjudged", "parts"),
]
READ = ("pk", "number", "prompt", "status")
UNFIT_AT_ONCE = 500


@dataclass(frozen=True)
class Asked:
    """A row that fits; `tokens` are those of its rendered prompt."""

    pk: int
    number: int
    text: str
    tokens: int
    waits: bool


@dataclass
class Plan:
    """`unfit`: what is wrong with rows that can't be asked, by their key."""

    fits: list[Asked] = field(default_factory=list)
    unfit: dict[int, str] = field(default_factory=dict)

    @property
    def groups(self) -> list[list[Asked]]:
        ordered = sorted(self.fits, key=lambda each: (each.tokens, each.number))
        return [ordered[start : start + GROUP] for start in range(0, len(ordered), GROUP)]


def answer_batch(batch: Batch) -> None:
    """Records answers and outcome. Raises running.Lost if the batch was cancelled or taken by another worker."""
    recorded(batch, lambda: Answering(batch).run())


class Answering:
    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.config = batch.session.parsed_config if batch.session else SessionConfig()
        self.markers = Markers(**batch.settings["markers"])
        self.reward = Composition.model_validate(batch.reward) if batch.reward else None
        self.waiting = batch.rows.filter(status=RowStatus.WAITING)

    def run(self) -> None:
        from training.engine import loading
        from training.engine.generation import Generator, Sampling

        wanted = self.batch.settings
        self.tell(self.done, "Loading the model")
        base = base_models.locate(self.batch.base_model)
        model, tokenizer = loading.load_for_generation(base, self.adapter(), self.config.prompt.chat_template)
        self.tell(self.done, "Reading the prompts")
        plan = self.plan(tokenizer, context_of(model))
        self.refuse(plan.unfit)
        sampling = Sampling(wanted["max_new_tokens"], wanted["temperature"], wanted["top_p"], wanted["top_k"])
        generator = Generator(model, tokenizer)
        with judge_access.paid_by(self.batch.team), pool.owned_by(lambda: f"team {self.batch.team_id}"):
            for number, group in enumerate(plan.groups):
                self.answer(generator, sampling, group, wanted["seed"] + number)
        running.finish(self.batch)

    @property
    def done(self) -> int:
        return self.batch.row_count - self.waiting.count()

    def tell(self, done: int, message: str = "", **changes: Any) -> None:
        share = LOADED + (1 - LOADED) * done / max(self.batch.row_count, 1)
        running.report(
            self.batch, share, message or f"{thousands(done)} of {thousands(self.batch.row_count)} rows", **changes
        )

    def adapter(self) -> Path | None:
        """The one that the first attempt used: its answers and ours stand side by side. Raises EngineError."""
        session = self.batch.session
        if session is None or not self.batch.settings["with_adapter"]:
            return None
        found = adapters.named(session, self.batch.adapter) if self.batch.adapter else adapters.newest(session)
        if found is None:
            gone = self.batch.adapter.rpartition("/")[2] or "The adapter"
            raise EngineError(
                f"{gone} of this session is gone.", "What was answered is kept. Start a new batch with another one."
            )
        if not self.batch.adapter:
            self.tell(self.done, "Loading the model", adapter=str(found.relative_to(session.folder)))
        return found

    def plan(self, tokenizer: Any, context: int | None) -> Plan:
        """All rows that fit, answered ones as well: they decide which group a row is in."""
        plan, room = Plan(), self.batch.settings["max_new_tokens"]
        for pk, number, prompt, status in self.batch.rows.values_list(*READ).iterator():
            if status == RowStatus.FAILED:
                continue
            asked = self.asked(tokenizer, prompt)
            if isinstance(asked, str):
                plan.unfit[pk] = asked
                continue
            text, tokens = asked[0], len(asked[1])
            if context and tokens + room > context:
                plan.unfit[pk] = too_long(tokens, room, context)
            else:
                plan.fits.append(Asked(pk, number, text, tokens, status == RowStatus.WAITING))
        return plan

    def asked(self, tokenizer: Any, prompt: str) -> tuple[str, list[int]] | str:
        """(text, its tokens), or why there is none: a chat template is a program of somebody else's."""
        from training.engine import prompting

        system = bool(self.batch.settings["use_system_prompt"])
        try:
            text = prompting.render(tokenizer, prompting.messages(self.config.prompt, prompt, system=system))
            return text, prompting.encode(tokenizer, text)
        except Exception as error:
            return f"The chat template does not take this prompt: {' '.join(str(error).split())[:300]}"

    def refuse(self, unfit: dict[int, str]) -> None:
        rows = [BatchRow(pk=pk, status=RowStatus.FAILED, error=storable(why)) for pk, why in unfit.items()]
        with transaction.atomic():
            self.tell(self.done + len(rows), "The model answers")
            BatchRow.objects.bulk_update(rows, ["status", "error"], batch_size=UNFIT_AT_ONCE)

    def answer(self, generator: Generator, sampling: Sampling, group: Sequence[Asked], seed: int) -> None:
        waiting = [asked for asked in group if asked.waits]
        if not waiting:
            return
        began = time.monotonic()
        answers = answers_of(generator, [asked.text for asked in waiting], sampling, seed)
        seconds = time.monotonic() - began
        rows = self.batch.rows.in_bulk([asked.pk for asked in waiting])
        made = [self.filled(rows[asked.pk], asked, each) for asked, each in zip(waiting, answers, strict=True)]
        self.judge(made)
        with transaction.atomic():
            # First: it says whether this attempt still counts, and holds the row until the answers are in.
            done = self.done + len(made)
            self.tell(done, generation_seconds=F("generation_seconds") + seconds)
            BatchRow.objects.bulk_update(made, WRITTEN)

    def filled(self, row: BatchRow, asked: Asked, answer: Answer) -> BatchRow:
        row.status, row.error = RowStatus.ANSWERED, ""
        row.rendered, row.prompt_tokens = storable(asked.text), asked.tokens
        row.answer, row.tokens = storable(answer.text), answer.tokens
        row.seconds, row.cut_off = answer.seconds, answer.cut_off
        return row

    def judge(self, rows: Sequence[BatchRow]) -> None:
        samples = [self.sample(row) for row in rows]
        for row, sample in zip(rows, samples, strict=True):
            if sample.reference:
                found = exact_match(sample, ExactMatch())
                row.exact, row.exact_feedback = found.value == 1, storable(found.feedback)
        for row, result in zip(rows, self.results(samples), strict=True):
            if result:
                row.total, row.correct, row.unjudged = result.total, result.correct, bool(result.errors)
                row.parts = storable(list(parts_of(result)))
            # What the reward could not judge is not wrong.
            row.right = row.exact if row.correct is None and not row.unjudged else row.correct

    def results(self, samples: Sequence[Sample]) -> Sequence[Result | None]:
        return self.reward.score_all(samples) if self.reward else [None] * len(samples)

    def sample(self, row: BatchRow) -> Sample:
        reference = row.reference or None
        return Sample(row.prompt, row.answer, reference, row.columns, self.markers, row.tokens)


def answers_of(generator: Generator, prompts: list[str], sampling: Sampling, seed: int) -> list[Answer]:
    import torch

    from training.engine.generation import answer_all

    torch.manual_seed(seed)
    return answer_all(generator, prompts, sampling, GROUP, Stopper(never))


def context_of(model: Any) -> int | None:
    """Tokens that the model was made to read at once; None if it does not say."""
    config = model.config.get_text_config()
    length = getattr(config, "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def too_long(tokens: int, room: int, context: int) -> str:
    if tokens >= context:
        return f"The prompt has {thousands(tokens)} tokens, and the model reads {thousands(context)}. Shorten it."
    return (
        f"The prompt has {thousands(tokens)} tokens, and {thousands(room)} new ones do not fit into the"
        f" {thousands(context)} that the model reads."
        f" At most {thousands(context - tokens)} new tokens would."
    )


def parts_of(result: Result) -> Iterator[dict[str, Any]]:
    for name, value in result.parts.items():
        yield {
            "name": name,
            "value": value,
            "feedback": result.feedback.get(name, ""),
            "error": result.errors.get(name, ""),
        }
    for name in result.errors.keys() - result.parts.keys():
        yield {"name": name, "value": None, "feedback": "", "error": result.errors[name]}
