"""Rewards that a worker examines: those that ask a service only when somebody says so, on the page of a preset."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from accounts import secrets
from accounts.models import Team
from jobs.choices import JobStatus
from rewards import checks, examinations, gate, presets
from rewards.checks import Exam
from rewards.composition import Composition
from rewards.judging import client as judge_client
from rewards.judging.ledger import Ledger
from rewards.judging.memory import Memory
from rewards.models import Examination, RewardCheck, RewardPreset
from tests.rewards.fake_judge import FakeJudge, serving

HTMX = {"HX-Request": "true"}
KEY = "sk-the-key-of-our-team-0001"
CAPITAL = "What is the capital of France?"
GOLDEN = [
    {
        "instruction": CAPITAL,
        "reference": "Paris",
        "answers": [{"text": "Paris", "rank": 1}, {"text": "Rome", "rank": 2}],
    }
]


@pytest.fixture
def judge(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[FakeJudge]:
    with serving() as running:
        settings.JUDGE_HOSTS = [running.place]
        settings.CACHE_DIR = tmp_path
        monkeypatch.setattr("rewards.judging.batch.MEMORY", Memory())
        books = Ledger()
        for module in ("batch", "client"):
            monkeypatch.setattr(f"rewards.judging.{module}.LEDGER", books)
        monkeypatch.setattr(judge_client, "_learnt", {})
        yield running


def definition(judge: FakeJudge, **parameters: Any) -> dict[str, Any]:
    asked = {"endpoint": judge.url, "model": "tiny", "rubric": "Paris.", "seconds": 5, "retries": 0, **parameters}
    return {"parts": [{"name": "j", "function": "judge_model", "parameters": asked}]}


@pytest.fixture
def preset(judge: FakeJudge, team: Team, owner: User) -> RewardPreset:
    return presets.create(team, owner, name="Judged", definition=definition(judge), golden=GOLDEN)


def examine_url(preset: RewardPreset) -> str:
    return reverse("rewards:examine", args=[preset.pk])


def claimed() -> Examination:
    """As its child finds it."""
    job = Examination.objects.select_related("team").get(status=JobStatus.QUEUED)
    Examination.objects.filter(pk=job.pk).update(status=JobStatus.RUNNING, attempt=1)
    job.attempt = 1
    return job


def test_a_judge_is_asked_only_when_somebody_says_so_and_with_the_team_s_key(
    owner_client: Client, preset: RewardPreset, judge: FakeJudge, team: Team, owner: User
) -> None:
    secrets.save(team, owner, secrets.judge_key(judge.url), KEY)
    page = owner_client.get(reverse("rewards:detail", args=[preset.pk])).content.decode()
    assert "Examine now" in page and "(about 4 requests, about " in page
    owner_client.post(examine_url(preset), headers=HTMX)
    assert not judge.asked
    examinations.perform(claimed())
    assert len(judge.asked) == 4
    assert {asked.headers["Authorization"] for asked in judge.asked} == {f"Bearer {KEY}"}
    page = owner_client.get(reverse("rewards:detail", args=[preset.pk])).content.decode()
    assert "Better answers earn more than worse ones" in page and "Examine again" in page
    assert len(judge.asked) == 4


def test_a_judge_that_is_told_the_reference_is_attacked(judge: FakeJudge, owner: User, team: Team) -> None:
    """The one of these tests gives full points for whatever has the right word in it."""
    template = "{instruction} {reference} {response}"
    composition = Composition.model_validate(definition(judge, template=template))
    exam = Exam(composition, GOLDEN)
    examinations.start(team, owner, exam)
    examinations.perform(claimed())
    report = checks.newest(exam)
    assert report is not None and report.attacks > 5
    assert {"denied"} <= {failure.label for failure in report.failures if failure.kind == "false pass"}
    assert not report.passed


def test_the_requests_that_are_announced_are_those_that_are_made(judge: FakeJudge, team: Team, owner: User) -> None:
    template = "{instruction} {reference} {response}"
    composition = Composition.model_validate(definition(judge, template=template, remember=False))
    exam = Exam(composition, GOLDEN)
    examinations.start(team, owner, exam)
    examinations.perform(claimed())
    assert len(judge.asked) == exam.plan.requests == exam.plan.answers > 20
    sent = sum(len(asked.system) + len(asked.user) for asked in judge.asked) / 4
    assert 0.5 * sent < exam.plan.tokens < 2 * sent


def test_votes_multiply_what_is_announced(judge: FakeJudge) -> None:
    one, three = (
        gate.plan(Composition.model_validate(definition(judge, votes=votes, temperature=1)), GOLDEN) for votes in (1, 3)
    )
    assert three.requests == 3 * one.requests and one.requests == one.answers


def test_a_judge_that_changes_its_mind_is_caught_though_verdicts_are_remembered(
    judge: FakeJudge, team: Team, owner: User
) -> None:
    points = iter([10, 0, 4, 1])
    judge.always = lambda handler: handler.say(f'{{"reason": "", "score": {next(points)}}}')
    exam = Exam(Composition.model_validate(definition(judge, at_once=1)), GOLDEN)
    examinations.start(team, owner, exam)
    examinations.perform(claimed())
    report = checks.newest(exam)
    assert report is not None and report.changed == 2


def test_the_progress_is_told_and_a_cancelled_one_stores_nothing(
    owner_client: Client, preset: RewardPreset, judge: FakeJudge
) -> None:
    owner_client.post(examine_url(preset), headers=HTMX)
    job = claimed()
    card = owner_client.get(examine_url(preset), headers=HTMX).content.decode()
    assert 'hx-trigger="every 1s"' in card and "Examining…" in card
    address = reverse("rewards:examination-cancel", args=[job.pk])
    assert owner_client.post(address, headers=HTMX).headers["HX-Refresh"] == "true"
    examinations.perform(job)
    assert not RewardCheck.objects.exists()
    card = owner_client.get(examine_url(preset), headers=HTMX).content.decode()
    assert "was cancelled" in card and "Examine now" in card


def test_two_clicks_start_one_and_a_later_one_starts_anew(team: Team, owner: User, preset: RewardPreset) -> None:
    exam = Exam(presets.composition_of(preset), GOLDEN)
    first = examinations.start(team, owner, exam)
    assert examinations.start(team, owner, exam) == first
    examinations.perform(claimed())
    assert examinations.start(team, owner, exam) != first
    assert Examination.objects.count() == 1


@pytest.mark.parametrize(
    ("who", "read", "write"), [("viewer_client", 200, 403), ("outsider_client", 404, 404), ("client", 302, 302)]
)
def test_only_members_have_a_preset_examined(
    request: pytest.FixtureRequest, preset: RewardPreset, team: Team, owner: User, who: str, read: int, write: int
) -> None:
    someone = request.getfixturevalue(who)
    assert someone.get(examine_url(preset), headers=HTMX).status_code == read
    assert someone.post(examine_url(preset)).status_code == write
    assert not Examination.objects.exists()
    job = examinations.start(team, owner, Exam(presets.composition_of(preset), GOLDEN))
    assert someone.post(reverse("rewards:examination-cancel", args=[job.pk])).status_code == write
    job.refresh_from_db()
    assert job.status == JobStatus.QUEUED


def test_a_shipped_preset_is_examined_for_the_asker_s_team(
    viewer_client: Client, teammate_client: Client, team: Team
) -> None:
    math = RewardPreset.objects.get(slug="math", team=None)
    assert viewer_client.post(examine_url(math)).status_code == 403
    assert teammate_client.post(examine_url(math)).url == reverse("rewards:detail", args=[math.pk])  # type: ignore[attr-defined]
    assert Examination.objects.get().team == team


def test_a_preset_without_cases_says_that_there_is_nothing_to_ask(
    owner_client: Client, judge: FakeJudge, team: Team, owner: User
) -> None:
    bare = presets.create(team, owner, name="Bare", definition=definition(judge))
    page = owner_client.get(reverse("rewards:detail", args=[bare.pk])).content.decode()
    assert "it has no golden case" in page and "Examine now" not in page


@pytest.mark.django_db(transaction=True)
def test_the_worker_s_child_examines_a_reward(team: Team, owner: User) -> None:
    math = RewardPreset.objects.get(slug="math", team=None)
    exam = Exam(presets.composition_of(math), list(math.golden))
    examinations.start(team, owner, exam)
    job = claimed()
    command = [sys.executable, "manage.py", "examine_reward", str(job.pk), "1"]
    done = subprocess.run(command, cwd=django_settings.BASE_DIR, capture_output=True, text=True, check=False)
    job.refresh_from_db()
    report = checks.newest(exam)
    assert done.returncode == 0 and job.status == JobStatus.READY, done.stderr
    assert report is not None and report.passed and report.questions == len(math.golden)
