"""Judges in the web application: whose key is sent, who may spend it, and what the administrator allows."""

import asyncio
import json
import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import AsyncClient, Client
from django.urls import reverse
from knox.models import AuthToken

from accounts import secrets
from accounts.models import Team, TeamSecret
from rewards import judge_access
from rewards.composition import Composition
from rewards.judging import client, surroundings
from rewards.judging.ledger import Ledger
from rewards.judging.memory import Memory
from rewards.models import RewardPreset
from rewards.registry import RewardError, Sample
from tests.rewards.fake_judge import FakeJudge, hangs, serving

pytestmark = pytest.mark.django_db
KEY, OTHER = "sk-the-key-of-our-team-0001", "sk-the-key-of-the-others-0002"
TEST = "/api/rewards/test"


@pytest.fixture
def judge(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[FakeJudge]:
    with serving() as running:
        settings.JUDGE_HOSTS = [running.place]
        settings.CACHE_DIR = tmp_path
        monkeypatch.setattr("rewards.judging.batch.MEMORY", Memory())
        books = Ledger()
        for module in ("batch", "client"):
            monkeypatch.setattr(f"rewards.judging.{module}.LEDGER", books)
        monkeypatch.setattr(client, "_learnt", {})
        yield running


@pytest.fixture
def key(team: Team, owner: User, outsider: User, judge: FakeJudge) -> str:
    secrets.save(team, owner, secrets.judge_key(judge.url), KEY)
    secrets.save(outsider.teams.get(), outsider, secrets.judge_key(judge.url), OTHER)  # type: ignore[attr-defined]
    return KEY


def definition(judge: FakeJudge, **parameters: Any) -> dict[str, Any]:
    asked = {"endpoint": judge.url, "model": "tiny", "rubric": "Paris.", "seconds": 5, "retries": 0, **parameters}
    return {"parts": [{"name": "j", "function": "judge_model", "parameters": asked}]}


def score(someone: Client, judge: FakeJudge, answer: str = "Paris", **headers: Any) -> dict[str, Any]:
    body = {"definition": definition(judge), "response": answer}
    found: dict[str, Any] = someone.post(TEST, body, content_type="application/json", **headers).json()
    return found


def sent(judge: FakeJudge) -> list[str]:
    return [asked.headers.get("Authorization", "").removeprefix("Bearer ") for asked in judge.asked]


def test_what_a_member_scores_is_asked_with_the_key_of_the_team(
    teammate_client: Client, judge: FakeJudge, key: str
) -> None:
    assert score(teammate_client, judge)["total"] == 1.0
    assert sent(judge) == [KEY]


def test_an_outsider_is_asked_for_with_the_key_of_the_own_team(
    outsider_client: Client, judge: FakeJudge, key: str
) -> None:
    assert score(outsider_client, judge)["total"] == 1.0
    assert sent(judge) == [OTHER]


def test_a_viewer_spends_nothing(viewer_client: Client, judge: FakeJudge, key: str) -> None:
    found = score(viewer_client, judge)
    assert found["total"] is None
    assert "only members" in found["errors"]["j"]
    assert not judge.asked


def test_what_was_remembered_for_members_is_not_shown_to_a_viewer(
    owner_client: Client, viewer_client: Client, judge: FakeJudge, key: str
) -> None:
    score(owner_client, judge)
    assert score(viewer_client, judge)["total"] is None


def test_an_api_token_spends_the_key_of_its_owner_s_team(
    client: Client, owner: User, judge: FakeJudge, key: str
) -> None:
    token = AuthToken.objects.create(owner)[1]
    assert score(client, judge, HTTP_AUTHORIZATION=f"Token {token}")["total"] == 1.0
    assert sent(judge) == [KEY]


def test_the_test_bench_of_a_preset_asks_with_the_key(
    owner_client: Client, team: Team, judge: FakeJudge, key: str
) -> None:
    preset = RewardPreset.objects.create(team=team, slug="mine", name="Mine", definition=definition(judge))
    form = {"instruction": "?", "response": "Paris"}
    page = owner_client.post(reverse("rewards:score", args=[preset.pk]), form, headers={"HX-Request": "true"})
    assert "10 of 10. Paris." in page.content.decode()
    assert sent(judge) == [KEY]
    assert KEY not in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_under_asgi_each_request_has_the_key_of_who_asks(
    owner: User, outsider: User, judge: FakeJudge, key: str
) -> None:
    def signed_in(user: User) -> AsyncClient:
        one = AsyncClient()
        one.force_login(user)
        return one

    clients = [signed_in(user) for user in (owner, outsider)]

    async def ask_all() -> list[Any]:
        bodies = [{"definition": definition(judge), "response": f"Paris {n}"} for n in range(2)]
        asked = [c.post(TEST, b, content_type="application/json") for c, b in zip(clients, bodies, strict=True)]
        return await asyncio.gather(*asked)

    replies = asyncio.run(ask_all())
    assert [reply.json()["total"] for reply in replies] == [1.0, 1.0]
    assert {asked.user.split("Paris ")[1][0]: sent(judge)[n] for n, asked in enumerate(judge.asked)} == {
        "0": KEY,
        "1": OTHER,
    }


def test_requests_without_a_judge_look_nothing_up(client: Client, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        client.get("/login/")


def test_a_key_is_not_sent_to_another_port_of_the_host(
    owner_client: Client, judge: FakeJudge, key: str, settings: Any
) -> None:
    with serving() as other:
        settings.JUDGE_HOSTS = [other.place]
        assert score(owner_client, other)["total"] == 1.0
        assert sent(other) == [""]


def test_a_block_is_paid_by_its_team(team: Team, judge: FakeJudge, key: str) -> None:
    made = Composition.model_validate(definition(judge))
    with judge_access.paid_by(team):
        assert made.score(Sample("?", "Paris")).total == 1.0
    assert made.score(Sample("?", "Paris")).total == 1.0
    assert sent(judge) == [KEY, ""]


def test_rows_that_a_command_scores_are_paid_by_the_team_that_it_names(
    team: Team, judge: FakeJudge, key: str, tmp_path: Path
) -> None:
    reward, rows, out = (tmp_path / name for name in ("reward.json", "rows.jsonl", "out.jsonl"))
    reward.write_text(json.dumps(definition(judge)))
    rows.write_text('{"response": "Paris"}\n{"response": "Lyon"}\n')
    for more in ({}, {"team": team.name}):
        call_command("score", reward_json=reward, input=rows, output=out, stderr=StringIO(), **more)
        assert [json.loads(line)["total"] for line in out.read_text().splitlines()] == [1.0, 0.0]
    assert sent(judge) == ["", "", KEY, KEY]


def test_a_key_that_can_not_be_read_any_more_is_said(team: Team, judge: FakeJudge, key: str, settings: Any) -> None:
    settings.SECRET_KEY = "another key"
    with judge_access.paid_by(team):
        result = Composition.model_validate(definition(judge)).score(Sample("?", "Paris"))
    assert "enter it again" in result.errors["j"]
    assert not judge.asked


def test_a_budget_is_one_for_the_team_and_the_day(team: Team, outsider: User) -> None:
    ours, again = judge_access.payer_of(team), judge_access.payer_of(team)
    theirs = judge_access.payer_of(outsider.teams.get())  # type: ignore[attr-defined]
    assert ours.scope == again.scope != theirs.scope


def test_somebody_without_a_team_spends_nothing(db: None) -> None:
    with pytest.raises(RewardError, match="only members"):
        judge_access.payer_for(User.objects.create_user("nobody"))


def test_somebody_who_waits_for_a_page_waits_for_one_more_try_at_most(
    owner_client: Client, judge: FakeJudge, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "pause", lambda seconds: None)
    monkeypatch.setattr(client, "PAGE_SECONDS", 0.2)
    judge.always = hangs(1)
    body = {"definition": definition(judge, retries=8, seconds=600), "response": "Paris"}
    found = owner_client.post(TEST, body, content_type="application/json").json()
    assert "did not answer within 0.2 s. Tried 2 times." in found["errors"]["j"]


# What a trainer gets


def test_a_trainer_gets_the_keys_of_its_own_judges_only(team: Team, judge: FakeJudge, key: str) -> None:
    secrets.save(team, None, secrets.judge_key("https://api.example.org/v1"), OTHER)
    reward = definition(judge)
    reward["parts"].append({"name": "l", "function": "length"})
    given = judge_access.environment_for(team, reward)
    assert given.keys() == {surroundings.VARIABLE}
    assert json.loads(given[surroundings.VARIABLE]) == {judge.url.removesuffix("/v1"): KEY}


@pytest.mark.parametrize(
    "reward",
    [None, {}, [], {"parts": []}, {"parts": [{"function": "length"}]}, {"parts": [{"function": "judge_model"}]}],
)
def test_a_reward_without_a_judge_takes_no_key_along(team: Team, key: str, reward: Any) -> None:
    assert judge_access.environment_for(team, reward) == {surroundings.VARIABLE: "{}"}


def test_a_key_that_can_not_be_read_ends_no_session_and_is_logged(
    team: Team, judge: FakeJudge, key: str, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SECRET_KEY = "another key"
    assert judge_access.environment_for(team, definition(judge)) == {surroundings.VARIABLE: "{}"}
    assert "enter it again" in caplog.text


# What the administrator says


def test_a_wrong_list_of_hosts_is_explained_by_check(settings: Any) -> None:
    settings.JUDGE_HOSTS = ["127.0.0.1:11434", "http://10.0.0.1"]
    with pytest.raises(SystemCheckError, match=r"LORACRAFT_JUDGE_HOSTS holds “http://10\.0\.0\.1”"):
        call_command("check")
    settings.JUDGE_HOSTS = ["127.0.0.1:11434", "ollama"]
    assert not judge_access.judge_hosts_are_hosts(None)


def test_without_a_list_no_machine_of_ours_is_asked(owner_client: Client, judge: FakeJudge, settings: Any) -> None:
    settings.JUDGE_HOSTS = []
    assert "LORACRAFT_JUDGE_HOSTS" in score(owner_client, judge)["errors"]["j"]
    assert not judge.asked


def test_verdicts_are_kept_in_the_cache_folder(owner_client: Client, judge: FakeJudge, settings: Any) -> None:
    score(owner_client, judge)
    assert judge_access.memory_file().is_file()
    assert judge_access.memory_file().parent == settings.CACHE_DIR


def test_nothing_that_is_stored_or_logged_holds_the_key(
    owner_client: Client, team: Team, judge: FakeJudge, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    found = score(owner_client, judge)
    stored = [str(list(model.objects.values())) for model in (RewardPreset, TeamSecret)]
    assert KEY not in json.dumps(found) + caplog.text + "".join(stored)
    assert KEY.encode() not in judge_access.memory_file().read_bytes()


def test_code_of_users_keeps_nothing_between_two_askers(owner_client, outsider_client):
    """Both use the same code; what it keeps of one batch reaches no other, of the same team or another."""
    code = (
        "seen = []\n"
        "def reward(completions, **columns):\n    seen.extend(completions)\n"
        "    return [float(len(seen))] * len(completions)\n"
    )
    parameters = {"code": code, "highest": 100}
    part = {"name": "own", "function": "custom_python", "parameters": parameters}
    body = {"definition": {"parts": [part]}, "response": "x"}

    def total(client):
        return client.post("/api/rewards/test", body, content_type="application/json").json()["total"]

    assert [total(owner_client), total(owner_client), total(outsider_client)] == [0.01, 0.01, 0.01]
