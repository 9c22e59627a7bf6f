"""The warm-up samples answers, shows how many have the format, and ends once enough of them have."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.engine.conftest import Recorded, Row, Session, question, tiny_config
from training.engine import format_watch, loading
from training.engine.format_watch import FormatWatch, asked, has_format, markers_taught, watch_format
from training.engine.grpo import Question
from training.engine.sft import plain_forward, warm_up_rows, warm_up_trainer
from training.schema import PromptSection

MARKERS = ["<t>", "</t>", "<s>", "</s>"]
CHECKED: dict[str, Any] = {"enabled": True, "batch_size": 2, "validation_steps": 1, "validation_samples": 4}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("<t>a</t><s>1</s>", True),
        ("well <t>a</t> so <s>1</s>.", True),
        ("<s>1</s><t>a</t>", False),
        ("<t>a</t><s>1", False),
        ("<t>a</t><s>1</s><s>1</s>", False),
        ("1", False),
    ],
)
def test_the_format_is_each_marker_once_and_in_order(text: str, right: bool) -> None:
    assert has_format(text, MARKERS) is right


def test_only_markers_that_the_row_teaches_are_looked_for() -> None:
    section = PromptSection(reasoning_start="<t>", reasoning_end="</t>", solution_start="<s>", solution_end="</s>")
    assert markers_taught(section, question(1)) == ["<s>", "</s>"]
    assert markers_taught(section, replace(question(1), reasoning="I add.")) == MARKERS
    assert markers_taught(PromptSection(solution_start="", solution_end=""), question(1)) == []


def curve(recorded: Recorded) -> dict[int | None, float]:
    rows = recorded.of("metrics", "pretraining")
    return {event.step: event.data["format_rate"] for event in rows if "format_rate" in event.data}


def messages(recorded: Recorded) -> str:
    return " ".join(event.data["message"] for event in recorded.of("log"))


def found(monkeypatch: pytest.MonkeyPatch, *counts: int) -> None:
    left = list(counts)
    monkeypatch.setattr(FormatWatch, "count_right", lambda self, step: left.pop(0))


def warm_up(session: Session, **section: Any) -> Recorded:
    session.config = tiny_config(pre_training={**CHECKED, **section}, training={"max_steps": 1})
    return session.run()[1]


def test_the_share_is_measured_every_so_many_steps_and_at_the_end(session: Session) -> None:
    recorded = warm_up(session, validation_steps=2, epochs=1)
    # six rows in batches of two
    assert list(curve(recorded)) == [2, 3]
    assert set(recorded.curve("loss", "pretraining")) == {1, 2, 3}


def test_the_warm_up_ends_once_the_format_is_learned(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, 1, 3, 4)
    recorded = warm_up(session, epochs=5, min_success_rate=0.7)
    assert curve(recorded) == {1: 0.25, 2: 0.75}
    assert max(recorded.curve("loss", "pretraining")) == 2
    assert "The format is learned: 3 of 4" in messages(recorded)
    assert "ends at step 2 of 15" in messages(recorded)
    assert recorded.curve("loss", "training")


def test_a_higher_bar_is_reached_later(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, 1, 3, 4)
    assert max(warm_up(session, epochs=5, min_success_rate=1.0).curve("loss", "pretraining")) == 3


def test_it_goes_on_to_its_end_where_it_is_only_to_be_shown(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, 4, 4, 4)
    assert list(curve(warm_up(session, epochs=1, adaptive=False))) == [1, 2, 3]


def test_without_the_check_nothing_is_sampled(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch)
    recorded = warm_up(session, epochs=1, validate_format=False)
    assert curve(recorded) == {}
    assert len(recorded.curve("loss", "pretraining")) == 3


def test_further_epochs_are_only_used_while_the_format_is_not_learned(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(monkeypatch, 0, 0, 0, 0, 4)
    recorded = warm_up(session, epochs=1, max_additional_epochs=3)
    assert max(recorded.curve("loss", "pretraining")) == 5
    assert recorded.of("phase", "pretraining")[0].data["total_steps"] == 12


def test_a_format_that_was_not_learned_is_told(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, 0, 0, 1)
    recorded = warm_up(session, epochs=1)
    warnings = [event.data["message"] for event in recorded.of("log") if event.data["level"] == "warning"]
    assert any("without the format being learned: 1 of 4" in message for message in warnings)


def test_a_prompt_without_markers_has_no_format_to_look_for(session: Session) -> None:
    bare = {"system_prompt": "", "reasoning_start": "", "reasoning_end": "", "solution_start": "", "solution_end": ""}
    session.config = tiny_config(prompt=bare, pre_training=CHECKED, training={"max_steps": 1})
    assert curve(session.run()[1]) == {}


def test_the_questions_are_chosen_by_the_seed_and_first_among_those_not_learned() -> None:
    questions = [Question(question(n), "") for n in range(9)]
    config = tiny_config(pre_training={"max_samples": 5, "validation_samples": 4})
    learned = {row.row for row in warm_up_rows(config, [each.row for each in questions])}
    chosen = [each.row.row for each in asked(config, questions)]
    assert len(chosen) == 4
    assert learned.isdisjoint(chosen)
    assert chosen == [each.row.row for each in asked(config, questions)]
    assert len(asked(tiny_config(pre_training={"validation_samples": 50}), questions)) == 9


def test_checks_leave_the_warm_up_as_it_would_be_without(session: Session) -> None:
    checked = warm_up(session, epochs=2, adaptive=False).curve("loss", "pretraining")
    plain = Session(session.folder.parent / "plain", session.model_folder)
    assert warm_up(plain, epochs=2, validate_format=False).curve("loss", "pretraining") == checked


def decided(model_folder: Path, folder: Path) -> Path:
    """A tiny model that can be sure of a token: with its usual head it gives no token more than a few per cent."""
    shutil.copytree(model_folder, folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.lm_head.weight.data.mul_(15)
    model.save_pretrained(folder)
    return folder


def test_a_model_really_learns_the_format_and_the_warm_up_then_ends(session: Session, tmp_path: Path) -> None:
    session.model_folder = decided(session.model_folder, tmp_path / "decided")
    rows = [Row(n, f"What is {n}?", "1", "", "1") for n in range(8)]
    session.train_rows = rows
    session.config = tiny_config(
        model={"lora_rank": 16, "lora_alpha": 32},
        pre_training={**CHECKED, "batch_size": 8, "epochs": 100, "learning_rate": 0.005, "validation_steps": 10},
        training={"max_steps": 1, "max_new_tokens": 24},
    )
    recorded = session.run()[1]
    rates = list(curve(recorded).values())
    assert rates[0] < 0.9 <= rates[-1]
    assert max(recorded.curve("loss", "pretraining")) < 100
    assert "The format is learned" in messages(recorded)


def test_while_answers_are_sampled_the_model_has_its_own_forward(session: Session) -> None:
    config = tiny_config(pre_training=CHECKED)
    model, tokenizer = loading.load_model(str(session.model_folder), config)
    model = loading.add_adapter(model, config)
    warm_up_trainer(model, tokenizer, config, session.train_rows, session.folder)
    patched = vars(model.get_base_model())["forward"]
    with plain_forward(model):
        assert model(torch.arange(5)[None]).logits is not None
    assert vars(model.get_base_model())["forward"] is patched


def test_answers_get_room_for_the_longest_that_is_learned_and_little_more(session: Session) -> None:
    config = tiny_config(pre_training=CHECKED, training={"max_new_tokens": 100})
    model, tokenizer = loading.load_model(str(session.model_folder), config)
    rows = [question(1), replace(question(2), reference="21 " * 9)]
    trainer = warm_up_trainer(loading.add_adapter(model, config), tokenizer, config, rows, session.folder)
    watch = FormatWatch(trainer, config, [Question(row, "x") for row in rows])
    longest = max(sum(label >= 0 for label in row["labels"]) for row in trainer.train_dataset)
    assert watch.sampling.max_new_tokens == longest + format_watch.SLACK_TOKENS < 100
    assert watch.room(tiny_config(training={"max_new_tokens": 5})) == 5
    assert watch_format(trainer, config, []) is None
