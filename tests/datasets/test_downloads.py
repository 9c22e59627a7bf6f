"""Downloads of rows: streamed, whole, harmless in a spreadsheet (P3)."""

import asyncio
import csv
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.urls import reverse

from accounts.models import Team
from datasets_app import downloading, membership
from datasets_app.models import Dataset, DatasetVersion, Source
from datasets_app.searching import Query
from loracraft.spreadsheets import csv_line, safe_cell
from tests.datasets.conftest import Importer, jsonl, sums

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, settings: Any) -> None:
    settings.CACHE_DIR = tmp_path / "cache"


def get(user: User, version: DatasetVersion, format: str, name: str = "download", **query: str) -> tuple[Any, bytes]:
    async def read() -> tuple[Any, bytes]:
        client = AsyncClient()
        await client.aforce_login(user)
        response: Any = await client.get(reverse(f"datasets:{name}", args=[version.dataset_id, format]), query)
        body = b"".join([part async for part in response]) if response.streaming else response.content
        return response, body

    return asyncio.run(read())


def lines(body: bytes) -> list[Any]:
    return [json.loads(line) for line in body.decode().splitlines()]


def table(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode(), newline="")))


MIXED = [
    {"question": 'ü, "q"\n2nd line', "answer": "=1+1", "n": 3, "x": 0.5, "ok": True, "meta": {"a": [1, None]}},
    {"question": None, "answer": "-5", "n": -4, "x": -2.5, "ok": False, "meta": None},
]


def test_jsonl_gives_back_what_was_imported(viewer: User, imported: Importer) -> None:
    version = imported(*MIXED)
    response, body = get(viewer, version, "jsonl")
    assert lines(body) == MIXED
    assert response["Content-Disposition"] == 'attachment; filename="sums-v1.jsonl"'
    assert response["X-Content-Type-Options"] == "nosniff"


def test_csv_has_a_heading_and_every_row(viewer: User, imported: Importer) -> None:
    _, body = get(viewer, imported(*MIXED), "csv")
    heading, first, second = table(body)
    assert heading == ["question", "answer", "n", "x", "ok", "meta"]
    assert first[:-1] == ['ü, "q"\n2nd line', "'=1+1", "3", "0.5", "True"]
    assert json.loads(first[-1]) == {"a": [1, None]}
    assert second == ["", "-5", "-4", "-2.5", "False", ""]


def test_parquet_is_the_file_that_is_stored(viewer: User, version: DatasetVersion) -> None:
    response, body = get(viewer, version, "parquet")
    assert body == version.path.read_bytes()
    assert response["Content-Length"] == str(len(body))


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet"])
def test_what_a_search_found_can_be_downloaded_alone(viewer: User, imported: Importer, format: str) -> None:
    import pyarrow.parquet as pq

    version = imported(*sums(40))
    response, body = get(viewer, version, format, q="IS 1", **{"in": "question"})
    read = {
        "jsonl": lambda: [row["question"] for row in lines(body)],
        "csv": lambda: [row[0] for row in table(body)[1:]],
        "parquet": lambda: pq.read_table(io.BytesIO(body))["question"].to_pylist(),
    }
    assert read[format]() == [f"What is {n} + 1?" for n in (1, *range(10, 20))]
    assert f"-v1-search.{format}" in response["Content-Disposition"]


def test_one_part_can_be_downloaded_alone(viewer: User, version: DatasetVersion) -> None:
    parts = version.report["parts"]
    for name, count in (("train", parts["train"]), ("validation", parts["validation"]), ("test", parts["held_out"])):
        response, body = get(viewer, version, "jsonl", part=name)
        assert len(lines(body)) == count
        assert f"-v1-{name}.jsonl" in response["Content-Disposition"]


def test_a_part_that_is_not_known_yet_is_not_taken_for_all_rows(
    viewer: User, version: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "QUICK_ROWS", 10)
    assert get(viewer, version, "jsonl", part="test")[0].status_code == 404


@pytest.mark.parametrize("format", ["exe", "xlsx", "json"])
def test_another_format_is_404(viewer_client: Client, version: DatasetVersion, format: str) -> None:
    for name in ("download", "rejected"):
        assert viewer_client.get(reverse(f"datasets:{name}", args=[version.dataset_id, format])).status_code == 404


