"""A session tried out: real answers, a real largest step, nothing kept."""

import time
from dataclasses import replace

import pytest
import torch

from tests.engine.conftest import Session, tiny_config
from training.engine import grpo, high_water
from training.engine.preflight import Trial, Wanted, measure
from training.engine.run import RunSpec


def spec_of(session: Session) -> RunSpec:
    return RunSpec(
        session.config, session.composition, session.train_rows, [], str(session.model_folder), session.folder
    )


def never() -> bool:
    return False


def quietly(progress: float, message: str) -> None:
    pass


def test_answers_are_sampled_and_scored_and_one_largest_step_is_measured(session: Session) -> None:
    session.config = tiny_config(pre_training={"enabled": True, "batch_size": 2, "epochs": 2})
    told: list[tuple[float, str]] = []
    found = measure(spec_of(session), Wanted(3, 5, 60), lambda *each: told.append(each), never)
    assert len(found["questions"]) == found["asked"] == 3
    assert all(len(question["answers"]) == 5 for question in found["questions"])
    answers = [answer for question in found["questions"] for answer in question["answers"]]
    assert all(answer["total"] is not None and 1 <= answer["tokens"] <= 8 for answer in answers)
    assert len({answer["text"] for answer in answers}) > 5
    assert found["step"]["finished"] and found["step"]["new_tokens"] == 8 and found["step"]["generating"] > 0
    assert found["warm_up"]["finished"] and found["warm_up"]["steps"] == 6
    assert found["steps"] == 4 and found["trainable"] > 0 and found["checkpoint"] > 4 * found["trainable"]
    assert set(found["peaks"]) == {"loading", "sampling", "warm_up", "step"} and found["peak"] > 10_000_000
    assert [progress for progress, _ in told] == sorted(progress for progress, _ in told)


def test_the_step_is_as_large_as_one_can_be(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer has all tokens, every group a signal, and the prompts are the longest ones."""
    seen: list[dict[str, torch.Tensor]] = []
    compute = grpo.Trainer._compute_loss

    def spy(self: grpo.Trainer, model: object, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(inputs)
        return compute(self, model, inputs)

    monkeypatch.setattr(grpo.Trainer, "_compute_loss", spy)
    long = replace(session.train_rows[2], instruction="Why " * 12)
    session.train_rows[2] = long
    trial = Trial(spec_of(session), Wanted(1, 4, 60), quietly, never)
    trial.execute()
    (inputs,) = seen
    assert inputs["completion_mask"].shape == (8, 8) and bool(inputs["completion_mask"].all())
    assert bool((inputs["advantages"] != 0).all())
    lengths = [len(trial.tokenizer(question.prompt)["input_ids"]) for question in trial.questions]
    assert inputs["prompt_ids"].shape[1] == max(lengths)


def test_what_stops_it_goes_through(session: Session) -> None:
    class Cancelled(Exception):
        pass

    def stop() -> bool:
        raise Cancelled

    with pytest.raises(Cancelled):
        measure(spec_of(session), Wanted(3, 4, 60), quietly, stop)


def test_what_was_answered_when_the_time_is_over_is_kept_and_the_rest_is_named(session: Session) -> None:
    session.config = tiny_config(training={"batch_size": 4})
    answered: list[str] = []

    def over_after_the_first(progress: float, message: str) -> None:
        if "questions answered" in message:
            answered.append(message)
            # A stopper asks five times a second.
            time.sleep(0.3)

    found = measure(spec_of(session), Wanted(6, 4, 600), over_after_the_first, lambda: bool(answered))
    assert answered == ["1 of 6 questions answered"] and len(found["questions"]) == 1 and found["asked"] == 6
    assert found["step"]["finished"] is False


def test_the_high_water_mark_falls_when_it_begins_anew_and_sees_what_was_given_back() -> None:
    high_water.begin()
    before = high_water.peak()
    block = torch.ones(40_000_000)
    del block
    assert high_water.peak() - before > 150_000_000
    high_water.begin()
    assert high_water.peak() - before < 50_000_000
