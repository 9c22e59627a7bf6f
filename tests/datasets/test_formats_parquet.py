import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datasets_app.readers import parquet as reader
from tests.datasets.storing import parquet, problem, stored

NOON = datetime.datetime(2024, 2, 29, 12)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_every_compression_and_several_row_groups_are_read(tmp_path: Path, compression: str) -> None:
    rows = {"q": [f"What is {n}?" for n in range(1000)], "n": list(range(1000))}
    found = stored(tmp_path, parquet(rows, compression=compression, row_group_size=300), "x.parquet")
    assert found.rows == [{"q": f"What is {n}?", "n": n} for n in range(1000)]
    assert (found.source["format"], found.source["unit"]) == ("parquet", "row")


def test_the_content_counts_and_not_the_name(tmp_path: Path) -> None:
    assert stored(tmp_path, parquet({"a": [1]}), "x.jsonl").rows == [{"a": 1}]


@pytest.mark.parametrize(
    ("array", "cell", "kind"),
    [
        (pa.array(["x"]), "x", "text"),
        (pa.array(["x"], pa.large_string()), "x", "text"),
        (pa.array(["x"], pa.string_view()), "x", "text"),
        (pa.array(["x"]).dictionary_encode(), "x", "text"),
        (pa.array([5]).dictionary_encode(), 5, "integer"),
        (pa.array([7], pa.int8()), 7, "integer"),
        (pa.array([2**64 - 1], pa.uint64()), str(2**64 - 1), "text"),
        (pa.array([0.5], pa.float32()), 0.5, "number"),
        (pa.array([0.5], pa.float16()), 0.5, "number"),
        (pa.array([True]), True, "boolean"),
        (pa.array([b"bytes"]), "bytes", "text"),
        (pa.array([b"abc"], pa.binary(3)), "abc", "text"),
        (pa.array([Decimal("1.50")]), "1.50", "text"),
        (pa.array([NOON.date()]), "2024-02-29", "text"),
        (pa.array([NOON]), "2024-02-29 12:00:00.000000", "text"),
        (pa.array([NOON.time()]), "12:00:00.000000", "text"),
        (pa.array([datetime.timedelta(seconds=1)]), "1000000", "text"),
        (pa.array([["a", None]]), '["a",null]', "json"),
        (pa.array([{"text": ["a"], "start": [1]}]), '{"text":["a"],"start":[1]}', "json"),
        (pa.array([[{"role": "user", "content": "é"}]]), '[{"role":"user","content":"é"}]', "json"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), '[["k",1]]', "json"),
        (pa.array([[NOON, None]]), '["2024-02-29T12:00:00",null]', "json"),
        (pa.array([[Decimal("1.5")]]), '["1.5"]', "json"),
        (pa.array([[float("nan")]]), "[null]", "json"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_every_type_becomes_one_that_can_be_shown(tmp_path: Path, array: Any, cell: Any, kind: str) -> None:
    found = stored(tmp_path, parquet({"c": array, "n": [1]}), "x.parquet")
    assert found.rows == [{"c": cell, "n": 1}]
    assert found.types["c"] == kind


def test_missing_numbers_of_pandas_are_empty_cells_and_it_is_said(tmp_path: Path) -> None:
    found = stored(tmp_path, parquet({"c": [1.5, float("nan"), None], "n": [1, 2, 3]}), "x.parquet")
    assert [row["c"] for row in found.rows] == [1.5, None, None]
    assert found.report["columns"][0]["filled"] == 0.3333
    assert "NaN" in found.source["notes"][0]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (pa.array([b"\xff\xd8\xff", b"ok"]), "Column “c” holds bytes that are no text (not UTF-8): a picture"),
        (pa.array([[b"\xff"], [b"ok"]]), "Column “c” holds bytes that are no text"),
        (pa.array([float("inf"), 1.0]), "Column “c” holds a number that is too large"),
        (pa.array(["a\x00b", "ok"]), "Column “c” holds a NUL character"),
        (pa.array([["a\x00b"], ["ok"]]), "Column “c” holds a NUL character"),
    ],
    ids=["binary", "binary within", "infinite", "NUL", "NUL within"],
)
def test_a_row_that_can_not_be_shown_is_rejected_by_number_and_column(tmp_path: Path, array: Any, reason: str) -> None:
    found = stored(tmp_path, parquet({"c": array, "n": [1, 2]}), "x.parquet")
    assert [row["n"] for row in found.rows] == [2]
    assert reason in found.reasons[1]


def test_text_that_is_not_what_the_footer_promises_is_rejected_by_row(tmp_path: Path) -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff", b"ok"]).buffers())
    found = stored(tmp_path, parquet({"c": broken}), "x.parquet")
    assert found.rows == [{"c": "ok"}]
    assert "not UTF-8" in found.reasons[1]


def test_a_cell_over_the_limit_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_LINE_BYTES", 1000)
    found = stored(tmp_path, parquet({"c": ["x" * 1001, "y"]}), "x.parquet")
    assert found.reasons == {1: "Column “c” is longer than 1000 bytes, the limit of a cell."}


def test_rows_without_a_value_are_rejected(tmp_path: Path) -> None:
    found = stored(tmp_path, parquet({"c": [None, "x"], "d": pa.nulls(2)}), "x.parquet")
    assert found.rows == [{"c": "x", "d": None}]
    assert found.reasons == {1: "All cells are empty."}


def test_columns_with_one_name_get_two(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    found = stored(tmp_path, parquet(table), "x.parquet")
    assert found.rows == [{"a": 1, "a (2)": 2}]
    assert "used twice" in found.source["notes"][0]


def test_a_file_without_rows_says_so(tmp_path: Path) -> None:
    message = problem(tmp_path, parquet({"q": pa.array([], pa.string()), "a": pa.array([], pa.string())}))
    assert "it has columns (q, a) but no rows" in message


def test_too_many_columns_are_refused(tmp_path: Path) -> None:
    assert "201 columns: at most 200" in problem(tmp_path, parquet({f"c{n}": [1] for n in range(201)}))


def test_too_many_rows_are_refused_before_one_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_ROWS", 2)
    assert "More than 2 rows" in problem(tmp_path, parquet({"a": [1, 2, 3]}))


@pytest.mark.parametrize("cut", [4, 9, 20, 200])
def test_a_file_whose_end_is_missing_or_torn_is_refused_in_words(tmp_path: Path, cut: int) -> None:
    good = parquet({"a": ["text"] * 100})
    words = "The Parquet file is damaged"
    assert words in problem(tmp_path, good[:-cut])
    assert words in problem(tmp_path, good[: -cut - 8] + b"\xff" * cut + good[-8:])
    assert words in problem(tmp_path, b"PAR1" + b"\x00" * cut + b"PAR1")


def test_damaged_pages_are_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    good = parquet({"a": [f"text {n}" for n in range(5000)]}, row_group_size=1000, write_page_checksum=True)
    middle = len(good) // 2
    assert "damaged" in problem(tmp_path, good[:middle] + b"\x00" * 500 + good[middle + 500 :])


def test_many_different_texts_are_read_as_fast_as_few(tmp_path: Path) -> None:
    """The dictionary of a column comes with each batch: reading it again each time would take minutes here."""
    texts = [f"{n}" for n in range(60_000)]
    found = stored(tmp_path, parquet({"a": texts}, dictionary_pagesize_limit=10_000_000), "x.parquet")
    assert [row["a"] for row in found.rows] == texts
