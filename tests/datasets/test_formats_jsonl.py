from pathlib import Path
from typing import Any

import pytest

from datasets_app import limits
from datasets_app.readers import exact, streams
from tests.datasets.conftest import jsonl
from tests.datasets.storing import problem, stored

GOOD = b'{"a": "good"}\n'


def only_reason(folder: Path, raw: bytes) -> str:
    found = stored(folder, GOOD + raw + b"\n")
    assert [row["a"] for row in found.rows] == ["good"]
    return found.reasons[2]


def test_each_line_becomes_a_row(tmp_path: Path) -> None:
    found = stored(tmp_path, b'{"a": 1}\n{"a": 2}\n')
    assert found.rows == [{"a": 1}, {"a": 2}]
    assert found.source["format"] == "jsonl"
    assert found.source["unit"] == "line"


def test_blank_lines_are_counted_but_no_rows(tmp_path: Path) -> None:
    found = stored(tmp_path, b'\n{"a": 1}\n  \n\n{"a": 2\n')
    assert found.rows == [{"a": 1}]
    assert list(found.reasons) == [5]


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    assert stored(tmp_path, b'\xef\xbb\xbf{"a": 1}\n').rows == [{"a": 1}]


def test_windows_line_ends_are_line_ends(tmp_path: Path) -> None:
    assert stored(tmp_path, b'{"a": "x"}\r\n{"a": "y"}\r\n').rows == [{"a": "x"}, {"a": "y"}]


def test_unicode_line_separators_inside_a_text_do_not_end_a_line(tmp_path: Path) -> None:
    text = "one\u2028two\x85three"
    assert stored(tmp_path, f'{{"a": "{text}"}}\n'.encode()).rows == [{"a": text}]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a": 1', "Not JSON"),
        (b"hello", "Not JSON"),
        (b"[1, 2]", "Not an object: this is a list."),
        (b"12", "Not an object: this is a number."),
        (b"null", "Not an object: this is null."),
        (b"true", "Not an object: this is true or false."),
        (b'"text"', "Not an object: this is a text."),
        (b"{}", "An empty object."),
        (b'{"a": 1}, {"a": 2}', "Not JSON: Extra data at character 9."),
        (b'{"a": NaN}', "Holds NaN"),
        (b'{"a": [-Infinity]}', "Holds -Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": [{"b": 1e999}]}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a": "\\u0000"}', "Column “a” holds a NUL character"),
        (b'{"a": ["\\u0000"]}', "Column “a” holds a NUL character"),
        (b'{"a\\u0000": 1}', "column name holds a NUL"),
        (b'{"a": "x\x00y"}', "Not JSON"),
        (b'{"a": "\\ud800"}', "half of a character"),
        (b'{"a": {"\\udc00": 1}}', "half of a character"),
        (b'{"a": 1, "a": 2}', "Has the name “a” twice"),
        (b'{"a": {"b": 1, "\\u0062": 1}}', "Has the name “b” twice"),
        (b'{" ": 1}', "column name"),
        (b'{"' + b"n" * 201 + b'": 1}', "column name"),
        (b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", "nested more than 64 deep."),
        (b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "Nested more than 64 deep."),
        (b"{" + b", ".join(b'"c%d": 1' % n for n in range(201)) + b"}", "201 columns: at most 200"),
    ],
)
def test_a_line_that_is_no_row_is_rejected_with_its_reason(tmp_path: Path, raw: bytes, reason: str) -> None:
    assert reason in only_reason(tmp_path, raw)


@pytest.mark.parametrize(
    "cell",
    [
        "\\u0000",
        "Infinity and NaN",
        ["\\u0000"],
        ["Infinity", "NaN"],
        2**53,
        1 - 2**63,
        0.1,
        5e-324,
        "\x7f\x1f\u2028",
        [[[1e300, -0.0, 10**40]]],
        {"deep": [[[[1]]]] * 50},
    ],
)
def test_what_looks_suspicious_but_is_fine_stays_as_it_is(tmp_path: Path, cell: Any) -> None:
    [row] = stored(tmp_path, jsonl({"a": cell})).rows
    assert (exact.quick(row["a"].encode()) if isinstance(cell, list | dict) else row["a"]) == cell


def test_the_place_of_a_json_error_is_named(tmp_path: Path) -> None:
    assert only_reason(tmp_path, b'{"a": 1,,}').endswith("at character 9.")


def test_a_damaged_byte_is_named_with_its_place_in_line_and_file(tmp_path: Path) -> None:
    found = stored(tmp_path, '{"a": "é"}\n'.encode() + b'{"a": "caf\xe9"}\n')
    assert found.rows == [{"a": "é"}]
    assert "byte 0xE9 at position 11 of the line, offset 22 of the file" in found.reasons[2]
    assert "rest of the file" in found.source["notes"][0]


def test_a_line_over_the_limit_is_rejected_and_the_next_one_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_LINE_BYTES", 100)
    found = stored(tmp_path, b'{"a": "' + b"x" * 3_000_000 + b'"}\n{"a": 1}\n')
    assert found.rows == [{"a": 1}]
    assert found.reasons == {1: "Longer than 100 bytes, the limit of a line."}
    assert len(found.rejected[0]["text"]) <= limits.REJECTED_TEXT


def test_the_text_of_a_rejected_line_can_be_stored_anywhere(tmp_path: Path) -> None:
    found = stored(tmp_path, '{"a": "é"}\n'.encode() + b"\x00\xff" + b"y" * 5000)
    text = found.rejected[0]["text"]
    assert "\x00" not in text
    assert len(text.encode().decode()) == limits.REJECTED_TEXT


def test_what_was_rejected_is_one_line_for_every_reader(tmp_path: Path) -> None:
    found = stored(tmp_path, GOOD + "x\u2028\x85y\n".encode())
    text = (found.folder / "rejected.jsonl").read_text()
    assert len(text.splitlines()) == 1
    assert found.rejected[0]["text"] == "x\u2028\x85y"


def test_a_file_of_bad_lines_names_the_first(tmp_path: Path) -> None:
    assert "all 2 lines were rejected. Line 2: An empty object" in problem(tmp_path, b"\n{}\nx\n")


def test_a_file_that_is_hopeless_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_app.storing.HOPELESS_LINES", 1000)
    monkeypatch.setattr(streams, "CHUNK", 1000)
    assert "were all rejected" in problem(tmp_path, b"bad line\n" * 1000 + GOOD)
