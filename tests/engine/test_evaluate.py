from __future__ import annotations

import pytest

from rewards.composition import Result
from tests.engine.conftest import Session, composition, question, tiny_config
from training.engine.evaluate import interval, summarised


def result(total: float | None, correct: bool | None) -> Result:
    return Result(total, {}, {}, {}, correct)


@pytest.mark.parametrize(
    ("correct", "questions", "expected"),
    # Wilson's score interval, worked out by hand from its formula with z = 1.959964
    [(0, 10, (0.0, 0.2775)), (8, 10, (0.4902, 0.9433)), (10, 10, (0.7225, 1.0)), (50, 200, (0.1951, 0.3143))],
)
def test_the_interval_is_wilsons(correct: int, questions: int, expected: tuple[float, float]) -> None:
    assert interval(correct, questions) == pytest.approx(expected, abs=1e-3)


def test_no_questions_have_no_interval() -> None:
    assert interval(0, 0) == (None, None)


def test_answers_that_cannot_be_judged_are_not_wrong_answers() -> None:
    summary = summarised([result(1.0, True), result(0.0, False), result(None, None)], 1.5)

    assert (summary["questions"], summary["correct"], summary["accuracy"]) == (2, 1, 0.5)
    assert summary["mean_reward"] == 0.5


def test_a_reward_that_judges_nothing_has_no_accuracy() -> None:
    summary = summarised([result(0.25, None), result(0.75, None)], 1.0)

    assert (summary["accuracy"], summary["low"], summary["questions"]) == (None, None, 0)
    assert summary["mean_reward"] == 0.5


@pytest.fixture
def evaluated(session: Session) -> Session:
    session.config = tiny_config(
        evaluation={"enabled": True, "max_samples": 40, "batch_size": 20}, training={"max_steps": 2}
    )
    session.held_out_rows = [question(n) for n in range(100, 140)]
    return session


def test_answers_come_in_chunks_that_add_up_to_the_summary(evaluated: Session) -> None:
    outcome, recorded = evaluated.run()

    for label in ("base", "adapter"):
        events = [event.data for event in recorded.of("evaluation") if event.data["label"] == label]
        chunks, summary = events[:-1], events[-1]["summary"]
        answers = [answer for chunk in chunks for answer in chunk["answers"]]
        assert all(len(chunk["answers"]) <= 16 for chunk in chunks)
        assert [chunk["done"] for chunk in chunks] == [16, 20, 36, 40]
        assert {chunk["total"] for chunk in chunks} == {40}
        assert sorted(answer["row"] for answer in answers) == list(range(100, 140))
        assert sum(answer["correct"] for answer in answers) == summary["correct"]
        assert summary == outcome.scores[label]
        assert summary["low"] <= summary["accuracy"] <= summary["high"]


def test_base_is_asked_before_and_the_adapter_after_training(evaluated: Session) -> None:
    _, recorded = evaluated.run()

    phases = {event.data["label"]: event.phase for event in recorded.of("evaluation")}
    assert phases == {"base": "starting", "adapter": "finishing"}


def test_an_untrained_adapter_answers_exactly_as_its_base(evaluated: Session) -> None:
    # A learning rate this small leaves every weight where it was.
    evaluated.config = tiny_config(
        evaluation={"enabled": True}, training={"max_steps": 1, "learning_rate": 1e-30, "weight_decay": 0}
    )
    evaluated.composition = composition("even_length")
    _, recorded = evaluated.run()
    answers: dict[str, dict[int, str]] = {"base": {}, "adapter": {}}
    for event in recorded.of("evaluation"):
        for answer in event.data.get("answers", []):
            answers[event.data["label"]][answer["row"]] = answer["completion"]

    assert answers["base"] == answers["adapter"]
    assert len(answers["base"]) == 6


def test_a_stop_during_the_base_evaluation_ends_the_session_without_an_adapter(evaluated: Session) -> None:
    outcome, _ = evaluated.run(stop=lambda recorded: bool(recorded.of("phase")))

    assert (outcome.status, outcome.adapter) == ("stopped", None)
    assert not (evaluated.folder / "evaluation_base.json").exists()
