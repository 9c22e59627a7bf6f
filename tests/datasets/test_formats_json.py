"""One JSON document: a list of rows, or an object with one in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from datasets_app.readers import document, streams
from tests.datasets.storing import problem, stored

ROWS = [{"q": "Wie groß?", "n": 1, "tags": ["a", {"b": None}]}, {"q": 'a "b" \\ \n', "n": 2.5, "tags": []}]
READ = [{"q": "Wie groß?", "n": 1.0, "tags": '["a",{"b":null}]'}, {"q": 'a "b" \\ \n', "n": 2.5, "tags": "[]"}]


@pytest.fixture(params=[1, 3, 17, 1_000_000])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value may be torn at any byte."""
    monkeypatch.setattr(streams, "CHUNK", request.param)
    monkeypatch.setattr(document, "CHUNK", request.param)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, ensure_ascii=False, indent=2),
        json.dumps({"data": ROWS}),
        json.dumps({"rows": ROWS}, indent=1),
        json.dumps({"version": {"a": [1]}, "data": ROWS, "count": 12345678}, indent=1),
        " \n\n" + json.dumps(ROWS) + "\n \n",
    ],
)
@pytest.mark.parametrize("name", ["x.json", "x.txt", ""])
def test_a_document_is_read_row_by_row(tmp_path: Path, raw: str, name: str) -> None:
    found = stored(tmp_path, raw.encode(), name)
    assert found.rows == READ
    assert (found.source["format"], found.source["unit"]) == ("json", "row")


def test_what_lies_beside_the_rows_is_said_to_be_left_out(tmp_path: Path) -> None:
    raw = json.dumps({"version": 1, "data": [{"a": 1}], "licence": "MIT"})
    assert stored(tmp_path, raw.encode(), "x.json").source["notes"] == [
        "The rows were taken from “data”. Left out: “version”, “licence”."
    ]


def test_the_parts_of_a_dataset_become_a_column(tmp_path: Path) -> None:
    raw = json.dumps({"train": [{"a": 1}, {"a": 2}], "test": [{"a": 3}]})
    assert stored(tmp_path, raw.encode(), "x.json").rows == [
        {"a": 1, "split": "train"},
        {"a": 2, "split": "train"},
        {"a": 3, "split": "test"},
    ]


def test_a_column_of_that_name_keeps_its_values(tmp_path: Path) -> None:
    raw = json.dumps({"train": [{"a": 1, "split": "mine"}]})
    assert stored(tmp_path, raw.encode(), "x.json").rows == [{"a": 1, "split": "mine"}]


def test_two_lists_that_are_no_parts_are_refused_rather_than_one_lost(tmp_path: Path) -> None:
    raw = json.dumps({"data": [{"a": 1}], "more": [{"a": 2}]})
    assert "more than one list of rows: “data”, “more”" in problem(tmp_path, raw.encode(), "x.json")


@pytest.mark.parametrize("value", [{}, {"question": "x", "answer": "y"}, {"q": {"0": "a"}}, {"a": [1, 2], "b": [3, 4]}])
def test_an_object_without_rows_is_explained(tmp_path: Path, value: Any) -> None:
    raw = json.dumps(value, indent=1).encode()
    assert "one object without a list of rows" in problem(tmp_path, b"\n" + raw + b"\n", "x.json") or value == {}


def test_one_object_on_one_line_is_a_row(tmp_path: Path) -> None:
    found = stored(tmp_path, b'{"messages": [{"role": "user"}], "n": 1}', "x.json")
    assert found.rows == [{"messages": '[{"role":"user"}]', "n": 1}]


def test_json_lines_are_known_whatever_the_file_is_called(tmp_path: Path) -> None:
    for name in ("x.json", "x.csv", "x.txt", "x"):
        found = stored(tmp_path, b'{"a": 1}\n{"a": 2}\n', name)
        assert (found.source["format"], found.rows) == ("jsonl", [{"a": 1}, {"a": 2}])


def test_json_lines_with_a_bad_first_line_are_still_json_lines(tmp_path: Path) -> None:
    for name in ("x.jsonl", "x.json"):
        found = stored(tmp_path, b'{"a": 1\n{"a": 2}\n{"a": 3}\n', name)
        assert found.rows == [{"a": 2}, {"a": 3}]
        assert list(found.reasons) == [1]


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("3", "Not an object: this is a number."),
        ("null", "Not an object: this is null."),
        ("{}", "An empty object."),
        ('{"a": NaN}', "Holds NaN"),
        ('{"a": 1, "a": 2}', "Has the name “a” twice"),
        ('{"a": "\\u0000"}', "NUL"),
        ('{"a": "\\ud800"}', "half of a character"),
        ('{"a": ' + "9" * 5000 + "}", "too many digits"),
        ('{"a": ' + "[" * 80 + "]" * 80 + "}", "nested more than 64 deep"),
    ],
)
def test_a_row_that_can_not_be_used_is_rejected_and_the_others_kept(tmp_path: Path, row: str, reason: str) -> None:
    found = stored(tmp_path, f'[{{"a": "1"}}, {row}, {{"a": "2"}}]'.encode(), "x.json")
    assert [item["a"] for item in found.rows] == ["1", "2"]
    assert reason in found.reasons[2]


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ('[{"a": 1},\n{"a":', "Row 2: the file ends in the middle of it"),
        ('[{"a": 1},\n{"a": "x', "Row 2: the file ends in the middle of it"),
        ('[{"a": 1}', "After row 1: “]” is expected, and there is the end of the file. The file seems to be cut off."),
        ('{"data": [{"a": 1}]', "“}” is expected, and there is the end of the file"),
        ('{"data": [{"a": 1}', "After row 1: “]” is expected"),
        ('[{"a": 1} {"a": 2}]', "After row 1: “]” is expected, and there is “{”"),
        ('[{"a": 1}, {"a": 2,, "b": 3}]', "Row 2: not JSON, Expecting property name"),
        ('[{"a": 1}]\n[{"a": 2}]', "After the end of the document there is more"),
        ('[{"a": 1}] x', "After the end of the document there is more"),
        ('[{"a": 1},]', "Row 2: not JSON"),
        ("[", "Row 1"),
        ("[" * 10_000, "nested more than 64 deep"),
        ('[{"a": ' + "[" * 10_000 + "]" * 10_000 + "}]", "Row 1: nested more than 64 deep"),
        ("[]", "no usable row: it is empty"),
        ('{"data": []}', "no usable row: it is empty"),
    ],
)
def test_a_broken_document_is_refused_with_the_place(tmp_path: Path, raw: str, words: str) -> None:
    assert words in problem(tmp_path, raw.encode(), "x.json")


def test_the_line_of_a_fault_is_named(tmp_path: Path) -> None:
    raw = "[\n" + '{"a": 1},\n' * 5000 + '{"a": oops},\n' + '{"a": 1},\n' * 50_000 + '{"a": 1}]'
    with pytest.raises(Exception, match="Row 5\u202f001: not JSON") as caught:
        stored(tmp_path, raw.encode(), "x.json")
    assert caught.value.line == 5002  # type: ignore[attr-defined]


def test_a_row_that_never_ends_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "MAX_LINE_BYTES", 100_000)
    raw = b'[{"a": 1},\n{"a": "' + b"x" * 5_000_000 + b'"}]'
    assert "Row 2: longer than 97.7 KB" in problem(tmp_path, raw, "x.json")


def test_many_rows_keep_their_order(tmp_path: Path) -> None:
    rows = [{"n": number, "t": "x" * (number % 700)} for number in range(7000)]
    assert stored(tmp_path, json.dumps(rows).encode(), "x.json").rows == rows
