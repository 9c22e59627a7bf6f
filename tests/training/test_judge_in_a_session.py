"""A real trainer process whose reward asks a judge: it has the team's key, and nothing that it leaves behind has it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings

from accounts import secrets
from accounts.models import Team
from rewards.judging.surroundings import VARIABLE
from tests.rewards.fake_judge import FakeJudge, serving, status
from tests.training.conftest import recorded
from training import lifecycle, supervisor
from training.models import Event, Session

KEY, FOREIGN = "sk-the-key-of-our-team-0001", "sk-of-another-server-0002"


@pytest.fixture
def judge(child_processes: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeJudge]:
    with serving() as running:
        monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.training.judge_settings")
        monkeypatch.setenv("LORACRAFT_JUDGE_HOSTS", running.place)
        yield running


@pytest.fixture
def session(judge: FakeJudge, team: Team, owner: Any, config: dict[str, Any]) -> Session:
    asked = {"endpoint": judge.url, "model": "tiny", "rubric": "Paris.", "retries": 0, "at_once": 1}
    part = {"name": "j", "function": "judge_model", "parameters": asked}
    config["reward"] = {"type": "custom", "parts": [part]}
    session = lifecycle.create_draft(team, owner, "Judged", config)
    assert lifecycle.start(session, owner)
    session.refresh_from_db()
    return session


def everything_left(session: Session) -> bytes:
    files = [file for file in session.folder.rglob("*") if file.is_file()]
    files += [file for file in django_settings.LOGS_DIR.rglob("*") if file.is_file()]
    files += list(django_settings.CACHE_DIR.glob("judge-*"))
    rows = [str(list(model.objects.values())) for model in (Event, Session)]
    return b"".join(file.read_bytes() for file in files) + "".join(rows).encode()


def test_the_trainer_asks_with_the_team_s_key_and_leaves_it_nowhere(
    judge: FakeJudge, session: Session, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets.save(team, None, secrets.judge_key(judge.url), KEY)
    monkeypatch.setenv(VARIABLE, json.dumps({judge.url.removesuffix("/v1"): FOREIGN}))
    judge.next = [
        status(200, b'{"choices": [{"message": {"content": "{\\"score\\": 10}"}}]}'),
        status(401, KEY.encode()),
    ]
    assert supervisor.supervise(session.pk)
    session.refresh_from_db()
    assert (session.status, session.error) == ("completed", "")
    assert {asked.headers["Authorization"] for asked in judge.asked} == {f"Bearer {KEY}"}
    assert recorded(session) == [(1, 1.0)]
    left = everything_left(session)
    assert b"does not accept the team's key" in left
    assert KEY.encode() not in left
    assert VARIABLE not in (session.folder / "environment.json").read_text()


def test_a_key_of_whoever_runs_the_server_is_no_team_s(
    judge: FakeJudge, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps({judge.url.removesuffix("/v1"): FOREIGN}))
    supervisor.supervise(session.pk)
    assert judge.asked
    assert not [asked for asked in judge.asked if "Authorization" in asked.headers]
