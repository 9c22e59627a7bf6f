"""The ledger of groups: added up over all steps, and what it advises."""

import random

import pytest
from django.urls import reverse

from tests.training.factories import History, make_session
from training import signal_ledger
from training.choices import Kind, Status
from training.signal_ledger import Ledger, ledger


def counted(history, step, tokens=100, without=0, seconds=2.0, **groups):
    data = {f"signal/{kind}": float(groups.get(kind, 0)) for kind in signal_ledger.TITLES}
    data |= {"signal/tokens": float(tokens), "signal/tokens_without": float(without), "step_time": seconds}
    return history.add(Kind.METRICS, Status.TRAINING, step, **data)


@pytest.fixture
def session(team):
    return make_session(team, Status.COMPLETED)


@pytest.fixture
def address(session):
    return reverse("training:signal", args=[session.pk])


def made(**groups):
    return Ledger({kind: groups.get(kind, 0) for kind in signal_ledger.TITLES}, 100, 50, 10.0, 5.0)


def test_steps_are_added_up_and_seconds_go_by_the_share_of_tokens(session):
    history = History(session)
    counted(history, 1, mixed=3, wrong=1, tokens=100, without=25, seconds=4.0)
    counted(history, 2, right=2, errored=1, truncated=1, tokens=50, without=50, seconds=2.0)
    history.add(Kind.METRICS, Status.TRAINING, 3, loss=0.1, step_time=1.0)
    history.save()
    found = ledger(session)
    assert found.groups == {"mixed": 3, "right": 2, "wrong": 1, "truncated": 1, "errored": 1}
    assert (found.total, found.tokens, found.tokens_without) == (8, 150, 75)
    assert (found.seconds, found.seconds_without) == (6.0, 3.0)


def test_a_step_done_again_counts_once_and_one_without_tokens_costs_nothing(session):
    history = History(session)
    counted(history, 1, wrong=4, without=100).superseded = True
    counted(history, 1, mixed=4)
    counted(history, 2, errored=4, tokens=0, without=0)
    history.save()
    found = ledger(session)
    assert found.groups["wrong"] == 0 and found.total == 8 and found.seconds_without == 0


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({"wrong": 62, "mixed": 38}, "62 % of the groups were all wrong: the task is too hard"),
        ({"right": 70, "mixed": 30}, "70 % of the groups were all right"),
        ({"truncated": 25, "mixed": 75}, "25 % of the groups were cut off"),
        ({"errored": 6, "mixed": 94}, "6 % of the groups could not be scored"),
        ({"mixed": 80, "wrong": 20}, "80 % of the groups taught something. That is a good share"),
        ({"mixed": 30, "right": 36, "wrong": 34}, "Only 30 % of the groups taught something"),
    ],
)
def test_the_advice_names_what_stands_out(groups, said):
    assert any(sentence.startswith(said) for sentence in made(**groups).advice)


def test_a_few_groups_are_no_ground_for_advice():
    assert made(wrong=signal_ledger.ENOUGH_GROUPS - 1).advice == []


def test_a_reward_whose_best_is_not_known_is_not_called_too_hard():
    found = Ledger({**made(wrong=90, mixed=10).groups}, 100, 90, 10.0, 9.0, right_is_known=False)
    assert "too hard" not in found.advice[0] and "best total is not known" in found.advice[0]


def test_the_page_shows_counts_costs_and_advice(owner_client, session, address):
    history = History(session)
    for step in range(1, 11):
        counted(history, step, mixed=1, wrong=3, tokens=1000, without=750)
    history.save()
    page = owner_client.get(address).content.decode()
    assert "75 % of the groups" in page and "30 groups" in page and "10 groups" in page
    assert "7 500" in page.replace("\u202f", " ").replace("\xa0", " ")


def test_what_is_not_there_yet_or_was_never_counted_is_explained(owner_client, session, address):
    assert "ended before the first GRPO step" in owner_client.get(address).content.decode()
    history = History(session)
    history.add(Kind.METRICS, Status.TRAINING, 1, loss=0.1)
    history.save()
    assert "trained before groups were counted" in owner_client.get(address).content.decode()


def test_the_api_tells_the_same(owner_client, session):
    address = f"/api/sessions/{session.pk}/signal"
    assert owner_client.get(address).json() == {"ledger": None, "inspect": []}
    history = History(session)
    counted(history, 1, mixed=30, without=10)
    history.save()
    told = owner_client.get(address).json()["ledger"]
    assert told["groups"]["mixed"] == told["groups"]["total"] == 30 and told["tokens_without_gradient"] == 10


def test_a_long_run_is_added_up_in_one_query(session, django_assert_num_queries):
    history, chance = History(session), random.Random(3)
    for step in range(1, 3001):
        counted(history, step, mixed=chance.randint(0, 4), wrong=4)
    history.save()
    with django_assert_num_queries(1):
        assert ledger(session).groups["wrong"] == 12000


def test_others_see_nothing(outsider_client, client, session, address):
    assert outsider_client.get(address).status_code == 404
    assert outsider_client.get(f"/api/sessions/{session.pk}/signal").status_code == 404
    assert reverse("login") in client.get(address)["Location"]
