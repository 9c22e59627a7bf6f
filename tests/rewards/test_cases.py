"""An answer becomes a golden case with a click, and is taken back with another."""

import json

import pytest
from django.urls import reverse

from rewards import cases, golden, presets, shipped
from rewards.models import RewardPreset
from rewards.registry import Markers, Sample
from tests.training.factories import make_config, make_events, make_session

CASE = {"instruction": "6 + 6?", "response": "13", "reference": "12", "columns": {}, "markers": shipped.MARKERS}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def math(db):
    return RewardPreset.objects.get(slug="math", team=None)


@pytest.fixture
def own(math, team, owner):
    return presets.copy(math, team, owner)


def add(client, preset, wanted="low", headers=None, **changes):
    case = json.dumps({**CASE, **changes})
    body = {"preset": str(preset.pk), "case": case, "wanted": wanted}
    return client.post(reverse("rewards:bench-case"), body, headers=headers)


def take_back(client, preset, headers=None, **changes):
    body = {"preset": str(preset.pk), "case": json.dumps({**CASE, **changes})}
    return client.post(reverse("rewards:case-take-back"), body, headers=headers)


def ranks(case):
    return [(answer["rank"], answer["label"]) for answer in case["answers"]]


def test_an_answer_becomes_a_case_in_a_new_version(teammate_client, own):
    before = len(own.golden)
    add(teammate_client, own, "high", response="<SOLUTION>12</SOLUTION>")
    add(teammate_client, own, "low")
    add(teammate_client, own, "low")
    add(teammate_client, own, "between", response="12 or 13")
    own.refresh_from_db()
    assert len(own.golden) == before + 1 and own.version == 4
    assert ranks(own.golden[-1]) == [(1, "high"), (3, "low"), (2, "between")]
    assert own.versions.get(number=4).golden == own.golden


@pytest.mark.parametrize(
    ("has", "wanted", "becomes"),
    [
        ([(1, "good"), (2, "bad")], "between", [(1, "good"), (3, "bad"), (2, "between")]),
        ([(1, "good"), (2, "bad")], "low", [(1, "good"), (2, "bad"), (2, "low")]),
        ([(2, "bad")], "low", [(2, "bad"), (2, "low")]),
        ([(2, "bad")], "high", [(2, "bad"), (0, "high")]),
        ([(2, "between")], "high", [(2, "between"), (1, "high")]),
        ([(1, "answer"), (2, "near"), (3, "far")], "between", [(1, "answer"), (2, "near"), (3, "far"), (2, "between")]),
        ([(1, "answer")], "low", [(1, "answer"), (3, "low")]),
    ],
)
def test_the_order_that_a_case_had_stays_and_the_new_answer_finds_its_place(has, wanted, becomes):
    answers = [{"text": str(at), "rank": rank, "label": label} for at, (rank, label) in enumerate(has)]
    assert ranks({"answers": cases.with_answer(answers, "new", wanted)}) == becomes


def test_a_shipped_preset_is_copied_once_and_the_copy_gets_the_cases(owner_client, math, team):
    said = add(owner_client, math, headers=HTMX).content.decode()
    assert "Copied to your team, and added to the golden cases of" in said
    add(owner_client, math, response="14")
    copy = RewardPreset.objects.get(team=team)
    assert len(copy.golden) == len(math.golden) + 1 and ranks(copy.golden[-1]) == [(3, "low"), (3, "low")]
    was = math.golden
    math.refresh_from_db()
    assert math.golden == was and math.version == 1


def test_undo_takes_back_what_was_added_and_nothing_else(owner_client, own):
    before = own.golden
    add(owner_client, own, "high", response="12")
    add(owner_client, own, "low")
    said = take_back(owner_client, own, headers=HTMX).content.decode()
    own.refresh_from_db()
    assert "Taken back, as version 4" in said and ranks(own.golden[-1]) == [(1, "high")]
    take_back(owner_client, own, response="12")
    own.refresh_from_db()
    assert own.golden == before and own.version == 5
    assert "not in the golden cases any more" in take_back(owner_client, own, headers=HTMX).content.decode()
    own.refresh_from_db()
    assert own.version == 5


@pytest.mark.parametrize("post", [add, take_back])
def test_only_members_of_the_team_add_cases_and_take_them_back(viewer_client, outsider_client, client, own, math, post):
    assert post(viewer_client, own).status_code == 403
    assert post(outsider_client, own).status_code == 404
    assert post(viewer_client, math).status_code == 403
    assert post(client, own).status_code == 302 and "/login/" in post(client, own).url
    own.refresh_from_db()
    assert own.version == 1 and RewardPreset.objects.exclude(team=None).count() == 1


