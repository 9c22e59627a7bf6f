"""The list of datasets over REST, one of them, its new name and its end."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from datasets_app.models import Dataset, DatasetVersion, Source
from tests.datasets.conftest import Importer, sums
from tests.datasets.test_versions import used_by
from training.choices import Status

LIST = "/api/datasets/list"


def one(version: DatasetVersion) -> str:
    return f"/api/datasets/{version.dataset_id}"


def names(client: Client, **query: Any) -> list[str]:
    return [dataset["name"] for dataset in client.get(LIST, query).json()["datasets"]]


def patch(client: Client, address: str, **body: Any) -> Any:
    return client.patch(address, body, content_type="application/json")


@pytest.fixture
def three(imported: Importer) -> list[DatasetVersion]:
    made = [imported(*sums(size), name=f"{name}.jsonl") for name, size in (("beta", 3), ("Alpha", 9), ("gamma", 5))]
    Dataset.objects.filter(name="gamma").update(source=Source.PASTE)
    return made


def test_the_list_is_searched_filtered_and_sorted(owner_client: Client, three: list[DatasetVersion]) -> None:
    assert names(owner_client) == ["gamma", "Alpha", "beta"], "the newest first"
    assert names(owner_client, search="ALP") == ["Alpha"]
    assert names(owner_client, source="paste") == ["gamma"]
    assert names(owner_client, ordering="rows") == ["beta", "gamma", "Alpha"]
    assert names(owner_client, ordering="-rows") == ["Alpha", "gamma", "beta"]
    assert names(owner_client, search="nothing") == []


def test_pages_hold_each_dataset_once_and_say_how_many_there_are(
    owner_client: Client, three: list[DatasetVersion]
) -> None:
    pages = [owner_client.get(LIST, {"limit": 2, "offset": offset}).json() for offset in (0, 2, 4)]
    assert [page["total"] for page in pages] == [3, 3, 3]
    assert [len(page["datasets"]) for page in pages] == [2, 1, 0]
    assert len({dataset["id"] for page in pages for dataset in page["datasets"]}) == 3


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 1001}, {"offset": -1}, {"ordering": "secret"}, {"source": "x"}, {"limit": "x"}]
)
def test_a_wrong_question_names_its_field(owner_client: Client, query: dict[str, Any]) -> None:
    response = owner_client.get(LIST, query)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == list(query)


def test_one_dataset_tells_of_its_newest_version_and_of_all_numbers(
    owner_client: Client, version: DatasetVersion, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    owner_client.get(LIST)
    with django_assert_max_num_queries(6):
        found = owner_client.get(one(version)).json()
    assert (found["name"], found["team"], found["versions"], found["rows"]) == ("sums", "Charlie's team", [1], 40)


def test_a_dataset_gets_another_name(teammate_client: Client, version: DatasetVersion) -> None:
    response = patch(teammate_client, one(version), name="  Sums of two ")
    assert response.status_code == 200
    assert response.json()["name"] == "Sums of two"
    assert Dataset.objects.get().name == "Sums of two"


def test_a_dataset_may_keep_its_own_name(teammate_client: Client, version: DatasetVersion) -> None:
    assert patch(teammate_client, one(version), name="sums").status_code == 200
    assert patch(teammate_client, one(version)).status_code == 200


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "Give the dataset a name"), (" \x00", "Give"), ("other", "already has"), ("x" * 201, "200")],
)
def test_a_name_that_can_not_be_is_refused(
    teammate_client: Client, version: DatasetVersion, imported: Importer, name: str, words: str
) -> None:
    imported(*sums(2), name="other.jsonl")
    response = patch(teammate_client, one(version), name=name)
    assert response.status_code == 400
    assert words in response.json()["fields"]["name"][0]
    assert Dataset.objects.filter(name="sums").exists()


def test_the_name_of_another_team_s_dataset_is_free(
    teammate_client: Client, version: DatasetVersion, imported: Importer, outsider: User
) -> None:
    imported(*sums(2), name="theirs.jsonl", team=outsider.teams.get())
    assert patch(teammate_client, one(version), name="theirs").status_code == 200


def test_what_no_session_used_is_deleted_at_once(teammate_client: Client, version: DatasetVersion) -> None:
    assert teammate_client.delete(one(version)).status_code == 204
    assert teammate_client.get(one(version)).status_code == 404


def test_what_a_session_used_asks_first(teammate_client: Client, version: DatasetVersion) -> None:
    used_by(version)
    response = teammate_client.delete(one(version))
    assert response.status_code == 409
    assert "1 session was trained on this dataset" in response.json()["error"]
    assert Dataset.objects.exists()
    assert teammate_client.delete(f"{one(version)}?confirm=true").status_code == 204
    assert not Dataset.objects.exists()


def test_what_a_session_trains_on_stays_even_then(teammate_client: Client, version: DatasetVersion) -> None:
    used_by(version, Status.TRAINING)
    response = teammate_client.delete(f"{one(version)}?confirm=true")
    assert response.status_code == 409
    assert "Training now: A run" in response.json()["error"]
    assert Dataset.objects.exists()
