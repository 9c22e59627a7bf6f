"""The verbs of trying a model. What answers is in answering.py, in a child process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from datasets_app.problems import DatasetProblem
from evaluation.models import Trial
from jobs import running
from jobs.choices import JobStatus
from training import adapters
from training.choices import Kind
from training.models import Session

OPEN = [JobStatus.QUEUED, JobStatus.RUNNING]
EXAMPLES = 5


class TrialProblem(Exception):
    """Why this session can't be tried now, and what to do."""


@dataclass(frozen=True)
class Example:
    question: str
    reference: str


def create(session: Session, by: User | None, prompt: str, settings: dict[str, Any], *, ring: bool = True) -> Trial:
    """Queues a prompt for base and adapter. Raises TrialProblem."""
    if adapters.newest(session) is None:
        raise TrialProblem("This session has no adapter yet: train it for at least one checkpoint.")
    trial = Trial.objects.create(team=session.team, created_by=by, session=session, prompt=prompt, settings=settings)
    if ring:
        _ring(trial)
    return trial


def cancel(trial: Trial) -> bool:
    return running.cancel(trial)


def examples(session: Session) -> list[Example]:
    """A few questions that the session was not trained on."""
    event = session.events.filter(kind=Kind.EVALUATION).order_by("seq").first()
    if event and event.data.get("answers"):
        answers = event.data["answers"][:EXAMPLES]
        return [Example(str(a.get("question") or ""), str(a.get("reference") or "")) for a in answers]
    if session.dataset_version is None:
        return []
    from datasets_app.rows import held_out_rows

    try:
        rows = held_out_rows(session.dataset_version, session.parsed_config.dataset, EXAMPLES)
    except (DatasetProblem, OSError):
        return []
    return [Example(row.instruction, row.reference) for row in rows]


def _ring(trial: Trial) -> None:
    from evaluation.tasks import answer_trial

    # robust: with the queue away the row waits for the next poll instead of failing the request.
    transaction.on_commit(lambda: answer_trial(str(trial.id)), robust=True)
