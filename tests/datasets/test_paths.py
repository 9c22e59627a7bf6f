import json
from typing import Any

import pytest

from datasets_app import paths

CHAT = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "What is 1 + 1?"},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": "And 2 + 2?"},
    {"role": "assistant", "content": "4"},
]
SHAREGPT = [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Hello."}]
ROW = {
    "question": "Why?",
    "answers": json.dumps({"text": ["Saint Bernadette", "Bernadette"], "answer_start": [515, 3]}),
    "messages": json.dumps(CHAT),
    "conversations": json.dumps(SHAREGPT),
    "a.b": "flat",
    "a": json.dumps({"b": "nested", "c d": 7, "e": None}),
    "list[0]": "a name like a path",
    "number": 3,
    "nothing": None,
}


def columns(row: dict[str, Any] = ROW) -> list[dict[str, Any]]:
    def kind(value: Any) -> str:
        return "json" if str(value).startswith(("{", "[")) else "integer" if isinstance(value, int) else "text"

    return [{"name": name, "type": kind(value), "filled": 1.0} for name, value in row.items()]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("question", "Why?"),
        ("number", 3),
        ("nothing", None),
        ("answers.text[0]", "Saint Bernadette"),
        ("answers.text[1]", "Bernadette"),
        ("answers.text[-1]", "Bernadette"),
        ("answers.text[2]", None),
        ("answers.text[-3]", None),
        ("answers.answer_start[0]", 515),
        ("answers.text", ["Saint Bernadette", "Bernadette"]),
        ("messages[role=user].content", "And 2 + 2?"),
        ("messages[role=assistant].content", "4"),
        ("messages[role=tool].content", None),
        ("messages[1].content", "What is 1 + 1?"),
        ("conversations[from=gpt].value", "Hello."),
        ("a.c d", 7),
        ("a.e", None),
        ("missing", None),
        ("question.deeper", None),
        ("number[0]", None),
    ],
)
def test_a_path_names_a_cell_or_a_place_inside_one(path: str, value: Any) -> None:
    assert paths.select(ROW, path) == value


def test_an_exact_column_name_always_wins() -> None:
    assert paths.select(ROW, "a.b") == "flat"
    assert paths.select({"a": ROW["a"]}, "a.b") == "nested"
    assert paths.select(ROW, "list[0]") == "a name like a path"


def test_of_several_columns_that_begin_a_path_the_longest_wins() -> None:
    row = {"a": json.dumps({"b": {"c": "short"}}), "a.b": json.dumps({"c": "long"})}
    assert paths.select(row, "a.b.c") == "long"


@pytest.mark.parametrize(
    ("path", "is_valid"),
    [
        ("question", True),
        ("messages[role=user].content", True),
        ("messages[9].content", True),
        ("question.text", True),
        ("number.text", False),
        ("missing", False),
        ("", False),
        ("messages[", False),
        ("messages[]", False),
        ("messages..content", False),
        ("messages[role=user]content", False),
        ("messages[x]", False),
        ("answers" + ".a" * 7, False),
    ],
)
def test_a_path_that_can_not_be_is_told_without_the_rows(path: str, is_valid: bool) -> None:
    assert paths.valid(columns(), path) is is_valid


def test_what_is_offered_has_a_value_and_can_be_selected() -> None:
    offered = paths.offered(columns(), [ROW])
    assert {"answers.text[0]", "answers.answer_start[0]", "messages[role=user].content", "a.c d"} <= set(offered)
    assert "conversations[from=gpt].value" in offered
    assert "a.e" not in offered
    assert set(ROW) <= set(offered)
    for path in offered:
        assert paths.valid(columns(), path)
        assert paths.select(ROW, path) is not None or path == "nothing"


def test_nested_values_in_a_column_of_text_are_offered_too() -> None:
    """A CSV has no other way to hold them."""
    row = {"chat": json.dumps(SHAREGPT), "plain": "[not json"}
    text = [{"name": name, "type": "text", "filled": 1.0} for name in row]
    assert paths.offered(text, [row, {"chat": None, "plain": "{"}])[:3] == [
        "chat",
        "chat[from=human].from",
        "chat[from=human].value",
    ]


def test_what_most_cells_have_is_offered_first_and_endless_keys_are_not() -> None:
    rows = [{"x": json.dumps({f"key{n}": n, "text": "a"})} for n in range(200)]
    offered = paths.offered([{"name": "x", "type": "json", "filled": 1.0}], rows)
    assert offered[:2] == ["x", "x.text"]
    assert len(offered) <= paths.MAX_OFFERED + 1


def test_a_cell_nested_too_deeply_is_no_reason_to_fail() -> None:
    deep = "[" * 100_000
    assert paths.select({"x": deep}, "x[0]") is None
    assert paths.offered([{"name": "x", "type": "json", "filled": 1.0}], [{"x": deep}]) == ["x"]


def test_a_key_with_a_mark_of_the_grammar_is_left_out() -> None:
    row = {"x": json.dumps({"a.b": 1, "c[d": 2, "": 3, "fine": 4})}
    assert paths.offered([{"name": "x", "type": "json", "filled": 1.0}], [row]) == ["x", "x.fine"]
