"""A dataset on disk, a set of its rows and a trained session: what an evaluation begins with."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from accounts.models import Team
from datasets_app import importing, parsing, splits
from datasets_app.models import DatasetVersion
from evaluation import evaluation_report, evaluations, sets, tasks
from evaluation.evaluations import Answering, Wanted
from evaluation.models import EvaluatedAnswer, Evaluation, EvaluationSet
from jobs.choices import JobStatus
from tests.datasets.conftest import store_here
from tests.exports.fixtures import MakeSession
from training.models import Session

# What `import *` brings.
__all__ = ["held_out", "rung", "session", "version"]
ROWS = 60
HELD_OUT = 24


@pytest.fixture
def version(team: Team, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> DatasetVersion:
    settings.UPLOADS_DIR = tmp_path
    monkeypatch.setattr(parsing, "store_in_child", store_here)
    rows = [{"question": f"what is {n} plus {n}?", "answer": str(n + n)} for n in range(ROWS)]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    made = importing.import_jsonl(team, None, "sums.jsonl", io.BytesIO(content))
    splits.set_split(made, HELD_OUT, 7)
    made.refresh_from_db()
    return made


@pytest.fixture
def held_out(owner: User, version: DatasetVersion) -> EvaluationSet:
    return sets.create(owner, version, sets.Wanted(name="Sums"))


@pytest.fixture
def session(make_trained: MakeSession) -> Session:
    return make_trained()


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr(tasks, "evaluate", rung.append)
    return rung


def keys_of(session: Session) -> list[str]:
    """Its base and it."""
    return [f"session:{session.pk}/base", f"session:{session.pk}"]


def queued(user: User, asked: EvaluationSet, session: Session, reward: str = "", **answering: Any) -> Evaluation:
    given = Answering(**{"max_new_tokens": 8, "seed": 3, **answering})
    return evaluations.create(user, asked, Wanted(keys_of(session), reward=reward, answering=given))


def as_answered(evaluation: Evaluation, right: list[list[bool | None]], samples: list[list[int]] | None = None) -> None:
    """As a child leaves it: the greedy answer of each model to each row as `right` says, and of its samples as many
    right ones as `samples` says."""
    rows, count = list(evaluation.evaluation_set.rows.all()), int(evaluation.settings["samples"])
    made = []
    for place, model in enumerate(evaluation.models.all()):
        for row, is_right in zip(rows, right[place], strict=False):
            text = f"={row.reference}" if is_right else "no <b>idea</b>"
            said = {"text": text, "tokens": 4, "total": float(bool(is_right)), "cut_off": not is_right}
            made.append(EvaluatedAnswer(model=model, row=row, sample=0, right=is_right, **said))
            wins = samples[place][row.number - 1] if samples else 0
            for sample in range(1, count + 1):
                made.append(EvaluatedAnswer(model=model, row=row, sample=sample, right=sample <= wins, tokens=2))
    EvaluatedAnswer.objects.bulk_create(made)
    evaluation.models.update(generation_seconds=2.0)
    evaluation.status, evaluation.progress = JobStatus.READY, 1
    evaluation.report = evaluation_report.made(evaluation)
    evaluation.save()
