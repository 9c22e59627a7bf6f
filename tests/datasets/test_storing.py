import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from datasets_app import storing, tables
from datasets_app.problems import DatasetProblem
from datasets_app.storing import Report
from tests.datasets.conftest import jsonl


def stored(folder: Path, *rows: Any, raw: bytes | None = None) -> tuple[Report, Path]:
    target = folder / "rows.parquet"
    return storing.store(io.BytesIO(jsonl(*rows) if raw is None else raw), target), target


def column_types(report: Report) -> dict[str, str]:
    return {column["name"]: column["type"] for column in report.columns}


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [
        {"t": "ä\n", "i": 1, "f": 0.1, "b": True, "n": None, "big": 2**60},
        {"t": "", "i": -2, "f": 1e300, "b": False, "n": None, "big": 3},
    ]
    report, target = stored(tmp_path, *rows)
    assert tables.page(target, 0, 10) == rows
    types = {"t": "text", "i": "integer", "f": "number", "b": "boolean", "n": "text", "big": "integer"}
    assert column_types(report) == types


@pytest.mark.parametrize(
    ("cells", "kind", "read"),
    [
        ([1, "x"], "text", ["1", "x"]),
        ([1, 2.5], "number", [1.0, 2.5]),
        ([2**60, 2.5], "text", [str(2**60), "2.5"]),
        ([10**30, 1], "text", [str(10**30), "1"]),
        ([True, 1], "text", ["true", "1"]),
        ([[1, 2], {"a": None}], "json", ["[1, 2]", '{"a": null}']),
        ([["é"], "x"], "text", ['["é"]', "x"]),
    ],
)
def test_mixed_types_become_the_type_that_loses_nothing(
    tmp_path: Path, cells: list[Any], kind: str, read: list[Any]
) -> None:
    report, target = stored(tmp_path, *({"c": cell} for cell in cells))
    assert column_types(report) == {"c": kind}
    assert [row["c"] for row in tables.page(target, 0, 10)] == read


def test_a_column_that_turns_up_late_is_empty_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "BATCH_ROWS", 2)
    report, target = stored(tmp_path, {"a": 1}, {"a": 2}, {"a": 3}, {"b": 1.5}, {"a": "x", "c": [1]})
    assert [row["b"] for row in tables.page(target, 0, 10)] == [None, None, None, 1.5, None]
    assert [row["a"] for row in tables.page(target, 0, 10)] == ["1", "2", "3", None, "x"]
    assert report.columns[1] == {"name": "b", "type": "number", "filled": 0.2}


def test_rows_spread_over_many_batches_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "BATCH_ROWS", 7)
    _, target = stored(tmp_path, *({"n": number} for number in range(100)))
    assert [row["n"] for row in tables.page(target, 0, 200)] == list(range(100))
    assert [row["n"] for row in tables.page(target, 33, 5)] == [33, 34, 35, 36, 37]
    assert tables.pick(target, [99, 0, 50, 50]) == {0: {"n": 0}, 50: {"n": 50}, 99: {"n": 99}}


def test_kept_and_rejected_rows_equal_the_rows_read(tmp_path: Path) -> None:
    raw = b"".join(b'{"a": 1}\n' if number % 3 else b"broken\n" for number in range(900))
    report, target = stored(tmp_path, raw=raw)
    assert (report.row_count, report.rejected_count) == (600, 300)
    assert pq.ParquetFile(target).metadata.num_rows == 600
    assert [item["line"] for item in report.rejected] == list(range(1, 300, 3)), "the first 100 are listed"


def test_rows_that_bring_too_many_columns_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MAX_COLUMNS", 2)
    report, _ = stored(tmp_path, {"a": 1, "b": 1}, {"c": 1}, {"b": 2})
    assert report.row_count == 2
    assert report.rejected[0]["reason"] == "Brings the file to more than 2 columns."


def test_more_rows_than_the_limit_are_a_problem_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MAX_ROWS", 3)
    with pytest.raises(DatasetProblem, match="More than 3 rows") as caught:
        stored(tmp_path, *({"a": 1} for _ in range(5)))
    assert caught.value.line == 4


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_has_no_usable_row(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(DatasetProblem, match="no usable row: it is empty"):
        stored(tmp_path, raw=raw)


def test_a_file_of_bad_lines_names_the_first(tmp_path: Path) -> None:
    with pytest.raises(DatasetProblem, match=r"all 2 lines were rejected\. Line 2: An empty object") as caught:
        stored(tmp_path, raw=b"\n{}\nx\n")
    assert "brackets" in caught.value.message


def test_a_json_list_over_several_lines_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DatasetProblem, match="write it as JSONL"):
        stored(tmp_path, raw=b"[\n[1],\n[2]\n]\n")


def test_equal_files_have_equal_digests(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first, target = stored(tmp_path / "one", {"a": 1}, {"a": "x"})
    second, _ = stored(tmp_path / "two", {"a": 1}, {"a": "x"})
    assert first.sha256 == second.sha256
    assert first.bytes == target.stat().st_size
