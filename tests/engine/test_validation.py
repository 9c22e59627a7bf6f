"""The score on the validation part while GRPO trains, early stopping on it, and keeping the best adapter."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.engine.conftest import Recorded, Session, composition, question, tiny_config
from training.engine import validation
from training.engine.files import damage
from training.engine.generation import Generator
from training.engine.problems import StopRequested
from training.engine.validation import BEST, History, TimeShare

# A tiny model's score takes longer than its step: the bound on the time has a test of its own.
OFTEN: dict[str, Any] = {"eval_steps": 1, "eval_samples": 4, "max_time_share": 1.0}


@pytest.fixture
def scored(session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(TimeShare, "allows_another", True)
    session.validation_rows = [question(n) for n in range(40, 46)]
    session.config = tiny_config(evaluation=OFTEN)
    return session


def scores(recorded: Recorded) -> list[dict[str, Any]]:
    return [event.data for event in recorded.of("evaluation", "training")]


def steps(recorded: Recorded) -> list[int | None]:
    return [event.step for event in recorded.of("evaluation", "training")]


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "adapter_model.safetensors")


def given_scores(monkeypatch: pytest.MonkeyPatch, *values: float | None, name: str = "mean_reward") -> None:
    """Scores as written here, whatever the model answers."""
    left = list(values)
    measure = validation.Score.measure

    def told(self: Any, *args: Any) -> dict[str, Any]:
        return {**measure(self, *args), name: left.pop(0)}

    monkeypatch.setattr(validation.Score, "measure", told)


def test_the_score_comes_every_so_many_steps_as_event_and_in_the_steps_metrics(scored: Session) -> None:
    scored.config = tiny_config(evaluation={**OFTEN, "eval_steps": 2})
    _, recorded = scored.run()

    assert steps(recorded) == [2, 4]
    first = scores(recorded)[0]
    assert first["label"] == "validation"
    assert (first["metric"], first["best"], first["best_step"], first["without_gain"]) == ("reward", True, 2, 0)
    assert first["score"] == first["summary"]["mean_reward"] == first["best_score"]
    assert first["low"] <= first["score"] <= first["high"]
    rows = {event.step: event.data for event in recorded.of("metrics", "training")}
    assert [step for step, row in rows.items() if "eval_reward" in row] == [2, 4]
    assert rows[2]["eval_reward"] == first["score"]
    assert rows[2]["eval_accuracy"] == first["summary"]["accuracy"]


def test_a_score_asks_as_many_questions_as_it_is_told(scored: Session) -> None:
    scored.config = tiny_config(evaluation={**OFTEN, "eval_steps": 4, "eval_samples": 3})
    _, recorded = scored.run()
    assert scores(recorded)[0]["summary"]["questions"] == 3


def test_without_a_number_of_steps_nothing_is_scored(scored: Session) -> None:
    scored.config = tiny_config(evaluation={**OFTEN, "eval_steps": None})
    assert scores(scored.run()[1]) == []


def test_a_dataset_without_a_validation_part_is_told_and_trains(scored: Session) -> None:
    scored.validation_rows = []
    outcome, recorded = scored.run()
    assert outcome.status == "completed"
    assert any("no validation part" in event.data["message"] for event in recorded.of("log"))
    assert scores(recorded) == []


def test_a_run_with_scores_learns_what_it_learns_without(scored: Session) -> None:
    _, recorded = scored.run()
    without = Session(scored.folder.parent / "without", scored.model_folder)
    _, plain = without.run()
    assert recorded.curve("loss") == plain.curve("loss")
    mine, theirs = weights(scored.folder / "adapter"), weights(without.folder / "adapter")
    assert all((mine[name] == theirs[name]).all() for name in mine)


def test_the_score_is_that_of_the_adapter_as_it_is_after_the_step(scored: Session) -> None:
    scored.config = tiny_config(evaluation={**OFTEN, "enabled": True, "max_samples": 4}, training={"max_steps": 3})
    scored.held_out_rows = scored.validation_rows[:4]
    outcome, recorded = scored.run()
    assert scores(recorded)[-1]["summary"]["mean_reward"] == outcome.scores["adapter"]["mean_reward"]


def test_patience_ends_the_training_and_the_session_goes_on_to_its_end(
    scored: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_scores(monkeypatch, 0.5, 0.4, 0.5, 0.9)
    scored.config = tiny_config(evaluation={**OFTEN, "early_stopping_patience": 2}, training={"max_steps": 8})
    outcome, recorded = scored.run()

    assert outcome.status == "completed"
    assert outcome.adapter is not None
    assert max(recorded.curve("loss")) == 3
    assert scores(recorded)[-1]["without_gain"] == 2
    assert any("Stopped early at step 3" in event.data["message"] for event in recorded.of("log"))


def test_a_gain_below_the_threshold_is_none(scored: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    given_scores(monkeypatch, 0.5, 0.55, 0.59, 0.9)
    own = {"early_stopping_patience": 2, "early_stopping_threshold": 0.1}
    scored.config = tiny_config(evaluation={**OFTEN, **own}, training={"max_steps": 8})
    assert steps(scored.run()[1]) == [1, 2, 3]


def test_accuracy_can_be_what_counts(scored: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    given_scores(monkeypatch, 0.5, 0.25, 0.75, 0.5, name="accuracy")
    scored.config = tiny_config(evaluation={**OFTEN, "metric_for_best_model": "accuracy"})
    found = scores(scored.run()[1])
    assert [each["score"] for each in found] == [0.5, 0.25, 0.75, 0.5]
    assert [each["best_step"] for each in found] == [1, 1, 3, 3]


def test_scores_that_can_not_be_judged_neither_count_nor_stop(scored: Session) -> None:
    scored.composition = composition("share_of_e")
    own = {"metric_for_best_model": "accuracy", "early_stopping_patience": 1}
    scored.config = tiny_config(evaluation={**OFTEN, **own})
    found = scores(scored.run()[1])
    assert [each["score"] for each in found] == [None] * 4


def test_the_best_adapter_is_the_result_where_that_is_wanted(scored: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    given_scores(monkeypatch, 0.1, 0.9, 0.3, 0.2)
    scored.config = tiny_config(
        evaluation={**OFTEN, "load_best_model_at_end": True},
        training={"save_steps": 1, "save_total_limit": 9},
        grpo={"kl_penalty": 0.05},
    )
    scored.run()
    assert damage(scored.folder / BEST) is None
    result = weights(scored.folder / "adapter")
    second, last = (weights(scored.folder / "checkpoints" / f"training-0000000{step}") for step in (2, 4))
    assert all((result[name] == second[name]).all() for name in result)
    assert any((result[name] != last[name]).any() for name in result)


def test_a_resumed_session_remembers_its_scores_and_its_patience(
    scored: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Patience for so many steps that the stop is seen long before it is over, however quick they are.
    patience = 20
    given_scores(monkeypatch, *(0.5 - 0.01 * lower for lower in range(patience + 1)))
    scored.config = tiny_config(evaluation={**OFTEN, "early_stopping_patience": patience}, training={"max_steps": 40})
    stopped, first = scored.run(stop=lambda recorded: len(scores(recorded)) >= 2)
    resumed, second = scored.run(resume=True)
    assert (stopped.status, resumed.status) == ("stopped", "completed")
    assert scores(second)[-1]["best_step"] == 1
    assert len(scores(first)) + len(scores(second)) == patience + 1


def test_what_was_scored_after_the_step_that_is_gone_back_to_is_forgotten(tmp_path: Path) -> None:
    history = History(tmp_path / "validation.json", 0.0)
    assert [history.add(step, score) for step, score in ((1, 0.2), (2, 0.1), (3, 0.9))] == [True, False, True]
    again = History.read(tmp_path / "validation.json", 0.0, 2)
    assert (again.scores, again.best_step, again.without_gain) == ({1: 0.2, 2: 0.1}, 1, 1)
    assert json.loads((tmp_path / "validation.json").read_text()) == {"1": 0.2, "2": 0.1, "3": 0.9}


def test_a_stop_does_not_wait_for_a_score(scored: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any) -> Any:
        raise StopRequested

    complete = Generator.complete
    monkeypatch.setattr(
        Generator, "complete", lambda self, *a: stopped() if a[2].temperature == 0 else complete(self, *a)
    )
    outcome, recorded = scored.run()
    assert outcome.status == "stopped"
    assert recorded.of("checkpoint")[-1].step == 1


def test_scores_take_no_more_than_their_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    bound = TimeShare(0.1, began=0.0)
    assert bound.allows_another
    now[0] = 60.0
    bound.took(20.0)
    assert not bound.allows_another
    now[0] = 399.0
    assert not bound.allows_another
    now[0] = 400.0
    assert bound.allows_another


def test_a_score_that_would_take_too_long_waits_and_that_is_said_once(session: Session) -> None:
    session.validation_rows = [question(n) for n in range(40, 46)]
    session.config = tiny_config(evaluation={**OFTEN, "max_time_share": 1e-9})
    _, recorded = session.run()
    assert steps(recorded) == [1]
    assert sum("the validation score waits" in event.data["message"] for event in recorded.of("log")) == 1
