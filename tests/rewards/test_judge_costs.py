"""What judges cost is written down for the team, by every process, and shown where the judge is set up."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from rewards import judge_access, judge_costs, presets
from rewards.composition import Composition
from rewards.judging import books, surroundings
from rewards.judging.books import Entry
from rewards.judging.ledger import Ledger
from rewards.models import RewardPreset
from rewards.registry import Sample
from tests.rewards.fake_judge import FakeJudge
from tests.rewards.test_examinations import definition, judge  # noqa: F401

pytestmark = pytest.mark.django_db


@pytest.fixture
def composition(judge: FakeJudge) -> Composition:  # noqa: F811
    return Composition.model_validate(definition(judge, most_calls=5))


def score(composition: Composition, team: Team, *answers: str) -> list[float | None]:
    with judge_access.paid_by(team):
        return [result.total for result in composition.score_all([Sample("?", answer) for answer in answers])]


def test_requests_tokens_and_what_was_remembered_are_written_down_for_the_team(
    composition: Composition, team: Team, outsider: User
) -> None:
    score(composition, team, "Paris", "Rome")
    score(composition, team, "Paris")
    cost = judge_costs.of(team, composition)[0]
    assert (cost.today.calls, cost.today.tokens) == (2, 200)
    assert (cost.recent.verdicts, cost.recent.remembered, cost.recent.hit_rate) == (3, 1, pytest.approx(1 / 3))
    assert (cost.calls_left, cost.tokens_left) == (3, 10_000_000 - 200)
    theirs = judge_costs.of(outsider.teams.get(), composition)[0]  # type: ignore[attr-defined]
    assert theirs.today.calls == 0 and theirs.recent.hit_rate is None


def test_the_budget_of_a_day_holds_after_a_restart_and_for_all_processes(
    composition: Composition, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert score(composition, team, "Paris 1", "Paris 2", "Paris 3", "Paris 4") == [1.0] * 4
    fresh = Ledger()
    for module in ("batch", "client"):
        monkeypatch.setattr(f"rewards.judging.{module}.LEDGER", fresh)
    assert score(composition, team, "Paris 5", "Paris 6").count(None) == 1


def test_a_session_writes_in_its_team_s_books_but_spends_no_day_s_budget(
    composition: Composition, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "_of_process", surroundings.Payer())
    surroundings.work_for(str(team.pk))
    composition.score(Sample("?", "Paris"))
    cost = judge_costs.of(team, composition)[0]
    assert (cost.today.calls, cost.sessions.calls, cost.recent.calls) == (0, 1, 1)


def test_a_program_of_nobody_writes_nothing(composition: Composition, settings: Any) -> None:
    composition.score(Sample("?", "Paris"))
    assert not (Path(settings.CACHE_DIR) / books.FILE).exists()


def test_the_page_of_a_preset_shows_it_to_its_team(
    owner_client: Client, viewer_client: Client, composition: Composition, team: Team, owner: User
) -> None:
    preset = presets.create(team, owner, name="Judged", definition=composition.model_dump(mode="json"))
    address = reverse("rewards:detail", args=[preset.pk])
    assert "No verdict was asked for" in owner_client.get(address).content.decode()
    score(composition, team, "Paris", "Rome")
    score(composition, team, "Paris")
    page = viewer_client.get(address).content.decode()
    assert "What the judge costs" in page and "3 of 5" in page and "33.3" in page


def test_a_reward_without_a_judge_has_no_such_card(owner_client: Client) -> None:
    math = RewardPreset.objects.get(slug="math", team=None)
    assert "What the judge costs" not in owner_client.get(reverse("rewards:detail", args=[math.pk])).content.decode()


def test_books_that_can_not_be_read_are_said_in_the_log_and_end_nothing(
    composition: Composition, team: Team, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (Path(settings.CACHE_DIR) / books.FILE).write_bytes(b"no database at all, but long enough to be looked at" * 40)
    assert score(composition, team, "Paris") == [1.0]
    assert "can't be kept" in caplog.text and judge_costs.of(team, composition)[0].today.calls == 0


def test_old_days_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / books.FILE
    monkeypatch.setattr(books, "today", lambda: "2020-01-01")
    books.add(file, Entry("1", "e", "m", books.PAGE, 1))
    assert books.read(file, "1", "2019-01-01") == []
