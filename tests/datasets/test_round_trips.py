"""Any row that can be stored comes back as it was, from each format. Hypothesis looks for one that does not."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets_app import tables
from datasets_app.readers import table
from tests.datasets.storing import parquet, stored

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda name: name.strip() == name
)
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | st.integers() | FLOATS | TEXT
NESTED = st.recursive(st.lists(LEAVES, max_size=3) | st.dictionaries(TEXT, LEAVES, max_size=3), st.lists, max_leaves=8)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXT,
    "integer": INTEGERS,
    "number": FLOATS,
    "boolean": st.booleans(),
    "json": NESTED,
}
Rows = list[dict[str, Any]]
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def typed_rows(draw: st.DrawFn, kinds: dict[str, st.SearchStrategy[Any]] = KINDS) -> Rows:
    columns = draw(st.dictionaries(NAMES, st.sampled_from(sorted(kinds)), min_size=1, max_size=4))
    row = st.fixed_dictionaries({name: st.none() | kinds[kind] for name, kind in columns.items()})
    first = st.fixed_dictionaries({name: kinds[kind] for name, kind in columns.items()})
    return [draw(first), *draw(st.lists(row, max_size=6))]


def back(raw: bytes, name: str) -> Rows:
    with TemporaryDirectory() as folder:
        found = stored(Path(folder), raw, name)
        assert not found.rejected
        types = found.types
        return [{name: cell(row[name], types[name]) for name in row} for row in found.rows]


def cell(value: Any, kind: str) -> Any:
    return json.loads(value) if kind == "json" and value is not None else value


def as_jsonl(rows: Rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def check(rows: Rows, write: Callable[[Rows], bytes], name: str) -> None:
    assert back(write(rows), name) == rows


@given(typed_rows())
@quick
def test_json_lines(rows: Rows) -> None:
    check(rows, as_jsonl, "x.jsonl")


@given(typed_rows())
@quick
def test_a_json_document(rows: Rows) -> None:
    check(rows, lambda rows: json.dumps({"data": rows}, indent=1).encode(), "x.json")
    check(rows, lambda rows: json.dumps(rows).encode("utf-16"), "x.json")


@given(typed_rows({name: kind for name, kind in KINDS.items() if name != "json"}))
@quick
def test_parquet(rows: Rows) -> None:
    full = [row for row in rows if any(value is not None for value in row.values())]
    check(full, lambda rows: parquet(pa.Table.from_pylist(rows)), "x.parquet")


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8), st.sampled_from(table.DELIMITERS))
@quick
def test_csv_keeps_the_text_of_every_cell(rows: list[tuple[str, str]], delimiter: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["first column", "second column"])
    writer.writerows(rows)
    with TemporaryDirectory() as folder:
        try:
            found = stored(Path(folder), text.getvalue().encode(), "x.csv")
        except Exception as problem:
            assert "All cells are empty" in str(problem) and not any(any(row) for row in rows)
            return
    read = [tuple(tables.text(value) for value in row.values()) for row in found.rows]
    assert read == [row for row in rows if any(row)]
