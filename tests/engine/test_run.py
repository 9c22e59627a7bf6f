"""A whole session on the real TRL trainers with a tiny model."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.engine.conftest import SEEN, Row, Session, composition, question, tiny_config
from training.engine.files import damage
from training.engine.problems import EngineError

ROOT = Path(__file__).resolve().parents[2]


def test_the_engine_never_imports_django() -> None:
    code = (
        "import sys, pkgutil, importlib, training.engine as e\n"
        "for m in pkgutil.iter_modules(e.__path__):\n"
        "    if m.name != 'merging': importlib.import_module('training.engine.' + m.name)\n"
        "assert 'torch' in sys.modules and 'trl' in sys.modules\n"
        "sys.exit('django' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_naming_a_run_needs_no_torch() -> None:
    code = "import sys, training.engine.run; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.fixture
def complete(session: Session) -> Session:
    session.config = tiny_config(pre_training={"enabled": True}, evaluation={"enabled": True})
    return session


def test_a_whole_session_goes_through_its_phases_in_order_and_leaves_an_adapter(complete: Session) -> None:
    outcome, recorded = complete.run()

    statuses = list(dict.fromkeys(event.data["status"] for event in recorded.of("phase")))
    assert statuses == ["starting", "pretraining", "training", "finishing"]
    assert outcome.status == "completed"
    assert outcome.adapter == complete.folder / "adapter"
    assert damage(outcome.adapter) is None
    assert set(outcome.scores) == {"base", "adapter"}
    assert recorded.events[0].data["mode"] == "No GPU detected - running in CPU mode"
    messages = [event.data["message"] for event in recorded.of("log")]
    assert "Unsloth optimizations: DISABLED (requires CUDA)" in messages
    assert any("paged_adamw_32bit needs CUDA: adamw_torch" in message for message in messages)


def test_every_event_is_plain_json_without_nan(complete: Session) -> None:
    _, recorded = complete.run()

    for event in recorded.events:
        json.dumps(event.data, allow_nan=False)
    assert {event.kind for event in recorded.events} == {
        "phase",
        "metrics",
        "rollouts",
        "evaluation",
        "checkpoint",
        "log",
    }


def test_each_step_has_one_row_of_metrics_under_trls_keys(complete: Session) -> None:
    _, recorded = complete.run()

    assert [event.step for event in recorded.of("metrics", "training")] == [1, 2, 3, 4]
    last = recorded.of("metrics", "training")[-1].data
    expected = {
        "loss",
        "reward",
        "reward_std",
        "grad_norm",
        "learning_rate",
        "completions/mean_length",
        "completions/min_length",
        "completions/max_length",
        "completions/clipped_ratio",
        "clip_ratio/region_mean",
        "frac_reward_zero_std",
        "entropy",
        "rewards/share_of_e/mean",
        "rewards/even_length/std",
        "accuracy",
        "seconds_left",
    }
    assert expected <= set(last)
    assert last["seconds_left"] >= 0
    assert math.isclose(
        last["reward"], last["rewards/share_of_e/mean"] + last["rewards/even_length/mean"], abs_tol=1e-5
    )


def test_the_warm_up_reports_its_loss_in_its_own_phase(complete: Session) -> None:
    _, recorded = complete.run()

    losses = list(recorded.curve("loss", "pretraining").values())
    # six rows in batches of four
    assert len(losses) == 2
    assert all(loss > 0 for loss in losses)


def test_rollouts_hold_every_answer_of_a_step_with_its_reward_and_advantage(complete: Session) -> None:
    _, recorded = complete.run()

    rollouts = recorded.of("rollouts")
    assert [event.step for event in rollouts] == [1, 2, 3, 4]
    for event, metrics in zip(rollouts, recorded.of("metrics", "training"), strict=True):
        groups = event.data["groups"]
        assert len(groups) == 2
        assert [len(group["completions"]) for group in groups] == [4, 4]
        totals = [c["total"] for group in groups for c in group["completions"]]
        assert math.isclose(sum(totals) / 8, metrics.data["reward"], abs_tol=1e-5)
        for group in groups:
            assert group["question"] in group["prompt"]
            assert math.isclose(sum(c["advantage"] for c in group["completions"]), 0, abs_tol=1e-3)
            for c in group["completions"]:
                assert c["parts"].keys() == {"share_of_e", "even_length"}
                assert math.isclose(c["total"], sum(c["parts"].values()), abs_tol=1e-6)
                assert 1 <= c["length"] <= 8
                assert c["cut_off"] is (c["length"] == 8) or not c["cut_off"]


def test_training_changes_the_adapter_and_grpo_goes_on_from_the_warm_up(complete: Session) -> None:
    outcome, _ = complete.run()

    warm = load_file(complete.folder / "warm_up" / "adapter_model.safetensors")
    final = load_file(complete.folder / "adapter" / "adapter_model.safetensors")
    ups = [name for name in warm if "lora_B" in name]
    assert ups
    assert all(warm[name].abs().sum() > 0 for name in ups)
    assert any((warm[name] - final[name]).abs().max() > 1e-4 for name in ups)
    assert outcome.adapter is not None


def test_grpo_raises_a_reward_that_can_be_raised(session: Session) -> None:
    session.config = tiny_config(training={"max_steps": 60, "num_epochs": 50, "save_steps": 100, "learning_rate": 2e-2})
    session.composition = composition("share_of_letters")
    _, recorded = session.run()

    rewards = list(recorded.curve("reward").values())
    assert sum(rewards[-5:]) > 1.3 * sum(rewards[:5])


def test_a_step_cap_and_epochs_decide_the_number_of_steps(session: Session) -> None:
    session.config = tiny_config(training={"max_steps": None, "num_epochs": 2})
    _, recorded = session.run()

    # six rows, two a step, two epochs
    assert recorded.step == 6
    assert recorded.of("phase", "training")[0].data["total_steps"] == 6


def test_the_reward_gets_reference_columns_markers_and_length(session: Session) -> None:
    session.composition = composition("remembers")
    session.config = tiny_config(training={"max_steps": 1})
    session.run()

    rows = {row.instruction: row for row in session.train_rows}
    assert len(SEEN) == 8
    for sample in SEEN:
        row = rows[sample.instruction]
        assert (sample.reference, sample.columns) == (row.reference, row.columns)
        assert sample.markers.solution_start == "<SOLUTION>"
        assert sample.tokens is not None
        assert 1 <= sample.tokens <= 8


def test_rows_with_prompts_too_long_are_left_out_and_counted(session: Session) -> None:
    session.train_rows = [*session.train_rows, Row(99, "word " * 300, "1", "", "1")]
    _, recorded = session.run()

    assert any("1 of 7 training rows are left out" in event.data["message"] for event in recorded.of("log"))
    asked = {group["question"] for event in recorded.of("rollouts") for group in event.data["groups"]}
    assert not any(text.startswith("word word") for text in asked)


def test_a_dataset_with_only_long_rows_is_an_error_that_says_what_to_do(session: Session) -> None:
    session.train_rows = [Row(1, "word " * 300, "1", "", "1")]

    with pytest.raises(EngineError, match="every prompt is longer") as caught:
        session.run()
    assert "max_sequence_length" in caught.value.hint


def test_too_few_rows_for_a_step_are_an_error_and_not_a_silent_nothing(session: Session) -> None:
    session.train_rows = [question(1)]

    with pytest.raises(EngineError, match="1 usable rows, but a step needs 2"):
        session.run()


def test_absurdly_long_texts_are_cut_with_their_length(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.engine.grpo.LONGEST_TEXT", 5)
    _, recorded = session.run()

    answers = [c for event in recorded.of("rollouts") for group in event.data["groups"] for c in group["completions"]]
    cut = [answer for answer in answers if "characters" in answer]
    assert cut
    assert all(len(answer["text"]) == 5 < answer["characters"] for answer in cut)
    assert all(len(answer["text"]) <= 5 for answer in answers)


def test_a_stopped_run_has_told_the_answers_of_every_step_it_did(session: Session) -> None:
    """Which of them stay is the recorder's choice, so no step is lost however a run ends."""
    session.config = tiny_config(training={"max_steps": 40})
    outcome, recorded = session.run(stop=lambda recorded: recorded.step >= 6)

    assert outcome.status == "stopped"
    assert [event.step for event in recorded.of("rollouts")][:6] == [1, 2, 3, 4, 5, 6]


