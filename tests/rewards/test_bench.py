"""The test bench: answers scored, ranked, compared and kept as cases."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from rewards import bench, presets, shipped
from rewards.bench import Item, TooMuch
from rewards.composition import Composition
from rewards.models import RewardPreset
from rewards.registry import Markers, Sample
from tests.training.factories import make_events, make_session

MATH = Composition.model_validate({"parts": [{"name": "answer", "function": "math_answer"}]})
HALF = Composition.model_validate({"parts": [{"name": "answer", "function": "math_answer", "weight": 0.5}]})
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
    assert lines[0].rank is None and bench.histograms([lines[0].result]) == []


def test_two_histograms_share_a_scale_and_count_every_total():
    lines = bench.compare(items("12", "12", "13"), MATH, HALF)
    first, second = bench.histograms([line.result for line in lines], [line.other for line in lines])
    assert [(bins[0].low, bins[-1].high) for bins in (first, second)] == [(0.0, 1.0)] * 2
    assert [sum(each.count for each in bins) for bins in (first, second)] == [3, 3]
    assert first[-1].count == 2 and second[-1].count == 0 and max(each.height for each in first) == bench.HEIGHT


def test_each_answer_has_a_time_of_its_own_and_errors_are_counted():
    given = [*items("12", "13"), Item("x", Sample("?", "1", None)), *items("x" * 150_000)]
    results = [line.result for line in bench.compare(given, MATH)]
    (found,) = bench.latencies(MATH, results)
    assert (found.part, found.errors, found.batched) == ("answer", 1, False)
    assert len({result.seconds["answer"] for result in results}) > 1
    assert 0 < found.p50 <= found.p95


def test_the_parts_of_a_batch_share_its_time_and_say_so():
    composition = Composition.model_validate({"parts": [{"name": "mine", "function": "custom_python"}]})
    results = [line.result for line in bench.compare(items("12", "13"), composition)]
    (found,) = bench.latencies(composition, results)
    assert found.batched and found.p50 == found.p95


def test_with_two_rewards_the_answers_they_disagree_on_come_first():
    lines = bench.compare(items("12", "12 apples", "13"), MATH, EXACT)
    assert bench.ordered(lines, bench.AUTO)[0].item.label == "12 apples"
    assert [line.place for line in bench.ordered(bench.compare(items("1", "12"), MATH), bench.AUTO)] == [0, 1]


def test_answers_are_filtered_by_errors_zero_the_most_and_disagreement():
    given = [*items("12", "12 apples", "13"), Item("x", Sample("?", "1", None))]
    found = bench.kinds(bench.compare(given, MATH, EXACT), MATH.best_total)
    assert found == [["max"], ["max", "disagree"], ["zero"], ["errors"]]
    assert bench.kinds(bench.compare(items("13"), MATH), 1.0) == [["zero"]]
    assert bench.kinds(bench.compare(items("13"), MATH), None) == [["zero", "max"]]


def test_the_page_can_order_by_every_part_of_both_rewards():
    (line,) = bench.compare(items("12"), MATH, EXACT)
    offered = {name for name, _ in bench.sorts(MATH, EXACT)}
    assert offered == set(bench.values(line)) == {"place", "total", "a answer", "moved", "other", "b answer"}
    (alone,) = bench.compare(items("12"), MATH)
    assert {name for name, _ in bench.sorts(MATH, None)} == set(bench.values(alone))
    assert all(bench.sorted_by(order, True)[0] in offered for order in bench.ORDERS)


def test_columns_are_looked_for_only_where_a_reward_reads_them():
    tests = Composition.model_validate({"parts": [{"name": "tests", "function": "code_tests"}]})
    code = Composition.model_validate({"parts": [{"name": "mine", "function": "custom_python"}]})
    assert bench.columns_read([MATH]) is None
    assert bench.columns_read([code]) == []
    assert bench.columns_read([MATH, tests]) == ["tests"]


def test_more_than_the_bench_takes_is_refused_with_the_limit():
    with pytest.raises(TooMuch, match="200"):
        bench.check(items(*["1"] * 201))
    with pytest.raises(TooMuch, match="400\u202f000"):
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
    assert [each.line.result.correct for each in page.context["lines"]] == [True, False]
    assert "6 + 6?" in text and "bench-histogram" in text
    assert ("should score" in text) == (who != "viewer_client")


def test_many_answers_ask_the_database_no_more_than_one(owner_client, own, django_assert_num_queries):
    with CaptureQueriesContext(connection) as one:
        posted(owner_client, own, reference="12", answers="12")
    with django_assert_num_queries(len(one)):
        page = posted(owner_client, own, reference="12", answers="\n---\n".join(["12"] * 60))
    assert len(page.context["lines"]) == 60


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
