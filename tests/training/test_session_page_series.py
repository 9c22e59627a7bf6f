"""Downsampling and the JSON behind the charts."""

import math
import random
from itertools import pairwise

import pytest
from django.test import Client

from tests.training.factories import History, make_events, make_session
from training import series
from training.choices import Kind, Status
from training.models import Event, Session
from training.series import MAX_KEYS, MIN_POINTS, collect, thin

SEEDS = range(12)


def random_column(chance: random.Random, length: int) -> series.Column:
    kind = chance.choice(["walk", "noise", "constant", "spikes", "sparse", "broken"])
    level, column = 0.0, []
    for place in range(length):
        level += chance.gauss(0, 1)
        value = {
            "walk": level,
            "noise": chance.random(),
            "constant": 7.0,
            "spikes": 100.0 if chance.random() < 0.001 else 0.0,
            "sparse": level if place % 3 == 0 else None,
            "broken": math.nan if chance.random() < 0.01 else level,
        }[kind]
        column.append(value)
    return column


def numbers(column: series.Column) -> list[float]:
    return [value for value in column if value is not None and not math.isnan(value)]


@pytest.mark.parametrize("seed", SEEDS)
def test_thinning_keeps_to_the_limit_in_order_with_both_ends_and_every_extreme(seed: int) -> None:
    chance = random.Random(seed)
    length, points = chance.randint(1, 6000), chance.randint(MIN_POINTS, 1200)
    columns = [random_column(chance, length) for _ in range(chance.randint(1, MAX_KEYS))]
    kept = thin(columns, length, points)
    assert len(kept) <= points
    assert kept == sorted(set(kept))
    assert (kept[0], kept[-1]) == (0, length - 1)
    for column in columns:
        shown = numbers([column[place] for place in kept])
        assert max(numbers(column), default=None) == max(shown, default=None)
        assert min(numbers(column), default=None) == min(shown, default=None)


def test_a_run_that_fits_is_not_thinned() -> None:
    assert thin([[1.0] * MIN_POINTS], MIN_POINTS, MIN_POINTS) == list(range(MIN_POINTS))


def test_every_bucket_keeps_a_gap_so_that_a_broken_line_stays_broken() -> None:
    column: series.Column = [float(place) for place in range(5000)]
    column[2500] = math.nan
    assert 2500 in thin([column], 5000, MIN_POINTS)


def test_constant_columns_are_spread_over_the_run_and_cost_nothing() -> None:
    kept = thin([[3.0] * 10_000], 10_000, MIN_POINTS)
    assert max(right - left for left, right in pairwise(kept)) <= 10_000 // MIN_POINTS * 2 + 1


def test_a_null_is_a_gap_and_a_missing_key_is_not() -> None:
    found = collect([(1, {"kl": 0.1}), (2, {"kl": None}), (3, {}), (4, {"kl": 0.2})], ["kl"], MIN_POINTS)
    assert found.as_json("steps") == {
        "steps": [1, 2, 3, 4],
        "series": {"kl": [0.1, None, None, 0.2]},
        "gaps": {"kl": [1]},
        "rows": 4,
    }


def test_words_and_booleans_are_no_numbers() -> None:
    found = collect([(1, {"loss": "high"}), (2, {"loss": True}), (3, {"loss": 1})], ["loss"], MIN_POINTS)
    assert found.as_json("steps")["series"] == {"loss": [None, None, 1]}


def url(session: Session) -> str:
    return f"/sessions/{session.pk}/series/"


def test_the_series_of_a_run_are_its_steps(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 60)
    reply = owner_client.get(url(session), {"keys": "reward,kl"}).json()
    assert reply["steps"] == list(range(1, 61))
    assert set(reply["series"]) == {"reward", "kl"}
    stored = session.events.get(kind=Kind.METRICS, phase=Status.TRAINING, step=60).data
    assert reply["series"]["reward"][-1] == pytest.approx(stored["reward"])


def test_the_warm_up_has_steps_of_its_own(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 5, warm_up=20)
    reply = owner_client.get(url(session), {"keys": "loss", "phase": "pretraining"}).json()
    assert reply["steps"] == list(range(1, 21))


def test_steps_that_a_later_attempt_did_again_are_not_drawn(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 20, warm_up=0)
    session.events.filter(kind=Kind.METRICS, step__gt=10).update(superseded=True)
    session.attempt = 2
    history = History(session)
    history.step(11, 20, reward=99.0)
    history.save()
    reply = owner_client.get(url(session), {"keys": "reward"}).json()
    assert reply["steps"] == list(range(1, 12))
    assert reply["series"]["reward"][-1] == 99.0


def test_a_part_of_the_run_is_asked_for_by_its_steps(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 30)
    reply = owner_client.get(url(session), {"keys": "reward", "from": "10", "to": "12"}).json()
    assert reply["steps"] == [10, 11, 12]


def test_a_part_name_with_a_comma_is_asked_for_with_key(owner_client: Client, team) -> None:
    session = make_session(team)
    history = History(session)
    history.step(1, 1, parts=["right, and short"])
    history.save()
    reply = owner_client.get(url(session), {"key": "rewards/right, and short/mean"}).json()
    assert reply["series"]["rewards/right, and short/mean"] != [None]


def test_the_machine_is_drawn_over_time(owner_client: Client, team) -> None:
    session = make_events(make_session(team), 4)
    reply = owner_client.get(url(session), {"keys": "cpu_percent,gpu_utilization", "kind": "system"}).json()
    assert len(reply["times"]) == 4
    assert reply["times"] == sorted(reply["times"])
    assert all(0 <= value <= 100 for value in reply["series"]["cpu_percent"])
    assert reply["series"]["gpu_utilization"] == [None] * 4


def test_five_thousand_steps_come_thinned_in_a_constant_number_of_queries(
    owner_client: Client, team, django_assert_max_num_queries
) -> None:
    session = make_events(make_session(team), 5000, rollouts_every=0, evaluation=False, system=False)
    Event.objects.filter(session=session, kind=Kind.METRICS, step=2345).update(data={"reward": 1e6, "kl": None})
    with django_assert_max_num_queries(8):
        reply = owner_client.get(url(session), {"keys": "reward,kl,loss", "points": "600"}).json()
    assert len(reply["steps"]) <= 600
    assert reply["rows"] == 5000
    assert max(value for value in reply["series"]["reward"] if value is not None) == 1e6
    assert reply["steps"].index(2345) in reply["gaps"]["kl"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({}, "keys"),
        ({"keys": ",".join(f"k{place}" for place in range(MAX_KEYS + 1))}, "keys"),
        ({"keys": "loss", "points": "2001"}, "points"),
        ({"keys": "loss", "points": "1"}, "points"),
        ({"keys": "loss", "points": "many"}, "points"),
        ({"keys": "loss", "phase": "lunch"}, "phase"),
        ({"keys": "loss", "kind": "rollouts"}, "kind"),
        ({"keys": "loss", "from": "-1"}, "from"),
        ({"keys": "loss", "to": "²"}, "to"),
    ],
)
def test_a_query_that_cannot_be_answered_says_which_parameter(owner_client: Client, team, query, named) -> None:
    reply = owner_client.get(url(make_session(team)), query)
    assert reply.status_code == 400
    assert reply.json()["error"].startswith(named)
