"""The inspector's page: steps, prompts, parts with weights, filters, two answers compared."""

import re

import pytest
from django.urls import reverse

from tests.training.factories import History, make_events, make_session
from training import inspector
from training.choices import Kind, Status

pytestmark = pytest.mark.django_db


def answer(text, total, **more):
    standard = {"parts": {"correct": total}, "errors": {}, "advantage": total, "length": 3, "cut_off": False}
    return {"text": text, "total": total, **standard, **more}


def with_groups(team, *groups, reward=None):
    session = make_session(team, Status.COMPLETED, **({"reward": reward} if reward else {}))
    history = History(session)
    found = [
        {"question": f"Question {n}", "prompt": "p", "reference": "4", "completions": group}
        for n, group in enumerate(groups, 1)
    ]
    history.add(Kind.ROLLOUTS, Status.TRAINING, 1, groups=found)
    return history.save()


def shown(client, session, **query):
    response = client.get(reverse("training:groups", args=[session.pk]), query)
    assert response.status_code == 200, response.content
    return response.content.decode()


def diff_url(session):
    seq = session.events.filter(kind=Kind.ROLLOUTS).first().seq
    return reverse("training:difference", args=[session.pk, seq, 0])


def test_the_prompts_are_listed_with_mean_and_spread_and_one_is_open(owner_client, team) -> None:
    session = with_groups(team, [answer("one", 0.0), answer("two", 1.0)], [answer("three", 1.0), answer("four", 1.0)])
    page = shown(owner_client, session, prompt=2)
    assert "0.500 ± 0.500" in page
    assert re.search(r'data-prompt-number="2" aria-current="true"', page)
    assert "three" in page
    assert ">two</" not in page


def test_raw_and_weighted_parts_stand_side_by_side_and_a_closed_gate_is_named(owner_client, team) -> None:
    reward = {"parts": [{"name": "correct", "function": "length", "weight": 2.5, "gate": 0.6, "clip": [0.0, 0.4]}]}
    session = with_groups(team, [answer("one", 0.5, gate="correct")], reward=reward)
    page = shown(owner_client, session)
    assert "× 2.50 = 1" in page
    assert "Gate closed: below 0.600" in page


def test_a_formula_has_no_weighted_parts_and_is_shown(owner_client, team) -> None:
    parts = [{"name": "correct", "function": "length", "weight": 2.5}]
    session = with_groups(team, [answer("one", 0.5)], reward={"parts": parts, "formula": "correct ** 2"})
    page = shown(owner_client, session)
    assert "×" not in page
    assert "correct ** 2" in page


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"order": "worst"}, ["bad", "odd", "good"]),
        ({"order": "length"}, ["odd", "good", "bad"]),
        ({"order": "advantage"}, ["good", "bad", "odd"]),
        ({"only": "cut_off"}, ["odd"]),
        ({"only": "errors"}, ["bad"]),
    ],
)
def test_answers_are_ordered_and_left_out_as_asked(owner_client, team, query, expected) -> None:
    errors = {"correct": "no number"}
    answers = [
        answer("good", 1.0, length=5),
        answer("odd", 0.5, length=9, cut_off=True, advantage=-2.0),
        answer("bad", None, length=1, errors=errors, advantage=-1.0),
    ]
    page = shown(owner_client, with_groups(team, answers), **query)
    assert re.findall(r'segment-text">(\w+)<', page) == expected


def test_the_solution_behind_very_long_reasoning_is_shown(owner_client, team) -> None:
    text = "<start_working_out>" + "so " * 50_000 + "<end_working_out><SOLUTION>42</SOLUTION>"
    page = shown(owner_client, with_groups(team, [answer(text, 1.0)]))
    assert '<mark class="solution">&lt;SOLUTION&gt;42&lt;/SOLUTION&gt;</mark>' in page
    assert len(page) < 30_000


def test_an_answer_links_to_the_test_bench_with_itself(owner_client, team) -> None:
    session = with_groups(team, [answer("one", 0.0)], [answer("two", 1.0), answer("three", 0.5)])
    page = shown(owner_client, session, prompt=2)
    link = f"{reverse('rewards:bench')}?session={session.pk}&amp;step=1&amp;prompt=2&amp;answer=2"
    assert f"{link}&amp;preset=" in page
    bench = owner_client.get(link.replace("&amp;", "&")).content.decode()
    assert re.search(r'name="prompt"[^>]*value="2"', bench)
    assert re.search(r'name="answer"[^>]*value="2"', bench)


def test_best_and_worst_are_compared_unless_two_are_chosen(owner_client, team) -> None:
    session = with_groups(team, [answer("it is five", 0.0), answer("it is four", 1.0), answer("it was six", 0.5)])
    page = owner_client.get(diff_url(session)).content.decode()
    assert "it is <del>four</del><ins>five</ins>" in page
    page = owner_client.get(diff_url(session), {"first": 1, "second": 3}).content.decode()
    assert "it <del>is</del><ins>was</ins> <del>five</del><ins>six</ins>" in page


def test_long_answers_are_compared_in_part_and_it_is_said(owner_client, team) -> None:
    session = with_groups(team, [answer("a b " * 60_000, 0.0), answer("b a " * 60_000, 1.0)])
    page = owner_client.get(diff_url(session)).content.decode()
    assert "more are left out" in page
    assert len(inspector.difference("a " * 5000, "b " * 5000).pieces) > 0


def test_strangers_find_neither_groups_nor_differences(outsider_client, team) -> None:
    session = with_groups(team, [answer("one", 0.0), answer("two", 1.0)])
    for url in (reverse("training:groups", args=[session.pk]), diff_url(session)):
        assert outsider_client.get(url).status_code == 404


def test_hundreds_of_steps_need_few_queries(owner_client, team, django_assert_max_num_queries) -> None:
    session = make_events(make_session(team, Status.COMPLETED), 300, system=False)
    with django_assert_max_num_queries(14):
        shown(owner_client, session, step=150)


def test_the_page_says_when_the_room_is_spent(owner_client, team) -> None:
    session = make_session(team, Status.COMPLETED)
    history = History(session)
    for step in [*range(1, 21), *range(40, 400, 40), *range(400, 420)]:
        history.rollouts(step, 420, groups=1)
    assert "about every 40th step" in shown(owner_client, history.save())
