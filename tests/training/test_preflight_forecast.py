"""The forecast of groups without signal, against simulated questions whose truth is known."""

from random import Random
from statistics import fmean

import pytest

from training.preflight_forecast import all_equal, dead_groups, histogram, interval

# Shapes of the chance to be right: mostly hard or easy, evenly spread, all alike.
SHAPES = {
    "hard or easy": lambda dice: dice.betavariate(0.3, 0.3),
    "spread": lambda dice: dice.betavariate(1, 1),
    "mostly hard": lambda dice: dice.betavariate(0.4, 1.5),
    "alike": lambda dice: 0.5,
}


def questions(shape, count, dice):
    return [SHAPES[shape](dice) for _ in range(count)]


def answered(chances, answers, dice):
    return [[dice.random() < chance for _ in range(answers)] for chance in chances]


def truth(shape, group):
    return fmean(p**group + (1 - p) ** group for p in questions(shape, 200_000, Random(99)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("answers", "group"), [(8, 8), (16, 8), (32, 4)])
def test_with_enough_answers_the_forecast_is_right_on_the_mean(shape, answers, group):
    dice = Random(1)
    forecasts = [dead_groups(answered(questions(shape, 16, dice), answers, dice), group) for _ in range(600)]
    assert not any(forecast.extrapolated for forecast in forecasts)
    assert fmean(forecast.share for forecast in forecasts) == pytest.approx(truth(shape, group), abs=0.015)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("answers", "group"), [(8, 8), (4, 8), (4, 16), (16, 8)])
def test_the_interval_holds_the_truth_at_least_as_often_as_it_says(shape, answers, group):
    dice, real = Random(2), truth(shape, group)
    forecasts = [dead_groups(answered(questions(shape, 16, dice), answers, dice), group) for _ in range(400)]
    held = fmean(forecast.low - 1e-9 <= real <= forecast.high + 1e-9 for forecast in forecasts)
    assert held >= 0.93, held


@pytest.mark.parametrize("shape", ["hard or easy", "spread", "alike"])
def test_fewer_answers_than_a_group_are_carried_on(shape):
    dice = Random(3)
    forecast = dead_groups(answered(questions(shape, 4000, dice), 4, dice), 8)
    assert forecast.extrapolated
    assert forecast.share == pytest.approx(truth(shape, 8), abs=0.02)
    # What the four answers alone say is another number: nothing was gained by not carrying on.
    if shape != "hard or easy":
        assert all_equal(answered(questions(shape, 4000, dice), 4, dice), 4) > truth(shape, 8) + 0.05


def test_rewards_of_many_levels_and_the_ends():
    assert dead_groups([[0, 1, 2, 3]] * 5, 4).share == 0
    assert dead_groups([[7] * 4] * 5, 4).share == 1 == dead_groups([[7] * 4] * 5, 16).share
    assert dead_groups([[0, 1, 2, 3]] * 5, 8).share == 0
    assert 0 < dead_groups([[7] * 4] * 5, 4).low < 1
    assert dead_groups([], 4) is None and dead_groups([[1, 1]], 4) is None


def test_the_histogram_has_bars_of_their_own_for_never_and_always():
    found = dict(histogram([0, 0, 0.125, 0.25, 0.5, 0.51, 0.99, 1.0]))
    assert found == {"never": 2, "up to 25 %": 2, "25 to 50 %": 1, "50 to 75 %": 1, "over 75 %": 1, "always": 1}


def test_the_interval_is_clopper_and_pearsons():
    assert interval(0.5, 10) == (pytest.approx(0.1871, abs=1e-4), pytest.approx(0.8129, abs=1e-4))
    assert interval(0, 16) == (0, pytest.approx(0.2059, abs=1e-4))
