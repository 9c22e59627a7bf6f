"""A chat template of the team's own reaches everything that reads or writes a prompt, and goes with the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.engine.conftest import TEMPLATE, Session, composition, question, tiny_config
from training.engine import loading
from training.engine.merging import merge
from training.engine.prompting import prompt_text
from training.engine.sft import example

OWN = "{% for m in messages %}[{{ m.role }}: {{ m.content }}]\n{% endfor %}{{ '[answer: ' if add_generation_prompt }}"
SENT = "[system: Answer.]\n[user: {}]\n[answer: "


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> tuple[Session, Any, Any]:
    config = tiny_config(
        prompt={"chat_template": OWN},
        training={"max_steps": 1},
        pre_training={"enabled": True},
        evaluation={"enabled": True, "max_samples": 2},
    )
    session = Session(tmp_path_factory.mktemp("own-template"), model_folder, config, composition("length"))
    outcome, recorded = session.run()
    return session, outcome, recorded


def test_every_question_of_training_and_evaluation_is_asked_in_it(trained: tuple[Session, Any, Any]) -> None:
    _, outcome, recorded = trained
    assert outcome.status == "completed"
    asked = [group for event in recorded.of("rollouts") for group in event.data["groups"]]
    assert asked
    for group in asked:
        assert group["prompt"] == SENT.format(group["question"])


def test_the_warm_up_learns_in_it(trained: tuple[Session, Any, Any]) -> None:
    session, _, _ = trained
    _, tokenizer = loading.load_model(str(session.model_folder), session.config)
    found = tokenizer.decode(example(tokenizer, session.config, question(3))["input_ids"])
    assert found == SENT.format(question(3).instruction) + "<SOLUTION>6</SOLUTION><|end|>"
    assert prompt_text(tokenizer, session.config.prompt, question(3)) == SENT.format(question(3).instruction)


def test_it_is_saved_with_the_adapter_and_with_the_merged_model(
    trained: tuple[Session, Any, Any], tmp_path: Path
) -> None:
    session, outcome, _ = trained
    assert (outcome.adapter / "chat_template.jinja").read_text() == OWN
    merged = merge(str(session.model_folder), outcome.adapter, tmp_path / "merged")
    assert AutoTokenizer.from_pretrained(str(merged)).chat_template == OWN


def test_an_adapter_without_a_tokenizer_gets_it_when_it_is_merged(
    trained: tuple[Session, Any, Any], tmp_path: Path
) -> None:
    session, outcome, _ = trained
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (bare / name).write_bytes((outcome.adapter / name).read_bytes())
    merged = merge(str(session.model_folder), bare, tmp_path / "merged", chat_template=OWN)
    assert AutoTokenizer.from_pretrained(str(merged)).chat_template == OWN


def test_trying_out_uses_it(trained: tuple[Session, Any, Any]) -> None:
    session, outcome, _ = trained
    _, tokenizer = loading.load_for_generation(str(session.model_folder), outcome.adapter, OWN)
    assert prompt_text(tokenizer, session.config.prompt, question(1)) == SENT.format(question(1).instruction)


@pytest.mark.parametrize("template", ["", "  \n"])
def test_an_empty_one_leaves_the_models_own(model_folder: Path, template: str) -> None:
    _, tokenizer = loading.load_model(str(model_folder), tiny_config(prompt={"chat_template": template}))
    assert tokenizer.chat_template == TEMPLATE
