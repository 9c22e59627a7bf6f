"""Pasted text, generated tasks, the hub, and the imports that make datasets, over REST."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import Team
from datasets_app import api, hub, imports
from datasets_app.models import Dataset, Import, ImportKind, Source
from tests.datasets.conftest import jsonl, sums
from tests.datasets.hub_server import Hub
from tests.datasets.test_versions import run

JSON = "application/json"
PREVIEW = "/api/datasets/preview"


def post(client: Client, address: str, **body: Any) -> Any:
    return client.post(f"/api/datasets/{address}", body, content_type=JSON)


# A file in one request


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("sums.json", b'[{"question": "1 + 1?", "answer": "2"}, {"question": "1 + 2?", "answer": "3"}]'),
        ("sums.csv", b"question;answer\n1 + 1?;2\n1 + 2?;3\n"),
        ("sums.jsonl", jsonl(*sums(2))),
    ],
)
def test_a_small_file_of_any_format_is_uploaded_at_once(owner_client: Client, name: str, raw: bytes) -> None:
    response = owner_client.post("/api/datasets/upload", {"file": SimpleUploadedFile(name, raw)})
    assert response.status_code == 201
    assert (response.json()["name"], response.json()["rows"]) == ("sums", 2)


def test_a_large_file_is_sent_to_the_other_route(owner_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def file() -> SimpleUploadedFile:
        return SimpleUploadedFile("sums.jsonl", jsonl(*sums(200)))

    monkeypatch.setattr(api, "DIRECT_UPLOAD_BYTES", 2048)
    refused = [owner_client.post("/api/datasets/upload", {"file": file()})]
    # By its length alone, before a byte of it is looked at.
    monkeypatch.setattr(api.DatasetUpload, "body_bytes", 2048)
    refused.append(owner_client.post("/api/datasets/upload", {"file": file()}))
    for response in refused:
        assert response.status_code == 413
        assert "at most 2 KB" in response.json()["error"]
        assert "/api/datasets/uploads" in response.json()["error"]
    assert not Dataset.objects.exists()


def test_no_other_route_reads_a_huge_body(owner_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.DatasetPreview, "body_bytes", 100)
    response = owner_client.post(PREVIEW, {"path": "x" * 200}, content_type=JSON)
    assert response.status_code == 413
    assert "at most 100 bytes" in response.json()["error"]


# Pasted text


def test_pasted_text_becomes_a_dataset(teammate_client: Client) -> None:
    response = post(teammate_client, "paste", text="question,answer\n1 + 1?,2\n1 + 2?,3\n", name="Small sums")
    assert response.status_code == 202
    run(Import.objects.get(pk=response.json()["id"]))
    dataset = Dataset.objects.get()
    assert (dataset.name, dataset.source, dataset.latest.row_count) == ("Small sums", Source.PASTE, 2)  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "  \n", None])
def test_no_text_is_refused(teammate_client: Client, text: Any) -> None:
    response = post(teammate_client, "paste", text=text)
    assert response.status_code == 400
    assert "Paste some rows" in response.json()["fields"]["text"][0]


# Imports


def test_imports_are_listed_by_their_state(
    viewer_client: Client, team: Team, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    jobs = [imports.start(team, None, ImportKind.HUB, f"Set {n}", request={"repo": "acme/sums"}) for n in range(3)]
    imports.cancel(jobs[0])
    with django_assert_max_num_queries(4):
        found = viewer_client.get("/api/datasets/imports").json()
    assert ([job["name"] for job in found["imports"]], found["total"]) == (["Set 2", "Set 1", "Set 0"], 3)
    cancelled = viewer_client.get("/api/datasets/imports", {"status": "cancelled"}).json()
    assert [job["id"] for job in cancelled["imports"]] == [str(jobs[0].pk)]
    assert viewer_client.get("/api/datasets/imports", {"status": "x"}).json()["fields"].keys() == {"status"}


def test_an_import_is_cancelled_tried_again_and_removed(teammate_client: Client, team: Team) -> None:
    job = imports.start(team, None, ImportKind.HUB, "Set", request={"repo": "acme/sums"})
    address = f"/api/datasets/imports/{job.pk}"
    early = teammate_client.delete(address)
    assert (early.status_code, early.json()["status"]) == (409, "queued")
    assert "Only an import that failed" in early.json()["error"]
    assert teammate_client.post(f"{address}/cancel").json()["status"] == "cancelled"
    late = teammate_client.post(f"{address}/cancel")
    assert (late.status_code, late.json()["error"]) == (409, "The import had ended already.")
    assert teammate_client.post(f"{address}/retry").json()["status"] == "queued"
    teammate_client.post(f"{address}/cancel")
    assert teammate_client.delete(address).status_code == 204
    assert not Import.objects.exists()


# Generated


def test_the_tasks_have_names_and_parameters(viewer_client: Client) -> None:
    tasks = viewer_client.get("/api/datasets/generate/tasks").json()["tasks"]
    assert len(tasks) > 50
    assert (tasks[0]["task"], tasks[0]["label"]) == ("chain_sum", "Sums and differences")
    assert {"name", "type", "default"} <= tasks[0]["parameters"][0].keys()


def test_examples_are_the_first_rows_of_what_is_generated(teammate_client: Client) -> None:
    chosen = {"task": "chain_sum", "parameters": {"min_terms": 2, "max_terms": 2}, "seed": 7}
    examples = post(teammate_client, "generate/example", **chosen).json()["examples"]
    made = post(teammate_client, "generate", **chosen, size=20, name="Seven")
    assert made.status_code == 201
    assert (made.json()["name"], made.json()["rows"], made.json()["wanted"]) == ("Seven", 20, 20)
    rows = teammate_client.get(f"/api/datasets/{made.json()['id']}/versions/1/rows").json()["rows"]
    assert [row["cells"]["question"] for row in rows[:3]] == [example["question"] for example in examples]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "task"),
        ({"task": "nothing"}, "task"),
        ({"task": "chain_sum", "size": 1}, "size"),
        ({"task": "chain_sum", "seed": -1}, "seed"),
        ({"task": "chain_sum", "parameters": [1]}, "parameters"),
        ({"task": "chain_sum", "parameters": {"no": 1}}, "parameters"),
    ],
)
def test_a_task_that_can_not_be_generated_names_the_field(teammate_client: Client, body: Any, field: str) -> None:
    response = post(teammate_client, "generate", **body)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == [field]


# The hub


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Iterator[Hub]:
    settings.CACHE_DIR = tmp_path / "cache"
    cache.clear()
    with Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        server.add("acme/sums", {"train.jsonl": jsonl(*sums(30)), "test.jsonl": jsonl(*sums(5))})
        yield server


def test_a_dataset_of_the_hub_is_described_previewed_and_imported(teammate_client: Client, server: Hub) -> None:
    described = teammate_client.get("/api/datasets/hub", {"repo": "acme/sums"}).json()
    assert {split["name"] for split in described["splits"]} == {"train", "test"}
    preview = teammate_client.get("/api/datasets/hub/preview", {"repo": "acme/sums", "split": "test", "rows": 2}).json()
    assert preview["rows"] == sums(2)
    by_readme = teammate_client.post(PREVIEW, {"path": "acme/sums", "samples": 3}, content_type=JSON).json()
    assert (by_readme["repo"], by_readme["samples"]) == ("acme/sums", sums(3))
    queued = post(teammate_client, "hub/import", repo="acme/sums", split="train", rows=10, name="Ten")
    assert queued.status_code == 202
    job = run(Import.objects.get(pk=queued.json()["id"]))
    assert job.request["revision"] == described["commit"]
    dataset = teammate_client.get(f"/api/datasets/{job.dataset_id}").json()
    assert (dataset["name"], dataset["rows"], dataset["source"]) == ("Ten", 10, "hub")
    assert dataset["source_detail"]["revision"] == described["commit"]
    asked = len(server.asked)
    own = teammate_client.post(PREVIEW, {"path": "acme/sums", "samples": 1}, content_type=JSON).json()
    assert (own["name"], len(server.asked)) == ("Ten", asked), "what the team has is not asked for again"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "repo"),
        ({"repo": "not an id"}, "repo"),
        ({"repo": "acme/nothing"}, "repo"),
        ({"repo": "acme/sums", "split": "nothing"}, "split"),
        ({"repo": "acme/sums", "rows": 0}, "rows"),
        ({"repo": "acme/sums", "revision": "a b"}, "revision"),
    ],
)
def test_what_the_hub_does_not_have_names_the_field(
    teammate_client: Client, server: Hub, body: Any, field: str
) -> None:
    response = post(teammate_client, "hub/import", **body)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == [field]
    assert not Import.objects.exists()


def test_the_public_sets_are_filtered_and_say_what_the_team_has(viewer_client: Client, team: Team) -> None:
    made = Dataset.objects.create(team=team, name="x", source=Source.HUB, source_detail={"repo": "openai/gsm8k"})
    found = viewer_client.get("/api/datasets/public").json()["public"]
    assert len(found) == 7
    assert {one["key"]: one["dataset"] for one in found}["gsm8k"] == str(made.pk)
    maths = viewer_client.get("/api/datasets/public", {"category": "math"}).json()["public"]
    assert {one["category"] for one in maths} == {"math"}
    assert [one["key"] for one in viewer_client.get("/api/datasets/public", {"search": "alpaca"}).json()["public"]]


def test_a_name_with_a_slash_of_the_team_s_own_is_not_asked_of_the_hub(
    teammate_client: Client, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "preview", lambda *args, **options: pytest.fail("the hub was asked"))
    for path in ("/etc/passwd", "../secret", "a/../b", "no such name"):
        assert teammate_client.post(PREVIEW, {"path": path}, content_type=JSON).status_code == 404
