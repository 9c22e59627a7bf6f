import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from datasets_app import storing, tables, writing
from datasets_app.readers import streams
from tests.datasets.conftest import jsonl
from tests.datasets.storing import problem, stored


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [
        {"t": "ä\n", "i": 1, "f": 0.1, "b": True, "n": None, "big": 2**60},
        {"t": "", "i": -2, "f": 1e300, "b": False, "n": None, "big": 3},
    ]
    found = stored(tmp_path, jsonl(*rows))
    assert found.rows == rows
    assert found.types == {"t": "text", "i": "integer", "f": "number", "b": "boolean", "n": "text", "big": "integer"}


@pytest.mark.parametrize(
    ("cells", "kind", "mixed", "read"),
    [
        ([1, "x"], "text", ["integer", "text"], ["1", "x"]),
        ([1, 2.5], "number", None, [1.0, 2.5]),
        ([2**60, 2.5], "text", ["integer", "number"], [str(2**60), "2.5"]),
        ([10**30, 1], "text", None, [str(10**30), "1"]),
        ([True, 1], "text", ["boolean", "integer"], ["true", "1"]),
        ([[1, 2], {"a": None}], "json", None, ["[1,2]", '{"a":null}']),
        ([["é"], "x"], "text", ["json", "text"], ['["é"]', "x"]),
    ],
)
def test_mixed_types_become_the_type_that_loses_nothing(
    tmp_path: Path, cells: list[Any], kind: str, mixed: list[str] | None, read: list[Any]
) -> None:
    found = stored(tmp_path, jsonl(*({"c": cell} for cell in cells)))
    assert found.types == {"c": kind}
    assert found.report["columns"][0].get("mixed") == mixed
    assert [row["c"] for row in found.rows] == read


def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CHUNK", 24)


def test_a_column_that_turns_up_late_is_empty_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    found = stored(tmp_path, jsonl({"a": 1}, {"a": 2}, {"a": 3}, {"b": 1.5}, {"a": "x", "c": [1]}))
    assert [row["b"] for row in found.rows] == [None, None, None, 1.5, None]
    assert [row["a"] for row in found.rows] == ["1", "2", "3", None, "x"]
    assert found.report["columns"][1] == {"name": "b", "type": "number", "filled": 0.2}


def test_rows_spread_over_many_batches_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_blocks(monkeypatch)
    found = stored(tmp_path, jsonl(*({"n": number} for number in range(100))))
    target = found.folder / "rows.parquet"
    assert [row["n"] for row in found.rows] == list(range(100))
    assert [row["n"] for row in tables.page(target, 33, 5)] == [33, 34, 35, 36, 37]
    assert tables.pick(target, [99, 0, 50, 50]) == {0: {"n": 0}, 50: {"n": 50}, 99: {"n": 99}}


def test_a_page_reads_little_however_large_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def groups_of(*rows: Any) -> list[int]:
        target = stored(tmp_path, jsonl(*rows)).folder / "rows.parquet"
        about = pq.ParquetFile(target).metadata
        return [about.row_group(number).num_rows for number in range(about.num_row_groups)]

    assert groups_of(*({"n": number} for number in range(25_001)))[0] == 10_000
    assert max(groups_of(*({"n": number} for number in range(25_001)))) == 10_000
    monkeypatch.setattr(writing, "GROUP_BYTES", 300_000)
    monkeypatch.setattr(streams, "CHUNK", 100_000)
    assert max(groups_of(*({"t": "x" * 10_000} for _ in range(100)))) <= 40


def test_kept_and_rejected_rows_equal_the_rows_read(tmp_path: Path) -> None:
    found = stored(tmp_path, b"".join(b'{"a": 1}\n' if number % 3 else b"broken\n" for number in range(900)))
    assert (found.report["row_count"], found.report["rejected_count"]) == (600, 300)
    assert pq.ParquetFile(found.folder / "rows.parquet").metadata.num_rows == 600
    assert [item["line"] for item in found.report["rejected"]] == list(range(1, 300, 3)), "the first 100 are listed"
    assert [item["line"] for item in found.rejected] == list(range(1, 901, 3)), "all are in the file"


def test_rejected_lines_are_listed_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = stored(tmp_path, b'{"a": 1}\nbad\n{"a": "\\u0000"}\nbad\n3\n')
    assert list(found.reasons) == [2, 3, 4, 5]


def test_rows_that_bring_too_many_columns_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MAX_COLUMNS", 2)
    found = stored(tmp_path, jsonl({"a": 1, "b": 1}, {"c": 1}, {"b": 2}))
    assert found.rows == [{"a": 1, "b": 1}, {"a": None, "b": 2}]
    assert found.reasons == {2: "Brings the file to more than 2 columns."}


def test_more_rows_than_the_limit_are_a_problem_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MAX_ROWS", 3)
    assert "More than 3 rows" in problem(tmp_path, jsonl(*({"a": 1} for _ in range(5))))


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.json", "x.txt", ""])
def test_an_empty_file_has_no_usable_row(tmp_path: Path, raw: bytes, name: str) -> None:
    assert "no usable row: it is empty" in problem(tmp_path, raw, name)


def test_equal_files_have_equal_digests_and_the_file_itself_has_one_too(tmp_path: Path) -> None:
    raw = jsonl({"a": 1}, {"a": "x"})
    first, second = stored(tmp_path, raw), stored(tmp_path, raw)
    assert first.report["sha256"] == second.report["sha256"]
    assert first.report["bytes"] == (first.folder / "rows.parquet").stat().st_size
    assert first.source["bytes"] == len(raw)
    assert first.source["sha256"] == hashlib.sha256(raw).hexdigest()


def test_progress_is_told_while_the_file_is_read_and_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets_app.readers.meter.TELL_SECONDS", 0)
    file, told = tmp_path / "rows.jsonl", []
    file.write_bytes(jsonl(*({"a": "x" * 1000} for _ in range(5000))))
    (tmp_path / "out").mkdir()
    storing.store(file, tmp_path / "out", "rows.jsonl", lambda *now: told.append(now))
    assert [rows for rows, _, _ in told] == sorted(rows for rows, _, _ in told)
    assert told[-1] == (5000, file.stat().st_size, "Writing the rows")
    assert len({done for _, done, _ in told}) > 3


def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "write_rows", full)
    with pytest.raises(OSError, match="No space"):
        stored(tmp_path, jsonl({"a": 1}) + b"bad\n")


def test_the_report_can_be_sent_as_json(tmp_path: Path) -> None:
    found = stored(tmp_path, jsonl({"a": 1}) + b"\xff\n")
    assert json.loads(json.dumps(found.report)) == found.report


def test_a_problem_has_words_for_a_user() -> None:
    full = OSError(28, "No space left on device")
    assert storing.not_stored(full).startswith("The disk is full")
    assert "Input/output error" in storing.not_stored(OSError(5, "Input/output error"))
