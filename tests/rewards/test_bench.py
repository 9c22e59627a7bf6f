"""The test bench: answers scored, ranked, compared and kept as cases."""

import pytest
from django.urls import reverse

from rewards import bench, presets, shipped
from rewards.bench import Item, TooMuch
from rewards.composition import Composition
from rewards.models import RewardPreset
from rewards.registry import Markers, Sample
from tests.training.factories import make_events, make_session

MATH = Composition.model_validate({"parts": [{"name": "answer", "function": "math_answer"}]})
EXACT = Composition.model_validate({"parts": [{"name": "answer", "function": "json_equal"}]})


def items(*texts):
    return [Item(text, Sample("6 + 6?", text, "12", {}, Markers())) for text in texts]


def test_answers_are_parted_by_dashes():
    assert bench.split_answers("one\r\n---\r\ntwo\n-----\nthree -- four") == ["one", "two", "three -- four"]
    assert bench.split_answers("") == [""]


def test_two_rewards_disagree_where_one_counts_as_right_what_the_other_does_not():
    lines = bench.compare(items("12", "12 apples", "13"), MATH, EXACT)
    assert [line.rank for line in lines] == [1, 1, 3]
    assert [line.other_rank for line in lines] == [1, 2, 2]
    assert [line.disagree for line in lines] == [False, True, False]
    assert bench.ordered(lines, "moved")[0].item.label == "12 apples"
    assert bench.ordered(lines, "worst")[0].item.label == "13"


def test_what_can_not_be_judged_has_no_rank():
    lines = bench.compare([Item("x", Sample("?", "1", None))], MATH)
    assert lines[0].rank is None and bench.histogram([lines[0].result]) == []


def test_the_histogram_counts_every_total_and_latencies_name_every_part():
    results = [line.result for line in bench.compare(items("12", "12", "13"), MATH)]
    found = bench.histogram(results)
    assert sum(each.count for each in found) == 3 and max(each.height for each in found) == bench.HEIGHT
    assert [each.part for each in bench.latencies(results)] == ["answer"]


def test_more_than_the_bench_takes_is_refused_with_the_limit():
    with pytest.raises(TooMuch, match="200"):
        bench.check(items(*["1"] * 201))
    with pytest.raises(TooMuch, match="400,000"):
        bench.check(items("x" * 400_001))


@pytest.fixture
def math(db):
    return RewardPreset.objects.get(slug="math", team=None)


@pytest.fixture
def own(math, team, owner):
    return presets.copy(math, team, owner)


URL = "/rewards/bench/"


def posted(client, preset, **values):
    form = {"preset": str(preset.pk), "take": "pasted", "order": "given", **shipped.MARKERS, **values}
    return client.post(reverse("rewards:bench"), form)


@pytest.mark.parametrize("who", ["owner_client", "teammate_client", "viewer_client"])
def test_the_team_scores_pasted_answers_and_nothing_typed_is_lost(request, who, own, django_assert_max_num_queries):
    client = request.getfixturevalue(who)
    with django_assert_max_num_queries(30):
        page = posted(client, own, instruction="6 + 6?", reference="12", answers="<SOLUTION>12</SOLUTION>\n---\n13")
    text = page.content.decode()
    assert [line.result.correct for line, *_ in page.context["lines"]] == [True, False]
    assert "6 + 6?" in text and "bench-histogram" in text
    assert ("should score" in text) == (who != "viewer_client")


def test_an_outsider_can_not_score_with_a_teams_preset(outsider_client, own):
    page = posted(outsider_client, own, answers="1")
    assert "lines" not in page.context and page.context["form"].errors["preset"]


def test_a_shipped_preset_is_chosen_by_the_address(outsider_client, math):
    page = outsider_client.get(reverse("rewards:bench"), {"preset": str(math.pk)})
    assert f'value="{math.pk}" selected' in page.content.decode()


def test_answers_of_a_session_are_scored_for_its_team_alone(owner_client, outsider_client, team, math):
    session = make_events(make_session(team, "completed"), 2)
    page = posted(owner_client, math, take="session", session=str(session.pk), step="1")
    assert len(page.context["lines"]) == 16
    assert (
        "no such session" in posted(outsider_client, math, take="session", session=str(session.pk)).context["problem"]
    )


def test_a_missing_dataset_is_said(owner_client, math):
    assert "Choose a dataset" in posted(owner_client, math, take="rows").context["problem"]