def test_a_rollouts_event_holds_a_long_question_once_for_all_its_answers(session: Session) -> None:
    long = Row(3, "Tell me. " + "x" * 5000, "1", "", "1")
    session.train_rows = [long, question(1)]
    session.config = tiny_config(
        training={
            "max_steps": 1,
            "batch_size": 128,
            "max_new_tokens": 64,
            "max_sequence_length": 20_000,
        },
        grpo={"num_generations": 64},
    )
    _, recorded = session.run()

    told = recorded.of("rollouts")[0].data
    assert [len(group["completions"]) for group in told["groups"]] == [64, 64]
    # As it was asked, and within the whole prompt.
    assert json.dumps(told).count("x" * 5000) == 2


def test_a_group_of_equal_rewards_teaches_nothing_whatever_the_reward_is(session: Session) -> None:
    """0.2 is no number of float32: eight of them have a mean that is another one."""
    session.composition = composition("a_fifth")
    session.config = tiny_config(training={"batch_size": 16}, grpo={"num_generations": 8, "kl_penalty": 0.0})
    _, recorded = session.run()

    assert set(recorded.curve("frac_reward_zero_std").values()) == {1.0}
    assert set(recorded.curve("grad_norm").values()) == {0.0}
    answers = [c for event in recorded.of("rollouts") for group in event.data["groups"] for c in group["completions"]]
    assert {(c["total"], c["advantage"]) for c in answers} == {(0.2, 0.0)}


