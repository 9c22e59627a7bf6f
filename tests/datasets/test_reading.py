import io
from collections.abc import Iterator

import pytest

from datasets_app import limits, reading
from datasets_app.problems import DatasetProblem
from datasets_app.reading import Line, read_jsonl


def lines(raw: bytes) -> list[Line]:
    return list(read_jsonl(io.BytesIO(raw)))


def only_reason(raw: bytes) -> str:
    [line] = lines(raw)
    assert line.row is None
    return line.reason


def test_each_line_becomes_a_row_with_its_number() -> None:
    assert [(line.number, line.row) for line in lines(b'{"a": 1}\n{"a": 2}\n')] == [(1, {"a": 1}), (2, {"a": 2})]


def test_blank_lines_are_counted_but_no_rows() -> None:
    assert [line.number for line in lines(b'\n{"a": 1}\n  \n\n{"a": 2}')] == [2, 5]


def test_a_byte_order_mark_is_passed_over() -> None:
    assert lines(b'\xef\xbb\xbf{"a": 1}\n')[0].row == {"a": 1}


def test_windows_line_ends_are_line_ends() -> None:
    assert [line.row for line in lines(b'{"a": "x"}\r\n{"a": "y"}\r\n')] == [{"a": "x"}, {"a": "y"}]


def test_unicode_line_separators_inside_a_text_do_not_end_a_line() -> None:
    text = "one\u2028two\x85three"
    assert lines(f'{{"a": "{text}"}}\n'.encode())[0].row == {"a": text}


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
        (b'{"a": NaN}', "Holds NaN"),
        (b'{"a": [-Infinity]}', "Holds -Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": [{"b": 1e999}]}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"a": "x\x00y"}', "Not JSON"),
        (b'{"a": "\\ud800"}', "half of a character"),
        (b'{"a": {"\\udc00": 1}}', "half of a character"),
        (b'{" ": 1}', "column name"),
        (b'{"' + b"n" * 201 + b'": 1}', "column name"),
        (b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", "Nested more than 64 deep."),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "Nested more than 64 deep."),
        (b"{" + b", ".join(b'"c%d": 1' % n for n in range(201)) + b"}", "201 columns: at most 200"),
    ],
)
def test_a_line_that_is_no_row_is_rejected_with_its_reason(raw: bytes, reason: str) -> None:
    assert reason in only_reason(raw)


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert lines(rb'{"a": "\\u0000"}')[0].row == {"a": "\\u0000"}


def test_the_place_of_a_json_error_is_named() -> None:
    assert only_reason(b'{"a": 1,,}\n').endswith("at character 9.")


def test_a_byte_that_is_not_utf8_is_named_with_its_place_in_line_and_file() -> None:
    good, bad = lines(b'{"a": 1}\n{"a": "caf\xe9"}\n')
    assert good.row == {"a": 1}
    assert bad.number == 2
    assert "byte 0xE9 at position 11 of the line, offset 19 of the file" in bad.reason


def test_a_line_over_the_limit_is_rejected_and_the_next_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 100)
    raw = b'{"a": "' + b"x" * 200_000 + b'"}\n{"a": 1}\n'
    long, good = lines(raw)
    assert "Longer than" in long.reason
    assert len(long.text) <= limits.REJECTED_TEXT
    assert (good.number, good.row) == (2, {"a": 1})


def test_a_huge_line_is_never_held_in_memory() -> None:
    class Endless(io.RawIOBase):
        """A line of 200 MB that counts the largest piece it was asked for."""

        left, largest = 200 * limits.MIB, 0

        def readline(self, size: int = -1, /) -> bytes:  # type: ignore[override]
            assert size > 0
            self.largest = max(self.largest, size)
            taken = min(size, self.left)
            self.left -= taken
            return b"x" * taken

    endless = Endless()
    [line] = read_jsonl(endless)  # type: ignore[arg-type]
    assert line.reason == "Longer than 8 MB, the limit of a line."
    assert endless.largest <= limits.MAX_LINE_BYTES + 1


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"PAR1", "Parquet"),
    ],
)
def test_a_file_of_another_kind_is_named_instead_of_rejected_line_by_line(start: bytes, kind: str) -> None:
    with pytest.raises(DatasetProblem, match=kind):
        lines(start + b"rest\n")


def test_the_text_of_a_rejected_line_can_be_stored_anywhere() -> None:
    [line] = lines(b"\x00\xff" + b"y" * 5000)
    assert "\x00" not in line.text
    assert line.text.encode()
    assert len(line.text) == limits.REJECTED_TEXT


def test_lines_are_read_one_at_a_time() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b'{"a": 1}\n'

    class File:
        source = endless()

        def readline(self, size: int) -> bytes:
            return next(self.source)

    rows = read_jsonl(File())  # type: ignore[arg-type]
    assert [next(rows).number for _ in range(3)] == [1, 2, 3]
