"""A trained session on disk and in the database, small enough to export and try for real."""

import functools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import Team
from jobs import children, running
from tests.exports import tiny
from tests.training.factories import make_config, make_events, make_reward, make_session
from training.choices import Status
from training.models import Session


@functools.cache
def trained_on_disk() -> tuple[Path, Path]:
    """Base model and adapter, made once a test run."""
    folder = Path(tempfile.mkdtemp(prefix="loracraft-tiny-"))
    base = tiny.model(folder / "base")
    return base, tiny.adapter(base, folder / "adapter")


@pytest.fixture(scope="session")
def tiny_base() -> Path:
    return trained_on_disk()[0]


@pytest.fixture(scope="session")
def tiny_adapter() -> Path:
    return trained_on_disk()[1]


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Bells that would go to Huey."""
    from evaluation import tasks as evaluation_tasks
    from exports import tasks as export_tasks

    rung: list[str] = []
    monkeypatch.setattr(export_tasks, "build_export", rung.append)
    monkeypatch.setattr(export_tasks, "check_export", lambda pk: None)
    monkeypatch.setattr(export_tasks, "push_export", lambda pk: None)
    monkeypatch.setattr(evaluation_tasks, "answer_trial", rung.append)
    return rung


MakeSession = Callable[..., Session]


@pytest.fixture
def make_trained(team: Team, tiny_base: Path, tiny_adapter: Path) -> MakeSession:
    def make(status: str = Status.COMPLETED, *, adapter: bool = True, **fields: Any) -> Session:
        config = make_config(
            model={"name": str(tiny_base)},
            training={"max_new_tokens": 12, "max_sequence_length": 200},
            prompt={"system_prompt": "Answer with a number between {solution_start} and {solution_end}."},
        )
        session = make_session(team, status, config=config, reward=fields.pop("reward", make_reward()), **fields)
        if adapter:
            shutil.copytree(tiny_adapter, session.adapter)
        return session

    return make


@pytest.fixture
def session(make_trained: MakeSession) -> Session:
    return make_events(make_trained(), steps=2, warm_up=0, rollouts_every=0, system=False)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker would start as child processes runs here: torch is imported once and not by each."""

    def run_child(argv: Sequence[str], **_: Any) -> int:
        command, *arguments = argv[2:]
        call_command(command, *arguments)
        return 0

    monkeypatch.setattr(children, "run_child", run_child)
    monkeypatch.setattr(running, "follow_worker", lambda: None)
