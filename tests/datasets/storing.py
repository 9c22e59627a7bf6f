"""Files as users bring them, stored in the test process, and what came of them."""

import io
import json
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets_app import storing, tables
from datasets_app.problems import DatasetProblem

EVERYTHING = 1_000_000


class Stored(NamedTuple):
    report: dict[str, Any]
    rows: list[dict[str, Any]]
    folder: Path

    @property
    def source(self) -> dict[str, Any]:
        found: dict[str, Any] = self.report["source"]
        return found

    @property
    def types(self) -> dict[str, str]:
        return {column["name"]: column["type"] for column in self.report["columns"]}

    @property
    def reasons(self) -> dict[int, str]:
        return {item["line"]: item["reason"] for item in self.report["rejected"]}

    @property
    def rejected(self) -> list[dict[str, Any]]:
        file = self.folder / "rejected.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def stored(folder: Path, raw: bytes, name: str = "rows.jsonl") -> Stored:
    work = Path(mkdtemp(dir=folder))
    file = work / "file"
    file.write_bytes(raw)
    (work / "out").mkdir()
    try:
        report = storing.store(file, work / "out", name)
    except BaseException:
        assert not list((work / "out").iterdir()), "what fails leaves nothing"
        raise
    found = Stored(report, tables.page(work / "out" / "rows.parquet", 0, EVERYTHING), work / "out")
    left = {path.name for path in found.folder.iterdir()}
    assert left == {"rows.parquet", "rejected.jsonl"} if report["rejected_count"] else left == {"rows.parquet"}
    assert len(found.rows) == report["row_count"]
    assert len(found.rejected) == report["rejected_count"]
    assert found.rejected[:100] == report["rejected"]
    return found


def problem(folder: Path, raw: bytes, name: str = "rows.jsonl") -> str:
    with pytest.raises(DatasetProblem) as caught:
        stored(folder, raw, name)
    return caught.value.message


def parquet(table: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), file, **options)
    return file.getvalue()
