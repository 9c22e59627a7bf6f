"""Trained models for the tests of the registry: rows with scores, and the files of an adapter where one asks."""

from pathlib import Path
from typing import Any

from django.utils import timezone

from accounts.models import Team
from evaluation import candidates
from evaluation.models import Evaluation, EvaluationSet
from exports.models import Export
from jobs.choices import JobStatus
from tests.training.factories import make_config, make_session
from training.choices import Kind, Status
from training.models import Event, Session

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"


def make_model(
    team: Team, name: str = "Sums", status: str = Status.COMPLETED, *, before: float = 0.3, after: float = 0.7, **fields
) -> Session:
    fields.setdefault("config", make_config(model={"name": BASE}))
    session = make_session(team, status, name=name, **fields)
    measure(session, "base", accuracy=before, low=before - 0.1, high=before + 0.1)
    if status == Status.COMPLETED:
        measure(session, "adapter", accuracy=after, low=after - 0.1, high=after + 0.1)
    return session


def measure(session: Session, label: str, **summary: Any) -> None:
    event(session, Kind.EVALUATION, label=label, summary={"questions": 96, "mean_reward": None, **summary})


def save_checkpoint(session: Session, step: int) -> Path:
    path = f"checkpoints/training-{step:08d}"
    event(session, Kind.CHECKPOINT, step, path=path)
    return write_adapter(session.folder / path)


def write_adapter(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"0" * 1000)
    return folder


def event(session: Session, kind: str, step: int | None = None, **data: Any) -> None:
    session.last_seq += 1
    session.save(update_fields=["last_seq"])
    Event.objects.create(
        session=session, seq=session.last_seq, attempt=1, kind=kind, step=step, data=data, created_at=timezone.now()
    )


def make_export(session: Session, quantization: str = "q8_0", **fields: Any) -> Export:
    folder = f"gguf-{quantization}"
    values = {
        "status": JobStatus.READY,
        "file": f"{folder}/model.gguf",
        "size": 5_000_000,
        "sha256": "ab" * 32,
        "files": [{"name": "model.gguf", "size": 5_000_000, "sha256": "ab" * 32}],
        "finished_at": timezone.now(),
    }
    return Export.objects.create(
        team=session.team, session=session, format="gguf", quantization=quantization, **{**values, **fields}
    )


def make_evaluation(session: Session, name: str = "Held-out sums") -> Evaluation:
    asked = EvaluationSet.objects.create(team=session.team, name="Frozen sums", row_count=1, sha256="0" * 64)
    evaluation = Evaluation.objects.create(team=session.team, name=name, evaluation_set=asked, settings={"samples": 0})
    for number, each in enumerate([candidates.newest(session), candidates.without_adapter(session)], 1):
        evaluation.models.create(number=number, key=each.key, title=each.title, candidate=each.stored)
    return evaluation
