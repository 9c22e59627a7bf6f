"""CSV, TSV and plain text."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from datasets_app import limits
from datasets_app.readers import streams, table
from tests.datasets.storing import problem, stored


def test_a_table_becomes_rows_with_types(tmp_path: Path) -> None:
    found = stored(tmp_path, b"q,n,f,b,e\nWhat?,1,1.5,true,\nWho?,-20,2,false,\n", "x.csv")
    assert found.rows == [
        {"q": "What?", "n": 1, "f": 1.5, "b": True, "e": None},
        {"q": "Who?", "n": -20, "f": 2.0, "b": False, "e": None},
    ]
    assert found.types == {"q": "text", "n": "integer", "f": "number", "b": "boolean", "e": "text"}
    assert (found.source["format"], found.source["delimiter"], found.source["notes"]) == ("csv", ",", [])


@pytest.mark.parametrize(
    "cells",
    [["007", "1"], ["72.50", "1.5"], ["2.0", "1.5"], ["1e5"], ["+1"], ["-0"], ["1 "], ["True"], ["9" * 20], ["nan"]],
)
def test_what_would_not_come_back_the_same_stays_text(tmp_path: Path, cells: list[str]) -> None:
    found = stored(tmp_path, ("c\n" + "".join(f"{cell}\n" for cell in cells)).encode(), "x.csv")
    assert [row["c"] for row in found.rows] == cells
    assert "mixed" not in found.report["columns"][0], "cells of CSV have no types of their own"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["x.csv", "x.tsv", ""])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str, name: str) -> None:
    rows = [["question", "answer"], ["One, two; three", "1"], ["a|b\tc", 'say "hi"'], ["line\none", "2"]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    found = stored(tmp_path, text.getvalue().encode(), name)
    assert [list(row.values()) for row in found.rows] == rows[1:]
    assert found.source["delimiter"] == delimiter


def test_quotes_escaped_by_a_backslash_are_understood(tmp_path: Path) -> None:
    found = stored(tmp_path, b'a,b\n"say \\"hi\\", you",1\n"x",2\n', "x.csv")
    assert found.rows == [{"a": 'say "hi", you', "b": 1}, {"a": "x", "b": 2}]


def test_a_cell_over_several_lines_keeps_them_and_later_rows_their_line_numbers(tmp_path: Path) -> None:
    found = stored(tmp_path, b'q,a\r\n"one\r\n\r\ntwo",1\r\nshort\r\n', "x.csv")
    assert found.rows == [{"q": "one\r\n\r\ntwo", "a": 1}]
    assert found.reasons == {5: "1 cell, but the header has 2."}


def test_ragged_rows_are_rejected_with_the_reason(tmp_path: Path) -> None:
    found = stored(tmp_path, b"a,b\n1,2\n1\n1,2,3\n1,2,,\n,\n\n3,4\n", "x.csv")
    assert found.rows == [{"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert found.reasons == {
        3: "1 cell, but the header has 2.",
        4: "3 cells, but the header has 2.",
        6: "All cells are empty.",
    }
    assert found.rejected[1]["text"] == "1,2,3"


def test_duplicated_and_missing_column_names_are_replaced_with_a_word_about_it(tmp_path: Path) -> None:
    found = stored(tmp_path, b"a,b,a,,a,a (2)\n1,2,3,4,5,6\n", "x.csv")
    [row] = found.rows
    assert list(row.values()) == [1, 2, 3, 4, 5, 6]
    assert len(set(row)) == 6
    assert "The column name “a” is used twice." in found.source["notes"][0]
    assert "Column 4 has no name. It is called “column 4”." in found.source["notes"]


@pytest.mark.parametrize("raw", [b"q,a", b"q,a\n", b"\n\nq,a\r\n\r\n"])
def test_a_header_without_rows_is_an_error_that_says_so(tmp_path: Path, raw: bytes) -> None:
    assert "under its header (q, a) there is no row" in problem(tmp_path, raw, "x.csv")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (",".join(f"c{n}" for n in range(201)), "201 columns: at most 200"),
        ("a," + "x" * 201, "Column 2 of the header"),
        ("a,\x00", "Column 2 of the header can't be used: A column name holds a NUL"),
    ],
)
def test_a_header_that_can_not_be_used_is_refused(tmp_path: Path, header: str, words: str) -> None:
    assert words in problem(tmp_path, f"{header}\n1,2\n".encode(), "x.csv")


def test_a_quote_that_is_never_closed_loses_no_line_silently(tmp_path: Path) -> None:
    found = stored(tmp_path, b'a,b\n1,x\n2,"open\n3,y\n4,z\n', "x.csv")
    assert found.rows == [{"a": 1, "b": "x"}]
    assert list(found.reasons) == [3, 4, 5]
    assert "A quote opens in line 3 and is not closed up to line 5" in found.reasons[3]


def test_a_stray_quote_is_rejected_and_the_next_line_read(tmp_path: Path) -> None:
    found = stored(tmp_path, b'a,b\n1,"x" y\n2,say "x"\n3,z\n', "x.csv")
    assert found.rows == [{"a": 2, "b": 'say "x"'}, {"a": 3, "b": "z"}]
    assert "not doubled" in found.reasons[2]


def test_a_line_over_the_limit_is_rejected_and_the_next_one_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_LINE_BYTES", 1000)
    found = stored(tmp_path, b"a,b\n1," + b"x" * 3_000_000 + b"\n2,y\n", "x.csv")
    assert found.rows == [{"a": 2, "b": "y"}]
    assert "Longer than 1000 bytes" in found.reasons[2]


def test_a_cell_of_many_lines_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_LINE_BYTES", 1000)
    found = stored(tmp_path, b'a,b\n0,x\n1,"' + b"line\n" * 500 + b'"\n2,y\n', "x.csv")
    assert found.rows[0] == {"a": 0, "b": "x"}
    assert "A quote opens in line 3" in found.reasons[3]
    assert found.report["row_count"] + found.report["rejected_count"] >= 500
    csv.field_size_limit(limits.MAX_LINE_BYTES)


def test_damaged_characters_and_zeros_are_rejected_by_row(tmp_path: Path) -> None:
    raw = "a,b\nä,ö\n".encode() + b"\xff,1\nx\x00,2\n"
    found = stored(tmp_path, raw, "x.csv")
    assert found.rows == [{"a": "ä", "b": "ö"}]
    assert found.reasons[3] == "Column “a” is not UTF-8: byte 0xFF."
    assert found.reasons[4] == "Column “a” holds a NUL character."


def test_one_column_is_a_table_if_the_name_says_so(tmp_path: Path) -> None:
    assert stored(tmp_path, b"text\nhello\nworld\n", "x.csv").rows == [{"text": "hello"}, {"text": "world"}]


@pytest.mark.parametrize("name", ["x.txt", ""])
def test_plain_text_is_a_row_a_line(tmp_path: Path, name: str) -> None:
    found = stored(tmp_path, "Grüße\r\n\n42\n [not json\n".encode(), name)
    assert found.rows == [{"text": "Grüße"}, {"text": "42"}, {"text": " [not json"}]
    assert (found.source["format"], found.types) == ("text", {"text": "text"})


def test_a_long_line_of_text_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_LINE_BYTES", 1000)
    found = stored(tmp_path, b"short\n" + b"x" * 3_000_000 + b"\nend\n", "x.txt")
    assert [row["text"] for row in found.rows] == ["short", "end"]
    assert "Longer than" in found.reasons[2]


def test_a_large_table_keeps_its_order_over_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "BATCH_ROWS", 7)
    rows: list[dict[str, Any]] = stored(
        tmp_path, ("n,t\n" + "".join(f"{n},x{n}\n" for n in range(100))).encode(), "x.csv"
    ).rows
    assert rows == [{"n": n, "t": f"x{n}"} for n in range(100)]
