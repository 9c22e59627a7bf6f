import json
from pathlib import Path
from typing import Any

import pytest

from datasets_app.columns import detect, detect_rule, guess_rule
from datasets_app.rules import RULES
from tests.datasets.conftest import GSM8K


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
        ("boxed", r"So $x = \boxed{\frac{1}{2}}$.", ("So $x =", r"\frac{1}{2}")),
        ("boxed", r"\boxed{1} and then \boxed{ 2 }", (r"\boxed{1} and then", "2")),
        ("boxed", r"\fbox{7}", ("", "7")),
        ("boxed", r"\boxed{\{1, 2\}}", ("", r"\{1, 2\}")),
        ("boxed", r"first \boxed{3}, cut off \boxed{4", ("first", "3")),
        ("boxed", r"\boxed{}", ("", "")),
        ("boxed", "no box", ("", "")),
        ("choice_letter", "B", ("", "B")),
        ("choice_letter", "(B) Paris", ("", "B")),
        ("choice_letter", "C. Rome", ("", "C")),
        ("choice_letter", "It is old. The answer is (D).", ("It is old. The", "D")),
        ("choice_letter", "Answer: A\nNo. Answer: **C**", ("Answer: A\nNo.", "C")),
        ("choice_letter", "A cat sat on the mat", ("", "")),
        ("choice_letter", "the answer is a cat", ("", "")),
    ],
)
def test_a_rule_splits_an_answer_into_reasoning_and_reference(rule: str, text: str, expected: tuple[str, str]) -> None:
    assert RULES[rule].apply(text) == expected


def test_every_rule_explains_itself_to_people() -> None:
    for name, rule in RULES.items():
        assert rule.name == name
        assert rule.label
        assert rule.help.endswith(".")


def chats(name: str = "messages", roles: tuple[str, str, str, str] = ("role", "content", "user", "assistant")) -> Any:
    said_by, said, asks, answers = roles
    cells = [
        json.dumps([{said_by: asks, said: f"Why {n}?"}, {said_by: answers, said: f"Because {n}."}]) for n in range(20)
    ]
    return [{"name": name, "type": "json", "filled": 1.0}], [{name: cell} for cell in cells]


@pytest.mark.parametrize(
    ("name", "roles", "question", "answer"),
    [
        (
            "messages",
            ("role", "content", "user", "assistant"),
            "messages[role=user].content",
            "messages[role=assistant].content",
        ),
        (
            "conversations",
            ("from", "value", "human", "gpt"),
            "conversations[from=human].value",
            "conversations[from=gpt].value",
        ),
        (
            "anything",
            ("role", "content", "user", "model"),
            "anything[role=user].content",
            "anything[role=model].content",
        ),
    ],
)
def test_chats_are_told_by_who_speaks_in_them(
    name: str, roles: tuple[str, str, str, str], question: str, answer: str
) -> None:
    found = detect(*chats(name, roles))
    assert (found["instruction"].column, found["response"].column) == (question, answer)
    assert found["instruction"].confidence > 0.9
    assert "last message of the user" in found["instruction"].because


def test_question_and_answer_columns_win_over_a_chat_beside_them() -> None:
    kinds, rows = chats()
    plain = [{"question": f"{n}?", "answer": str(n), **row} for n, row in enumerate(rows)]
    found = detect([*columns("question", "answer"), *kinds], plain)
    assert (found["instruction"].column, found["response"].column) == ("question", "answer")


def test_a_nested_answer_is_mapped_to_its_text_and_not_to_its_place() -> None:
    """SQuAD."""
    cell = json.dumps({"answer_start": [515], "text": ["Saint Bernadette Soubirous"]})
    rows = [{"id": n, "context": "A long text.", "question": f"Who {n}?", "answers": cell} for n in range(10)]
    kinds = [*columns("id", "context", "question"), {"name": "answers", "type": "json", "filled": 1.0}]
    found = detect(kinds, rows)
    assert {role: guess.column for role, guess in found.items()} == {
        "instruction": "question",
        "input": "context",
        "response": "answers.text[0]",
    }


def test_a_nested_answer_that_is_often_empty_is_less_sure() -> None:
    def guess(empty: int) -> float:
        cells = [json.dumps({"text": [] if n < empty else ["yes"]}) for n in range(10)]
        rows = [{"question": f"{n}?", "answers": cell} for n, cell in enumerate(cells)]
        found = detect([*columns("question"), {"name": "answers", "type": "json", "filled": 1.0}], rows)
        return found["response"].confidence

    assert guess(5) < guess(0)


def test_alpaca_s_input_is_told_although_most_of_it_is_empty() -> None:
    rows = [{"instruction": f"Do {n}.", "input": "" if n % 3 else "this", "output": "Done."} for n in range(30)]
    kinds = [*columns("instruction", "output"), *columns("input", filled=0.34)]
    found = detect(kinds, rows)
    assert found["input"].column == "input"
    assert found["input"].confidence > 0.9


def test_an_input_column_without_any_input_is_not_proposed() -> None:
    rows = [{"instruction": f"Do {n}.", "input": "", "output": "Done."} for n in range(30)]
    assert detect(columns("instruction", "input", "output"), rows)["input"].column == ""


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        ([rf"Thus $\boxed{{{n}}}$." for n in range(20)], "boxed"),
        ([f"We add them up. The answer is {n}." for n in range(20)], "last_number"),
        ([f"{n}" for n in range(20)], "whole"),
        ([f"The answer is ({letter})" for letter in "ABCD" * 5], "choice_letter"),
        (list("ABCD" * 5), "whole"),
        ([f"Take {n} eggs and beat them well." for n in range(20)], "whole"),
        (["The answer is (B)"] * 20, "whole"),
    ],
)
def test_a_rule_is_proposed_for_the_notation_of_most_answers(cells: list[str], rule: str) -> None:
    assert detect_rule(cells) == rule


def test_a_proposed_rule_says_in_how_many_answers_it_finds_something() -> None:
    guess = guess_rule(["so #### 5"] * 8 + ["no mark"] * 2 + [""] * 10)
    assert (guess.name, guess.share) == ("after_hashes", 0.8)


@pytest.mark.skipif(not GSM8K.exists(), reason="needs GSM8K")
def test_gsm8k_s_own_rows_are_told() -> None:
    rows = [json.loads(line) for line in GSM8K.read_text().splitlines()[:200]]
    found = detect(columns("question", "answer"), rows)
    assert (found["instruction"].column, found["response"].column) == ("question", "answer")
    assert guess_rule([row["answer"] for row in rows]).share == 1


CODE_ALPACA: Path = GSM8K.parents[1] / "codealpaca" / "code_alpaca_2k.json"


@pytest.mark.skipif(not CODE_ALPACA.exists(), reason="needs GSM8K and Code Alpaca")
def test_code_alpaca_s_own_rows_are_told() -> None:
    rows = json.loads(CODE_ALPACA.read_text())[:200]
    found = detect(columns("instruction", "input", "output"), rows)
    assert [found[role].column for role in ("instruction", "input", "response")] == ["instruction", "input", "output"]
    assert detect_rule([row["output"] for row in rows]) == "whole"
