"""Rows over REST: pages, searches that go on, downloads."""

import csv
import io
import json
from typing import Any

import pyarrow.parquet as pq
import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from datasets_app import membership, searching
from datasets_app.models import DatasetVersion
from tests.datasets.conftest import Importer, jsonl, sums
from tests.datasets.test_api_versions import at


def rows(client: Client, version: DatasetVersion, **query: Any) -> Any:
    return client.get(at(version, "/rows"), query).json()


def followed(client: Client, version: DatasetVersion, **query: Any) -> list[int]:
    """The numbers of all rows, page after page."""
    found, following = [], 1
    while following:
        page = rows(client, version, **query, start=following)
        found += [row["row"] for row in page["rows"]]
        following = page["next"]
    return found


def sent(response: Any) -> bytes:
    async def everything() -> bytes:
        return b"".join([block async for block in response.streaming_content])

    return async_to_sync(everything)()


def test_pages_follow_each_other_to_the_end(viewer_client: Client, version: DatasetVersion) -> None:
    first = rows(viewer_client, version, limit=3)
    assert first["rows"][0] == {"row": 1, "cells": {"question": "What is 0 + 1?", "answer": "1"}}
    assert (first["next"], first["total"], first["timed_out"]) == (4, 40, False)
    assert followed(viewer_client, version, limit=7) == list(range(1, 41))
    assert rows(viewer_client, version, start=41) == {"rows": [], "next": None, "total": 40, "timed_out": False}


def test_a_search_goes_on_where_it_stopped(viewer_client: Client, version: DatasetVersion) -> None:
    wanted = [number + 1 for number, row in enumerate(sums(40)) if "3" in row["answer"]]
    assert followed(viewer_client, version, search="3", column="answer", limit=2) == wanted
    assert rows(viewer_client, version, search="WHAT IS 7 ")["rows"][0]["row"] == 8


def test_a_search_that_takes_too_long_says_where_to_go_on(
    viewer_client: Client, version: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "BATCH_ROWS", 10)
    monkeypatch.setattr(searching.time, "monotonic", iter(range(10_000)).__next__)
    found = rows(viewer_client, version, search="38")
    assert (found["rows"], found["next"], found["timed_out"]) == ([], 11, True)
    assert followed(viewer_client, version, search="38") == [38, 39]


def test_the_parts_hold_every_row_once(viewer_client: Client, version: DatasetVersion) -> None:
    parts = {part: followed(viewer_client, version, part=part) for part in ("train", "validation", "test")}
    assert {part: len(found) for part, found in parts.items()} == {"train": 36, "validation": 0, "test": 4}
    assert sorted(parts["train"] + parts["test"]) == list(range(1, 41))


def test_the_parts_of_a_large_version_wait_for_its_check(
    viewer_client: Client, version: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "QUICK_ROWS", 10)
    monkeypatch.setattr(membership, "folder", lambda: version.path.parent / "parts")
    for rest in ("/rows", "/download/csv"):
        response = viewer_client.get(at(version, rest), {"part": "test"})
        assert response.status_code == 409
        assert "Ask again when one has ended" in response.json()["error"]
    membership.write(version)
    assert len(rows(viewer_client, version, part="test")["rows"]) == 4


def test_rows_without_a_value_are_found(viewer_client: Client, imported: Importer) -> None:
    version = imported(*sums(5), {"question": "Why?", "answer": " "}, {"question": "How?"})
    assert followed(viewer_client, version, empty="answer") == [6, 7]


def test_nested_cells_are_json_and_odd_numbers_are_null(viewer_client: Client, imported: Importer) -> None:
    odd = b'{"question": "a", "answer": NaN, "more": {"x": [1, Infinity, "y"]}}\n'
    version = imported(raw=jsonl({"question": "b", "answer": 2.5, "more": {"x": [{"y": None}]}}) + odd)
    found = rows(viewer_client, version)["rows"]
    assert found[0]["cells"] == {"question": "b", "answer": 2.5, "more": {"x": [{"y": None}]}}
    for row in found[1:]:
        assert row["cells"]["question"] == "a"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"search": "x", "column": "nothing"}, "column"),
        ({"empty": "nothing"}, "empty"),
        ({"part": "other"}, "part"),
        ({"start": 0}, "start"),
        ({"limit": 101}, "limit"),
        ({"search": "x" * 201}, "search"),
    ],
)
def test_a_wrong_question_names_its_field(
    viewer_client: Client, version: DatasetVersion, query: Any, field: str
) -> None:
    response = viewer_client.get(at(version, "/rows"), query)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == [field]


def test_rows_whose_file_is_gone_are_not_found(viewer_client: Client, version: DatasetVersion) -> None:
    version.path.unlink()
    for rest in ("/rows", "/download/parquet", "/download/csv"):
        assert viewer_client.get(at(version, rest)).status_code == 404


def test_a_version_is_downloaded_in_each_format(viewer_client: Client, version: DatasetVersion) -> None:
    lines = viewer_client.get(at(version, "/download/jsonl"))
    assert 'filename="sums-v1.jsonl"' in lines["Content-Disposition"]
    assert [json.loads(line) for line in sent(lines).splitlines()] == sums(40)
    table = list(csv.DictReader(io.StringIO(sent(viewer_client.get(at(version, "/download/csv"))).decode("utf-8-sig"))))
    assert table == sums(40)
    parquet = sent(viewer_client.get(at(version, "/download/parquet", "latest")))
    assert pq.read_table(io.BytesIO(parquet)).to_pylist() == sums(40)


def test_a_part_and_a_search_are_downloaded(viewer_client: Client, version: DatasetVersion) -> None:
    part = viewer_client.get(at(version, "/download/jsonl"), {"part": "test"})
    assert len(sent(part).splitlines()) == 4
    search = viewer_client.get(at(version, "/download/jsonl"), {"search": "39", "column": "question"})
    assert [json.loads(line)["answer"] for line in sent(search).splitlines()] == ["40"]
    assert viewer_client.get(at(version, "/download/jsonl"), {"part": "x"}).status_code == 400


@pytest.mark.parametrize("ending", ["xlsx", "json", "exe"])
def test_an_unknown_format_is_not_found(viewer_client: Client, version: DatasetVersion, ending: str) -> None:
    response = viewer_client.get(at(version, f"/download/{ending}"))
    assert response.status_code == 404
    assert set(response.json()) == {"error", "fields"}


def test_rejected_lines_are_downloaded_with_their_reason(viewer_client: Client, imported: Importer) -> None:
    version = imported(raw=jsonl(*sums(3)) + b"bad\n=1+1\n")
    lines = [json.loads(line) for line in sent(viewer_client.get(at(version, "/rejected/jsonl"))).splitlines()]
    assert [line["line"] for line in lines] == [4, 5]
    assert "'=1+1" in sent(viewer_client.get(at(version, "/rejected/csv"))).decode()
    assert viewer_client.get(at(version, "/rejected/parquet")).status_code == 404


def test_a_version_that_lost_nothing_has_no_list_of_rejected_lines(
    viewer_client: Client, version: DatasetVersion
) -> None:
    assert viewer_client.get(at(version, "/rejected/jsonl")).status_code == 404