@pytest.mark.parametrize("kl", [0.0, 0.04])
def test_an_answer_that_cannot_be_judged_is_no_zero(session: Session, kl: float) -> None:
    session.composition = composition("fails_on_odd_length")
    session.config = tiny_config(grpo={"kl_penalty": kl})
    _, recorded = session.run()

    completions = [
        c for event in recorded.of("rollouts") for group in event.data["groups"] for c in group["completions"]
    ]
    failed = [c for c in completions if c["total"] is None]
    judged = [c for c in completions if c["total"] is not None]
    assert failed
    assert judged
    assert all(c["advantage"] is None and c["errors"] and c["parts"] == {"fails_on_odd_length": None} for c in failed)
    assert any("could not be judged" in event.data["message"] for event in recorded.of("log"))
    for event, metrics in zip(recorded.of("rollouts"), recorded.of("metrics"), strict=True):
        totals = [c["total"] for g in event.data["groups"] for c in g["completions"] if c["total"] is not None]
        if totals:
            assert math.isclose(metrics.data["reward"], sum(totals) / len(totals), abs_tol=1e-5)


def test_a_reward_that_always_fails_trains_nothing_not_even_through_the_kl_term(session: Session) -> None:
    session.composition = composition("always_fails")
    session.config = tiny_config(
        grpo={"kl_penalty": 0.5}, training={"weight_decay": 0.0}, pre_training={"enabled": True, "learning_rate": 1e-2}
    )
    _, recorded = session.run()

    assert set(recorded.curve("grad_norm").values()) == {0.0}
    assert set(recorded.curve("reward").values()) == {None}
    before = load_file(session.folder / "warm_up" / "adapter_model.safetensors")
    after = load_file(session.folder / "adapter" / "adapter_model.safetensors")
    assert all((before[name] == after[name]).all() for name in before)
