from __future__ import annotations

from typing import Any

import pytest

from tests.engine.conftest import Row, Session, question, tiny_config
from training.engine.prompting import encode, messages, prompt_text, render, target_text
from training.engine.sft import IGNORED, example, tokenised, warm_up_rows
from training.schema import PromptSection

SECTION = PromptSection(system_prompt="Answer between {solution_start} and {solution_end}.")


def test_the_system_prompt_has_its_markers_filled_in() -> None:
    assert messages(SECTION, "2 + 2?") == [
        {"role": "system", "content": "Answer between <SOLUTION> and </SOLUTION>."},
        {"role": "user", "content": "2 + 2?"},
    ]


@pytest.mark.parametrize("section", [PromptSection(system_prompt=""), SECTION])
def test_without_a_system_prompt_there_is_no_system_message(section: PromptSection) -> None:
    found = messages(section, "2 + 2?", system=bool(not section.system_prompt))
    assert [turn["role"] for turn in found] == ["user"]


def test_the_chat_template_is_used_and_ends_where_the_answer_begins(tokenizer: Any) -> None:
    assert render(tokenizer, messages(SECTION, "2 + 2?")) == (
        "<|system|>Answer between <SOLUTION> and </SOLUTION>.<|end|><|user|>2 + 2?<|end|><|assistant|>"
    )


class Without:
    """The tokenizer of a base model."""

    chat_template = None


def test_a_tokenizer_without_template_gets_a_plain_layout() -> None:
    tokenizer: Any = Without()
    assert render(tokenizer, messages(SECTION, "2 + 2?")) == (
        "Answer between <SOLUTION> and </SOLUTION>.\n\nQuestion: 2 + 2?\n\nAnswer:"
    )


class Stubborn:
    """A template that refuses system messages, as Gemma's does."""

    chat_template = "something"

    def apply_chat_template(self, conversation: list[dict[str, str]], **_: Any) -> str:
        if conversation[0]["role"] == "system":
            raise ValueError("System role not supported")
        return "|".join(turn["content"] for turn in conversation)


def test_a_template_without_system_role_gets_the_system_prompt_in_the_question() -> None:
    tokenizer: Any = Stubborn()
    assert render(tokenizer, messages(PromptSection(system_prompt="Be short."), "2 + 2?")) == "Be short.\n\n2 + 2?"


def test_a_templates_other_errors_are_not_swallowed() -> None:
    class Broken(Stubborn):
        def apply_chat_template(self, conversation: list[dict[str, str]], **_: Any) -> str:
            raise ValueError("no such filter")

    tokenizer: Any = Broken()
    with pytest.raises(ValueError, match="no such filter"):
        render(tokenizer, messages(SECTION, "2 + 2?"))


def test_the_warm_up_teaches_working_and_answer_between_their_markers() -> None:
    row = Row(1, "2 + 2?", "2 + 2 is 4. #### 4", "2 + 2 is 4.", "4")
    assert target_text(SECTION, row) == ("<start_working_out>2 + 2 is 4.<end_working_out>\n<SOLUTION>4</SOLUTION>")
    assert target_text(SECTION, question(3)) == "<SOLUTION>6</SOLUTION>"


def test_only_the_answer_and_its_end_are_learned(tokenizer: Any) -> None:
    config = tiny_config()
    found = example(tokenizer, config, question(3))
    learned = [token for token, label in zip(found["input_ids"], found["labels"], strict=True) if label != IGNORED]

    assert tokenizer.decode(learned) == "<SOLUTION>6</SOLUTION><|end|>"
    assert [label for label in found["labels"] if label != IGNORED] == learned


def test_warm_up_grpo_and_evaluation_read_the_same_prompt_tokens(session: Session, tokenizer: Any) -> None:
    config = tiny_config(evaluation={"enabled": True}, training={"max_steps": 1})
    session.config = config
    session.held_out_rows = session.train_rows
    _, recorded = session.run()
    prompts = {group["question"]: group["prompt"] for e in recorded.of("rollouts") for group in e.data["groups"]}
    for row in session.train_rows:
        expected = prompt_text(tokenizer, config.prompt, row)
        learned = example(tokenizer, config, row)["input_ids"]
        assert learned[: len(encode(tokenizer, expected))] == encode(tokenizer, expected)
        assert prompts.get(row.instruction, expected) == expected


def test_warm_up_rows_are_limited_and_chosen_by_the_seed() -> None:
    rows = [question(n) for n in range(50)]
    chosen = warm_up_rows(tiny_config(pre_training={"max_samples": 10}), rows)

    assert len(chosen) == 10
    assert chosen == warm_up_rows(tiny_config(pre_training={"max_samples": 10}), rows)
    assert chosen != warm_up_rows(tiny_config(pre_training={"max_samples": 10}, training={"seed": 1}), rows)
    assert warm_up_rows(tiny_config(pre_training={"max_samples": None}), rows) == rows


def test_rows_without_an_answer_are_not_learned_from() -> None:
    assert warm_up_rows(tiny_config(), [Row(1, "2 + 2?", "")]) == []


def test_sequences_too_long_for_the_model_are_not_learned_from(tokenizer: Any) -> None:
    long = Row(1, "Why?", "word " * 300)
    assert len(tokenised(tokenizer, tiny_config(), [long, question(2)])) == 1
