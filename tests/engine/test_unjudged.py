"""An error is not a zero: what can't be judged is left out, and too much of it ends the run with its reasons."""

import pytest

from rewards.composition import Result
from tests.engine.conftest import Session, composition, question, tiny_config
from training.engine.problems import EngineError
from training.engine.unjudged import NEWEST, Unjudged, most_frequent

FAILED = Result(None, {"a": None}, {"a": "no reference"}, {}, None)
JUDGED = Result(1.0, {"a": 1.0}, {}, {}, True)


def with_training(session: Session, **reward: float) -> Session:
    session.config = tiny_config(training={"max_steps": 12, "num_epochs": 20, "save_steps": 50}, reward=reward)
    session.train_rows = [question(number) for number in range(8)]
    return session


def test_a_run_whose_answers_all_fail_stops_with_the_reason(session: Session) -> None:
    session.composition = composition("always_fails")
    with pytest.raises(EngineError) as caught:
        with_training(session).run()
    assert "64 of the last 64 answers could not be judged (100%), and the session allows 50%" in caught.value.message
    assert "always_fails: nothing can be judged (64×)" in caught.value.message
    assert "reward.max_error_share" in caught.value.hint


def test_a_run_with_some_errors_goes_on_and_tells_them(session: Session) -> None:
    session.composition = composition("fails_on_odd_length")
    outcome, recorded = with_training(session, max_error_share=0.99).run()
    assert outcome.status == "completed"
    told = [event.data["unjudged"] for event in recorded.of("log") if "unjudged" in event.data]
    assert told and all(0 < step["count"] <= step["of"] == 8 for step in told)
    assert all(list(step["reasons"]) == ["fails_on_odd_length: an odd length can't be judged"] for step in told)
    failed = [
        answer
        for event in recorded.of("rollouts")
        for group in event.data["groups"]
        for answer in group["completions"]
        if answer["total"] is None
    ]
    assert len(failed) == sum(step["count"] for step in told)
    assert all(answer["advantage"] is None for answer in failed)


def test_a_share_of_one_never_ends_a_run() -> None:
    watch = Unjudged(1.0)
    watch.saw([FAILED] * NEWEST * 2)
    watch.check()


def test_fewer_answers_than_the_window_end_nothing() -> None:
    watch = Unjudged(0.5)
    watch.saw([FAILED] * (NEWEST - 1))
    watch.check()


def test_only_the_newest_answers_count() -> None:
    watch = Unjudged(0.5)
    watch.saw([FAILED] * NEWEST)
    watch.saw([JUDGED] * NEWEST)
    watch.check()


def test_a_share_just_above_the_limit_ends_it() -> None:
    watch = Unjudged(0.5)
    watch.saw([FAILED] * (NEWEST // 2) + [JUDGED] * (NEWEST // 2))
    watch.check()
    watch.saw([FAILED])
    watch.saw([JUDGED] * (NEWEST // 2 - 1) + [FAILED] * (NEWEST // 2 + 1))
    with pytest.raises(EngineError, match="no reference"):
        watch.check()


def test_the_most_frequent_reasons_come_first() -> None:
    other = Result(None, {"b": None}, {"b": "too slow"}, {}, None)
    assert list(most_frequent([FAILED, other, other, JUDGED]).items()) == [("b: too slow", 2), ("a: no reference", 1)]
