"""What evaluations are judged by: against known values and brute force."""

import math
import random
from itertools import combinations
from typing import Any

import pytest
from django.contrib.auth.models import User
from scipy import stats

from evaluation import evaluation_report, statistics
from evaluation.models import EvaluationSet
from tests.evaluation.evaluation_fixtures import *  # noqa: F403
from tests.evaluation.evaluation_fixtures import HELD_OUT, as_answered, queued
from training.models import Session


@pytest.mark.parametrize(("samples", "right", "k"), [(5, 0, 2), (5, 2, 1), (5, 2, 3), (6, 1, 4), (6, 6, 6), (7, 3, 5)])
def test_pass_at_k_is_the_share_of_all_choices_of_k_that_hold_a_right_one(samples: int, right: int, k: int) -> None:
    chosen = list(combinations([place < right for place in range(samples)], k))
    assert statistics.pass_at(k, samples, right) == pytest.approx(sum(map(any, chosen)) / len(chosen))


def test_the_bootstrap_is_the_same_for_a_seed_and_near_the_normal_interval() -> None:
    chance = random.Random(5)
    values = [chance.gauss(0.4, 1.0) for _ in range(400)]
    mean, low, high = statistics.bootstrapped(values, 3)
    assert (mean, low, high) == statistics.bootstrapped(values, 3) != statistics.bootstrapped(values, 4)
    assert (mean, low, high) == pytest.approx(statistics.mean_interval(values), abs=0.015)
    assert statistics.bootstrapped([0.5] * 9) == (0.5, 0.5, 0.5)
    assert statistics.bootstrapped([2.0]) == (2.0, 2.0, 2.0)


def test_the_bootstrap_holds_the_truth_about_95_times_in_100() -> None:
    chance = random.Random(11)
    held = 0
    for number in range(200):
        _, low, high = statistics.bootstrapped([float(chance.random() < 0.3) for _ in range(80)], number)
        held += low <= 0.3 <= high
    assert 0.9 <= held / 200 <= 0.99


@pytest.mark.parametrize("changed", range(1, 40))
def test_most_lost_is_the_last_split_that_mcnemar_still_shows(changed: int) -> None:
    shown = [lost for lost in range(changed // 2 + 1) if statistics.mcnemar(changed - lost, lost) < 0.05]
    assert statistics.most_lost(changed) == (max(shown) if shown else None)


@pytest.mark.parametrize(("changed", "total"), [(6, 30), (20, 100), (60, 500)])
def test_the_smallest_difference_is_shown_in_80_of_100_repetitions(changed: int, total: int) -> None:
    smallest = statistics.smallest_difference(changed, total)
    assert smallest is not None
    share = (smallest * total / changed + 1) / 2
    power = sum(
        stats.binom.pmf(gained, changed, share)
        for gained in range(changed + 1)
        if gained > changed / 2 and statistics.mcnemar(gained, changed - gained) < 0.05
    )
    assert power == pytest.approx(0.8, abs=1e-6)


def test_fewer_than_six_changed_answers_can_show_nothing() -> None:
    assert [statistics.smallest_difference(changed, 100) for changed in (0, 1, 5)] == [None] * 3
    assert statistics.smallest_difference(6, 100) is not None


def test_known_values_of_the_exact_test_and_of_a_mean() -> None:
    # Two-sided binomial of 1 against 8 with 1/2: 20 of 512.
    assert statistics.mcnemar(8, 1) == pytest.approx(20 / 512)
    mean, low, high, p = statistics.paired_mean([1.0, 0.0, 1.0, 0.0])
    assert (mean, p) == (0.5, pytest.approx(math.erfc(0.5 / (math.sqrt(1 / 3) / 2) / math.sqrt(2))))
    assert high - mean == pytest.approx(mean - low)


# The report


def reported(user: User, asked: EvaluationSet, session: Session, right: list[list[bool | None]]) -> dict[str, Any]:
    evaluation = queued(user, asked, session)
    as_answered(evaluation, right)
    found: dict[str, Any] = evaluation.report
    return found


HALF: list[bool | None] = [number % 2 == 0 for number in range(HELD_OUT)]


@pytest.mark.django_db
def test_a_clear_gain_is_better_with_its_size_and_its_interval(
    owner: User, held_out: EvaluationSet, session: Session
) -> None:
    (pair,) = reported(owner, held_out, session, [HALF, [True] * HELD_OUT])["pairs"]
    assert (pair["accuracy"]["gained"], pair["accuracy"]["lost"]) == (HELD_OUT // 2, 0)
    assert pair["p"] == pytest.approx(2 * 0.5**12) and pair["direction"] == "better"
    assert pair["verdict"].startswith("Better: ") and "+50.0 points" in pair["verdict"]
    (back,) = reported(owner, held_out, session, [[True] * HELD_OUT, HALF])["pairs"]
    assert back["direction"] == "worse" and back["verdict"].startswith("Worse: ")


@pytest.mark.django_db
def test_what_could_not_be_shown_says_which_difference_could_have_been(
    owner: User, held_out: EvaluationSet, session: Session
) -> None:
    shifted = [not right if number < 8 else right for number, right in enumerate(HALF)]
    (pair,) = reported(owner, held_out, session, [HALF, shifted])["pairs"]
    assert pair["direction"] == "same" and pair["verdict"].startswith("No difference could be shown")
    assert "could have shown one of" in pair["verdict"] and pair["accuracy"]["smallest"] > 0
    few = [not right if number < 3 else right for number, right in enumerate(HALF)]
    (pair,) = reported(owner, held_out, session, [HALF, few])["pairs"]
    assert "Only 3 answers differ" in pair["verdict"] and pair["accuracy"]["smallest"] is None


@pytest.mark.django_db
def test_what_was_not_judged_is_in_no_pair(owner: User, held_out: EvaluationSet, session: Session) -> None:
    report = reported(owner, held_out, session, [[None, *HALF[1:]], HALF])
    assert (report["models"][0]["unjudged"], report["models"][0]["judged"]) == (1, HELD_OUT - 1)
    assert report["pairs"][0]["accuracy"]["rows"] == HELD_OUT - 1


@pytest.mark.django_db
def test_pass_at_k_of_the_report_is_the_mean_over_rows(owner: User, held_out: EvaluationSet, session: Session) -> None:
    evaluation = queued(owner, held_out, session, samples=5)
    wins = [[number % 3 for number in range(HELD_OUT)], [5] * HELD_OUT]
    as_answered(evaluation, [HALF, HALF], wins)
    one, other = evaluation.report["models"]
    assert [each["k"] for each in one["pass_at"]] == [1, 2, 4, 5]
    assert one["pass_at"][0]["value"] == pytest.approx((0 + 1 / 5 + 2 / 5) / 3)
    assert one["pass_at"][1]["value"] == pytest.approx((0 + 2 / 5 + (1 - 3 / 10)) / 3)
    assert all(each["low"] < each["value"] < each["high"] for each in one["pass_at"])
    assert other["pass_at"][0] == {"k": 1, "value": 1.0, "low": 1.0, "high": 1.0}
    assert evaluation.report["pairs"][0]["pass_at"][0]["low"] > 0
    assert one["tokens"] == HELD_OUT * (4 + 5 * 2) and one["tokens_per_second"] == one["tokens"] / 2


def test_k_is_each_power_of_two_and_all_samples() -> None:
    assert [evaluation_report.sizes(samples) for samples in (0, 1, 4, 6)] == [[], [1], [1, 2, 4], [1, 2, 4, 6]]