def test_the_file_name_is_the_program_s_own(viewer: User, imported: Importer) -> None:
    version = imported(*sums(2))
    Dataset.objects.update(name='../../etc/pass"wd\r\nX-Evil: 1 ' + "ü" * 150)
    response, _ = get(viewer, version, "jsonl")
    assert response["Content-Disposition"] == 'attachment; filename="etcpasswd-x-evil-1-' + "u" * 41 + '-v1.jsonl"'
    Dataset.objects.update(name="数据")
    assert 'filename="dataset-v1.jsonl"' in get(viewer, version, "jsonl")[0]["Content-Disposition"]


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_every_rejected_line_can_be_downloaded(viewer: User, imported: Importer, format: str) -> None:
    version = imported(raw=jsonl(*sums(3)) + b"=cmd|' /C calc'!A0\n" * 150)
    response, body = get(viewer, version, format, name="rejected")
    found = lines(body) if format == "jsonl" else table(body)[1:]
    assert len(found) == 150
    assert "-v1-rejected." in response["Content-Disposition"]
    if format == "csv":
        assert table(body)[0] == ["line", "reason", "text"]
        assert table(body)[1][2].startswith("'=cmd")


@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_of_old_versions_the_lines_in_the_report_are_downloaded(viewer: User, imported: Importer, format: str) -> None:
    version = imported(raw=jsonl(*sums(3)) + b"bad\n")
    DatasetVersion.objects.update(rejected_file="")
    _, body = get(viewer, version, format, name="rejected")
    assert len(body.splitlines()) == (1 if format == "jsonl" else 2)


def test_without_rejected_lines_there_is_no_such_download(viewer_client: Client, version: DatasetVersion) -> None:
    assert viewer_client.get(reverse("datasets:rejected", args=[version.dataset_id, "csv"])).status_code == 404


# Memory, ends, failures


@pytest.fixture
def many(team: Team, uploads: Path) -> DatasetVersion:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.array([f"{n} " + "x" * 200 for n in range(200_000)])
    pq.write_table(pa.table({"question": texts}), uploads / "many.parquet", row_group_size=10_000)
    version: DatasetVersion = DatasetVersion.objects.create(
        dataset=Dataset.objects.create(team=team, name="Many", source=Source.UPLOAD),
        file="many.parquet",
        row_count=200_000,
        columns=[{"name": "question", "type": "text", "filled": 1}],
    )
    return version


def test_a_long_download_takes_no_memory_in_the_web_process(many: DatasetVersion) -> None:
    async def read() -> int:
        return sum([len(part) async for part in downloading.rows(many, "csv", Query(), None)])

    tracemalloc.start()
    size = asyncio.run(read())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 40_000_000
    assert peak < 4_000_000


def test_who_leaves_in_the_middle_leaves_no_process_behind(many: DatasetVersion) -> None:
    import psutil

    async def leave() -> None:
        rows = downloading.rows(many, "jsonl", Query(), None)
        assert await anext(rows)
        await rows.aclose()  # type: ignore[attr-defined]

    asyncio.run(leave())
    commands = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    assert not [command for command in commands if "extracting" in command]


def test_rows_that_can_not_be_read_break_the_download(many: DatasetVersion) -> None:
    many.path.write_bytes(many.path.read_bytes()[:1000])

    async def read() -> None:
        async for _ in downloading.rows(many, "jsonl", Query(), None):
            continue

    with pytest.raises(downloading.DownloadFailed):
        asyncio.run(read())


def test_rows_that_are_gone_are_404(viewer_client: Client, version: DatasetVersion) -> None:
    version.path.unlink()
    address = reverse("datasets:download", args=[version.dataset_id, "jsonl"])
    assert viewer_client.get(address).status_code == 404


# Spreadsheets


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋"])
def test_text_that_a_spreadsheet_would_run_is_marked_as_text(start: str) -> None:
    assert safe_cell(f"{start}SUM(A1)") == f"'{start}SUM(A1)"


@pytest.mark.parametrize("text", ["-5", "+1.5", "-1e-7", "5", "a=b", "", "-.5"])
def test_numbers_and_other_text_are_left_alone(text: str) -> None:
    assert safe_cell(text) == text


@pytest.mark.parametrize("text", ["-5+cmd|' /C calc'!A0", "+49 30 123", "-", "--5", "-5\n=1"])
def test_what_only_begins_like_a_number_is_none(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


def test_numbers_stay_numbers_and_nothing_is_nothing() -> None:
    assert csv_line([-3, 0.5, None, True, "=x"]) == "-3,0.5,,True,'=x\r\n"
