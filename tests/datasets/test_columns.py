from typing import Any

import pytest

from datasets_app.columns import detect, detect_rule
from datasets_app.rules import RULES


def columns(*names: str, filled: float = 1.0) -> list[dict[str, Any]]:
    return [{"name": name, "type": "text", "filled": filled} for name in names]


@pytest.mark.parametrize(
    ("names", "question", "answer"),
    [
        (("question", "answer"), "question", "answer"),
        (("answer", "question"), "question", "answer"),
        (("Instruction", "OUTPUT", "input"), "Instruction", "OUTPUT"),
        (("prompt", "completion"), "prompt", "completion"),
        (("problem", "generated_solution", "solution"), "problem", "solution"),
        (("id", "user_question", "final answer"), "user_question", "final answer"),
        (("text", "label"), "text", "label"),
        (("input", "target"), "input", "target"),
    ],
)
def test_columns_are_told_by_their_names(names: tuple[str, ...], question: str, answer: str) -> None:
    found = detect(columns(*names), [])
    assert (found["instruction"].column, found["response"].column) == (question, answer)


def test_an_equal_name_is_surer_than_a_similar_one() -> None:
    equal = detect(columns("question", "answer"), [])["instruction"]
    similar = detect(columns("my_question", "answer"), [])["instruction"]
    assert 0.9 < equal.confidence <= 1
    assert 0.5 < similar.confidence < equal.confidence
    assert "called" in equal.because
    assert "contains" in similar.because


def test_a_column_with_empty_cells_is_less_sure() -> None:
    full = detect(columns("question"), [])["instruction"].confidence
    assert detect(columns("question", filled=0.2), [])["instruction"].confidence < full


def test_columns_with_strange_names_are_told_by_their_content() -> None:
    rows = [{"x1": f"How many are {n} and two?", "x2": n + 2, "x3": "constant"} for n in range(20)]
    found = detect(columns("x3", "x2", "x1"), rows)
    assert found["instruction"].column == "x1"
    assert found["instruction"].confidence < 0.9
    assert found["response"].column in {"x2", "x3"}


def test_nothing_is_proposed_where_nothing_asks() -> None:
    rows = [{"a": n, "b": -n} for n in range(20)]
    assert detect(columns("a", "b"), rows)["instruction"].column == ""


def test_one_column_is_never_both() -> None:
    found = detect(columns("question"), [{"question": "What?"}])
    assert found["response"].column == ""


def test_the_hash_rule_is_proposed_when_most_answers_follow_it() -> None:
    assert detect_rule(["text\n#### 5"] * 6 + ["no final answer"] * 4) == "after_hashes"
    assert detect_rule(["text\n#### 5"] * 4 + ["no final answer"] * 6) == "whole"
    assert detect_rule(["#### 5", "", ""]) == "after_hashes", "empty cells have no vote"
    assert detect_rule([]) == "whole"


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("whole", " 42 ", ("", "42")),
        ("after_hashes", "6 * 7 = 42\n#### 42", ("6 * 7 = 42", "42")),
        ("after_hashes", "#### 1\nthen\n#### 1,234", ("#### 1\nthen", "1,234")),
        ("after_hashes", "no mark 42", ("", "")),
        ("after_hashes", "text ####", ("text", "")),
        ("last_number", "first 3, then 4.50.", ("first 3, then", "4.50")),
        ("last_number", "it costs $1,234, then", ("it costs $", "1,234")),
        ("last_number", "minus -7", ("minus", "-7")),
        ("last_number", "none", ("", "")),
    ],
)
def test_a_rule_splits_an_answer_into_reasoning_and_reference(rule: str, text: str, expected: tuple[str, str]) -> None:
    assert RULES[rule].apply(text) == expected


def test_every_rule_explains_itself_to_people() -> None:
    for name, rule in RULES.items():
        assert rule.name == name
        assert rule.label
        assert rule.help.endswith(".")
