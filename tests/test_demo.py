"""The demo's own logic; that it really trains is seen by running `make demo`."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from accounts.models import Team
from loracraft import demo
from training import lifecycle
from training.choices import Kind, Status
from training.models import Event, Session
from training.schema import SessionConfig, problems

pytestmark = pytest.mark.django_db


def event(session: Session, seq: int, kind: str, data: dict[str, Any], **values: Any) -> Event:
    return Event.objects.create(
        session=session, seq=seq, attempt=1, kind=kind, data=data, created_at=timezone.now(), **values
    )


@pytest.fixture
def session(team: Team, owner: User) -> Session:
    return Session.objects.create(team=team, created_by=owner, name=demo.NAME, total_steps=8)


def test_the_config_is_one_that_can_run() -> None:
    config = json.loads(demo.CONFIG.read_text())
    assert not problems(SessionConfig.model_validate(config))


def test_a_password_is_made_new_each_time_unless_one_is_given() -> None:
    user, first = demo.ensure_demo_user("")
    _, second = demo.ensure_demo_user("")
    user.refresh_from_db()
    assert first != second and user.check_password(second)
    assert demo.ensure_demo_user("from outside")[1] == ""
    user.refresh_from_db()
    assert user.check_password("from outside")


def test_the_demo_user_belongs_to_the_default_team() -> None:
    user, _ = demo.ensure_demo_user("")
    assert user.memberships.get().team.name == "Default team"


@pytest.mark.parametrize("status", [Status.TRAINING, Status.QUEUED])
def test_a_second_demo_follows_the_session_that_still_runs(session: Session, owner: User, status: str) -> None:
    Session.objects.update(status=status)
    assert demo.session_of(owner) == session


def test_a_second_demo_resumes_the_session_that_was_stopped(
    session: Session, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    Session.objects.update(status=Status.STOPPED)
    resumed: list[Session] = []
    monkeypatch.setattr(lifecycle, "resume", lambda row, by: resumed.append(row))
    assert demo.session_of(owner) == session
    assert resumed == [session]


def test_following_tells_phases_steps_rewards_and_the_end(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    event(session, 1, Kind.PHASE, {"status": "training", "label": "Training", "mode": "CPU"})
    event(session, 2, Kind.METRICS, {"reward": 0.25, "loss": None}, phase="training", step=1)
    event(session, 3, Kind.METRICS, {"reward": 9.0}, phase="training", step=2, superseded=True)
    event(session, 4, Kind.LOG, {"level": "info", "message": "not told"})
    told: list[str] = []

    def later(seconds: float) -> None:
        event(session, 5, Kind.METRICS, {"reward": 0.5, "loss": 0.1}, phase="training", step=2)
        Session.objects.update(status=Status.COMPLETED)

    monkeypatch.setattr(demo.time, "sleep", later)
    assert demo.follow(session, told.append).status == Status.COMPLETED
    assert told == [
        "Training  (CPU)",
        "  Training  step 1/8  reward 0.250",
        "  Training  step 2/8  reward 0.500  loss 0.100",
    ]


def test_the_result_names_scores_with_intervals_and_the_adapter(session: Session) -> None:
    for seq, (label, right) in enumerate([("base", 1), ("adapter", 3)], 1):
        answers = [{"row": row, "correct": row < right, "reward": 0.0} for row in range(4)]
        event(session, 2 * seq, Kind.EVALUATION, {"label": label, "done": 4, "total": 4, "answers": answers})
        event(session, 2 * seq + 1, Kind.EVALUATION, {"label": label, "summary": {"questions": 4, "seconds": 1.0}})
    lines = demo.result_lines(session)
    assert lines[0].startswith("Before: 1 of 4 held-out questions right, 0.250 (95 % interval 0.0")
    assert lines[1].startswith("After : 3 of 4")
    assert lines[-1] == f"Adapter: {session.adapter}"


def test_a_result_without_evaluation_says_so(session: Session) -> None:
    assert demo.result_lines(session)[0].startswith("No evaluation")
