import base64
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from knox.models import AuthToken
from pytest_django import DjangoAssertNumQueries

from datasets_app.models import Dataset, DatasetVersion
from tests.datasets.conftest import Importer, jsonl, sums

LIST, UPLOAD, PREVIEW = "/api/datasets/list", "/api/datasets/upload", "/api/datasets/preview"


def file(raw: bytes) -> dict[str, Any]:
    return {"file": SimpleUploadedFile("sums.jsonl", raw)}


def preview(client: Client, **body: Any) -> Any:
    return client.post(PREVIEW, json.dumps(body), content_type="application/json")


def test_the_list_shows_the_team_s_datasets(owner_client: Client, version: DatasetVersion) -> None:
    """S15.4"""
    [dataset] = owner_client.get(LIST).json()["datasets"]
    assert dataset["id"] == str(version.dataset_id)
    assert (dataset["name"], dataset["rows"], dataset["accepted"]) == ("sums", 40, True)
    assert dataset["mapping"].items() >= {"instruction": "question", "response": "answer", "rule": "whole"}.items()
    assert dataset["split"] == {"seed": 42, "held_out": 4}


def test_an_upload_becomes_a_dataset_and_lists_rejected_lines(teammate_client: Client) -> None:
    """S15.5"""
    response = teammate_client.post(UPLOAD, file(jsonl(*sums(3)) + b"bad\n"))
    assert response.status_code == 201
    answer = response.json()
    assert (answer["rows"], answer["rejected_count"], answer["accepted"]) == (3, 1, False)
    assert answer["rejected"][0]["line"] == 4
    assert Dataset.objects.get().name == answer["name"] == "sums"


def test_a_preview_returns_rows_by_id_or_name(owner_client: Client, imported: Importer) -> None:
    """S15.6"""
    rows = [{"question": f"{n}?", "answer": n, "tags": ["a", {"b": None}]} for n in range(8)]
    version = imported(*rows, {"question": "last", "answer": 1})
    for path in (str(version.dataset_id), "sums"):
        answer = preview(owner_client, path=path, samples=3).json()
        assert answer["samples"] == rows[:3], "nested columns are JSON again"
        assert answer["rows"] == 9
    assert len(preview(owner_client, path="sums").json()["samples"]) == 5


@pytest.mark.parametrize("address", [LIST, UPLOAD, PREVIEW])
def test_a_slash_at_the_end_changes_nothing(owner_client: Client, version: DatasetVersion, address: str) -> None:
    method = "get" if address == LIST else "post"
    without, with_slash = (getattr(owner_client, method)(path) for path in (address, f"{address}/"))
    assert without.status_code == with_slash.status_code
    assert without.json() == with_slash.json()


def test_an_outsider_finds_nothing(outsider_client: Client, version: DatasetVersion) -> None:
    assert outsider_client.get(LIST).json()["datasets"] == []
    for path in (str(version.dataset_id), "sums"):
        response = preview(outsider_client, path=path)
        assert response.status_code == 404
        assert set(response.json()) == {"error", "fields"}


def test_an_outsider_uploads_into_the_own_team(outsider_client: Client, outsider: User) -> None:
    outsider_client.post(UPLOAD, file(jsonl(*sums(2))))
    assert Dataset.objects.get().team == outsider.teams.get()


def test_a_viewer_may_read_but_not_upload(viewer_client: Client, version: DatasetVersion) -> None:
    assert len(viewer_client.get(LIST).json()["datasets"]) == 1
    assert preview(viewer_client, path="sums").status_code == 200
    response = viewer_client.post(UPLOAD, file(jsonl(*sums(2))))
    assert response.status_code == 403
    assert "member" in response.json()["error"]
    assert Dataset.objects.count() == 1


@pytest.mark.parametrize("address", [LIST, UPLOAD, PREVIEW])
def test_without_credentials_there_is_no_answer(client: Client, db: None, address: str) -> None:
    response = client.get(address) if address == LIST else client.post(address)
    assert response.status_code == 401


def test_token_and_basic_both_open_the_api(client: Client, owner: User, version: DatasetVersion) -> None:
    _, token = AuthToken.objects.create(owner)
    basic = base64.b64encode(b"charlie:a long password").decode()
    for credentials in (f"Token {token}", f"Basic {basic}"):
        response = client.get(LIST, headers={"Authorization": credentials})
        assert len(response.json()["datasets"]) == 1


@pytest.mark.parametrize(
    ("raw", "words"), [(b"bad\n", "the only line was rejected"), (b"\x1f\x8b", "gzip"), (b"\n", "no usable row")]
)
def test_a_hopeless_file_is_explained(owner_client: Client, raw: bytes, words: str) -> None:
    response = owner_client.post(UPLOAD, file(raw))
    assert response.status_code == 400
    assert words in response.json()["error"]
    assert not Dataset.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "path"),
        ({"path": ""}, "path"),
        ({"path": "sums", "samples": 0}, "samples"),
        ({"path": "sums", "samples": "x"}, "samples"),
        ({"path": "sums", "samples": 101}, "samples"),
    ],
)
def test_a_wrong_request_names_its_field(
    owner_client: Client, version: DatasetVersion, body: dict[str, Any], field: str
) -> None:
    response = preview(owner_client, **body)
    assert response.status_code == 400
    assert field in response.json()["fields"]


def test_an_upload_without_a_file_or_over_the_limit_names_the_field(owner_client: Client, settings: Any) -> None:
    assert owner_client.post(UPLOAD, {}).json()["fields"]["file"] == ["Choose a file."]
    settings.MAX_UPLOAD_BYTES = 1024
    response = owner_client.post(UPLOAD, file(b"x" * 2000))
    assert response.status_code == 400
    assert "larger than 1 KB" in response.json()["fields"]["file"][0]


def test_a_path_is_never_a_file_name(owner_client: Client, version: DatasetVersion) -> None:
    for path in ("/etc/passwd", f"../{version.file}", version.file, str(version.path)):
        assert preview(owner_client, path=path).status_code == 404


def test_the_list_takes_a_fixed_number_of_queries(
    owner_client: Client, imported: Importer, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(5):
        imported(*sums(2))
    with django_assert_max_num_queries(4):
        assert len(owner_client.get(LIST).json()["datasets"]) == 5