def test_half_a_case_is_refused_and_the_form_comes_back(owner_client, own):
    body = {"preset": str(own.pk), "case": "{}", "wanted": "low"}
    assert "did not come whole" in owner_client.post(reverse("rewards:bench-case"), body, headers=HTMX).content.decode()
    page = owner_client.post(reverse("rewards:bench-case"), body, follow=True).content.decode()
    assert "did not come whole" in page
    assert "Say what it should score" in add(owner_client, own, "nice", headers=HTMX).content.decode()
    assert owner_client.post(reverse("rewards:bench-case"), {**body, "preset": "?"}).status_code == 404
    own.refresh_from_db()
    assert own.version == 1


def test_a_preset_that_reads_a_column_takes_no_answer_without_it(owner_client, team, owner):
    shipped_one = RewardPreset.objects.get(slug="code-generation", team=None)
    own = presets.copy(shipped_one, team, owner)
    said = add(owner_client, own, headers=HTMX).content.decode()
    assert "which is not stored with this answer" in said and "<form" in said


def test_a_full_preset_says_so(owner_client, own):
    RewardPreset.objects.filter(pk=own.pk).update(golden=own.golden[:1] * cases.MOST_CASES)
    assert "has 50 golden cases already" in add(owner_client, own, headers=HTMX).content.decode()


def test_a_case_that_was_added_is_one_that_the_gate_runs(owner_client, own):
    add(owner_client, own, "low", response="<SOLUTION>12</SOLUTION>")
    add(owner_client, own, "high", response="<SOLUTION>13</SOLUTION>")
    own.refresh_from_db()
    run = golden.run(presets.composition_of(own), own.golden)[-1]
    assert not run.passed and "must score more than" in run.problems[0]


def test_a_whole_case_is_removed_on_the_preset_s_page(owner_client, viewer_client, outsider_client, client, own):
    address = reverse("rewards:case-remove", args=[own.pk])
    assert "Remove case" in owner_client.get(reverse("rewards:detail", args=[own.pk])).content.decode()
    assert "Remove case" not in viewer_client.get(reverse("rewards:detail", args=[own.pk])).content.decode()
    body = {"place": "0", "version": "1"}
    for who, status in ((viewer_client, 403), (outsider_client, 404), (client, 302)):
        assert who.post(address, body).status_code == status
    before = own.golden
    owner_client.post(address, body)
    own.refresh_from_db()
    assert own.golden == before[1:] and own.version == 2
    assert "Nothing was removed" in owner_client.post(address, body, follow=True).content.decode()
    owner_client.post(address, {"place": "99", "version": "2"})
    own.refresh_from_db()
    assert own.version == 2


def in_session(session, index=0):
    event = session.events.filter(kind="rollouts").first()
    return reverse("training:case", args=[session.pk, event.seq, 0, index])


@pytest.fixture
def session(team):
    config = make_config(reward={"type": "preset", "preset_name": "math"})
    return make_events(make_session(team, "completed", config=config), 2)


def test_an_answer_of_a_session_is_made_a_case_from_the_inspector(owner_client, session, math, team):
    event = session.events.filter(kind="rollouts").first()
    groups = reverse("training:groups", args=[session.pk])
    assert "Use as a case" in owner_client.get(groups).content.decode()
    page = owner_client.get(in_session(session, 1))
    told = json.loads(page.context["case"])
    stored = event.data["groups"][0]
    assert (told["instruction"], told["response"]) == (stored["question"], stored["completions"][1]["text"])
    assert told["markers"]["solution_start"] == session.config["prompt"]["solution_start"]
    assert page.context["chosen"] == str(math.pk) and f'value="{math.pk}" selected' in page.content.decode()
    body = {"preset": page.context["chosen"], "case": page.context["case"], "wanted": "low"}
    said = owner_client.post(reverse("rewards:bench-case"), body, headers=HTMX).content.decode()
    copy = RewardPreset.objects.get(team=team)
    assert "Undo" in said and copy.golden[-1]["answers"][0]["text"] == told["response"]


def test_only_members_see_the_button_and_get_the_form(viewer_client, outsider_client, client, session):
    assert "Use as a case" not in viewer_client.get(reverse("training:groups", args=[session.pk])).content.decode()
    assert viewer_client.get(in_session(session)).status_code == 403
    assert outsider_client.get(in_session(session)).status_code == 404
    assert client.get(in_session(session)).status_code == 302


def test_an_answer_that_is_not_there_is_not_found(owner_client, session):
    assert owner_client.get(in_session(session, 999)).status_code == 404


def test_an_answer_of_the_same_question_with_other_markers_is_another_case(own, owner):
    markers = Markers(**shipped.MARKERS)
    cases.add(own, owner, Sample("6 + 6?", "1", "12", {}, markers), "low")
    cases.add(own, owner, Sample("6 + 6?", "2", "12", {}, Markers()), "low")
    assert [len(case["answers"]) for case in own.golden[-2:]] == [1, 1]
