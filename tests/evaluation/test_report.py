"""Before and after with intervals: figures against known ones and SciPy (N5, issue point 11)."""

import math
import random
from typing import Any

import pytest
from scipy import stats

from evaluation import report, statistics
from tests.exports.fixtures import MakeSession
from tests.training.factories import History, make_session
from training.choices import Kind, Status
from training.models import Event, Session


@pytest.mark.parametrize(
    ("successes", "total"), [(0, 10), (1, 10), (28, 96), (66, 96), (81, 263), (10, 10), (500, 1000)]
)
def test_wilson_interval_is_scipy_s(successes: int, total: int) -> None:
    wanted = stats.binomtest(successes, total).proportion_ci(0.95, method="wilson")
    assert statistics.wilson(successes, total) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_wilson_interval_of_newcombe_s_table() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3: 81 of 263."""
    assert statistics.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert statistics.wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 0), (10, 2), (2, 10), (7, 7), (40, 3), (300, 250)])
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int) -> None:
    wanted = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert statistics.mcnemar(gained, lost) == pytest.approx(wanted, rel=1e-9)


def test_paired_interval_holds_the_truth_about_95_times_in_100() -> None:
    chance = random.Random(7)
    held = 0
    for _ in range(2000):
        gained = lost = 0
        for _ in range(60):
            drawn = chance.random()
            gained, lost = gained + (drawn < 0.25), lost + (0.25 <= drawn < 0.35)
        low, high = statistics.paired_difference(gained, lost, 60)
        held += low <= 0.15 <= high
    assert 0.935 <= held / 2000 <= 0.97


def test_mean_interval_is_the_normal_one() -> None:
    values = [0.1, 0.5, 0.4, 1.0, 0.9]
    mean, low, high = statistics.mean_interval(values)
    assert mean == pytest.approx(0.58)
    assert (high - low) / 2 == pytest.approx(1.959964 * stats.sem(values), rel=1e-6)
    assert statistics.mean_interval([2.0]) == (2.0, 2.0, 2.0)


def answer(row: int, correct: bool | None, reward: float | None = None, text: str = "") -> dict[str, Any]:
    reward = float(bool(correct)) if reward is None else reward
    named = {"question": f"Q{row}", "reference": f"R{row}", "completion": text or f"{correct} {row}"}
    return {"row": row, **named, "correct": correct, "reward": reward, "cut_off": False}


def say(history: History, label: str, answers: list[dict[str, Any]], *, finish: bool = True, total: int = 0) -> None:
    total = total or len(answers)
    for begin in range(0, len(answers), 4):
        part = answers[begin : begin + 4]
        history.add(Kind.EVALUATION, label=label, done=begin + len(part), total=total, answers=part)
    if finish:
        history.add(Kind.EVALUATION, label=label, summary={"questions": total, "seconds": 3.5})


def evaluated(session: Session, base: list[dict[str, Any]], adapter: list[dict[str, Any]]) -> report.Report:
    history = History(session)
    say(history, "base", base)
    say(history, "adapter", adapter)
    history.save()
    found = report.before_after(session)
    assert found
    return found


@pytest.fixture
def plain(team: Any) -> Session:
    return make_session(team, Status.COMPLETED)


@pytest.mark.django_db
def test_nothing_answered_is_no_report(plain: Session) -> None:
    assert report.before_after(plain) is None


@pytest.mark.django_db
def test_a_real_gain_is_better_with_its_figures(plain: Session) -> None:
    base = [answer(row, row < 28) for row in range(96)]
    adapter = [answer(row, 4 <= row < 72) for row in range(96)]
    found = evaluated(plain, base, adapter)
    assert found.base and found.adapter
    assert (found.base.correct, found.adapter.correct, found.base.questions) == (28, 68, 96)
    assert (len(found.gained), len(found.lost)) == (44, 4)
    assert found.difference and found.difference[0] == pytest.approx(40 / 96)
    assert found.direction == "better"
    assert found.verdict.startswith("Better: 71 % against 29 % right on 96 questions that were not trained on.")
    assert "gain of +42 points" in found.verdict
    assert "p < 0.001" in found.verdict
    assert found.base.seconds == 3.5


@pytest.mark.django_db
def test_a_real_loss_is_worse(plain: Session) -> None:
    found = evaluated(plain, [answer(row, True) for row in range(20)], [answer(row, row > 11) for row in range(20)])
    assert found.direction == "worse"
    assert found.verdict.startswith("Worse: 40 % against 100 %")
    assert "loss of -60 points" in found.verdict


@pytest.mark.django_db
def test_a_small_gain_is_no_difference_and_says_what_could_not_be_seen(plain: Session) -> None:
    base = [answer(row, row < 60) for row in range(200)]
    adapter = [answer(row, row < 64) for row in range(200)]
    found = evaluated(plain, base, adapter)
    assert found.p_value == pytest.approx(0.125)
    assert found.direction == "same"
    assert found.verdict == (
        "No difference could be shown: 32 % against 30 % right."
        " With 200 questions a change under 2 points could not be seen."
    )


@pytest.mark.django_db
def test_changed_answers_have_question_reference_and_both_texts(plain: Session) -> None:
    base = [answer(1, False, text="five"), answer(2, True, text="ok"), answer(3, True), answer(9, False)]
    adapter = [answer(3, True), answer(2, False, text="no"), answer(1, True, text="four"), answer(9, False)]
    found = evaluated(plain, base, adapter)
    (gained,), (lost,) = found.gained, found.lost
    assert (gained.row, gained.question, gained.reference, gained.base, gained.adapter) == (
        1,
        "Q1",
        "R1",
        "five",
        "four",
    )
    assert (lost.row, lost.base, lost.adapter) == (2, "ok", "no")


@pytest.mark.django_db
def test_answers_that_could_not_be_judged_are_left_out_of_the_share(plain: Session) -> None:
    base = [answer(row, [True, False, None][row % 3]) for row in range(30)]
    found = evaluated(plain, base, base)
    assert found.base
    assert (len(found.base.judged), found.base.unjudged, found.base.accuracy) == (20, 10, 0.5)
    assert len(found.judged_pairs) == 20


@pytest.mark.django_db
def test_without_judgement_mean_rewards_are_compared(plain: Session) -> None:
    chance = random.Random(3)
    rewards = [chance.random() for _ in range(40)]
    base = [answer(row, None, reward) for row, reward in enumerate(rewards)]
    adapter = [answer(row, None, reward + 0.5 + chance.random() / 10) for row, reward in enumerate(rewards)]
    found = evaluated(plain, base, adapter)
    assert not found.judged
    assert found.direction == "better"
    assert "mean reward" in found.verdict
    assert [bar.kind for bar in found.bars] == ["base", "adapter"]
    same = evaluated(make_session(plain.team, Status.COMPLETED), base, base)
    assert same.direction == "same"
    assert "could be shown" in same.verdict


@pytest.mark.django_db
def test_progress_while_the_base_answers(plain: Session) -> None:
    history = History(plain)
    say(history, "base", [answer(row, True) for row in range(12)], finish=False, total=200)
    history.save()
    found = report.before_after(plain)
    assert found and found.running
    assert (found.running.questions, found.running.total, found.complete) == (12, 200, False)
    assert found.verdict.startswith("Not finished")


@pytest.mark.django_db
def test_a_later_attempt_replaces_older_answers_and_superseded_ones_do_not_count(plain: Session) -> None:
    history = History(plain)
    say(history, "base", [answer(row, False) for row in range(8)])
    history.save()
    plain.attempt = 2
    again = History(plain)
    say(again, "base", [answer(row, True) for row in range(4)])
    say(again, "adapter", [answer(row, True) for row in range(4)])
    again.add(Kind.EVALUATION, label="adapter", done=5, total=5, answers=[answer(77, False)])
    again.save()
    Event.objects.filter(data__done=5).update(superseded=True)
    found = report.before_after(plain)
    assert found and found.base and found.adapter
    assert (found.base.questions, found.base.correct) == (4, 4)
    assert 77 not in found.adapter.answers


@pytest.mark.django_db
def test_a_later_attempt_that_goes_on_adds_to_the_older_answers(plain: Session) -> None:
    history = History(plain)
    say(history, "base", [answer(row, False) for row in range(4)], finish=False, total=8)
    history.save()
    plain.attempt = 2
    again = History(plain)
    again.add(Kind.EVALUATION, label="base", done=8, total=8, answers=[answer(row, True) for row in range(4, 8)])
    again.save()
    found = report.before_after(plain)
    assert found and found.base
    assert (found.base.questions, found.base.correct) == (8, 4)


@pytest.mark.django_db
def test_the_plot_stays_inside_its_frame(plain: Session) -> None:
    found = evaluated(plain, [answer(row, False) for row in range(9)], [answer(row, True) for row in range(9)])
    for bar in found.bars:
        assert 0 <= bar.low <= bar.middle <= bar.high <= 100
        assert 0 <= bar.mark <= 99.4
        assert math.isfinite(bar.width)


def test_web_process_needs_no_scipy_for_it() -> None:
    import subprocess
    import sys

    code = "import sys, evaluation.statistics; sys.exit('scipy' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.django_db
def test_report_is_read_in_one_query(make_trained: MakeSession, plain: Session, django_assert_num_queries: Any) -> None:
    evaluated(plain, [answer(row, True) for row in range(50)], [answer(row, True) for row in range(50)])
    with django_assert_num_queries(1):
        found = report.before_after(plain)
        assert found and found.verdict
