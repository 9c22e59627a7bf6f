"""The versions of a dataset over REST."""

from typing import Any

import pytest
from django.test import Client

from datasets_app.models import DatasetVersion, Import
from tests.datasets.conftest import Importer, jsonl, sums
from tests.datasets.test_versions import run, used_by

JSON = "application/json"


def at(version: DatasetVersion, rest: str = "", number: Any = None) -> str:
    return f"/api/datasets/{version.dataset_id}/versions/{number or version.number}{rest}"


def post(client: Client, address: str, **body: Any) -> Any:
    return client.post(address, body, content_type=JSON)


def patch(client: Client, address: str, **body: Any) -> Any:
    return client.patch(address, body, content_type=JSON)


def fresh(version: DatasetVersion) -> DatasetVersion:
    return DatasetVersion.objects.get(pk=version.pk)


def test_a_version_is_told_in_full(owner_client: Client, version: DatasetVersion) -> None:
    found = owner_client.get(at(version)).json()
    assert (found["number"], found["rows"], found["origin"], found["compatibility"]) == (1, 40, {}, 1.0)
    assert found["mapping"]["instruction"] == "question"
    assert found["split"]["held_out"] == 4
    assert found["report"]["parts"]["train"] == 36
    assert found["unused_columns"] == []
    assert owner_client.get(at(version, number="latest")).json() == found


def test_the_list_has_every_version_the_newest_first(owner_client: Client, version: DatasetVersion) -> None:
    post(owner_client, at(version, "/remap"), rule="last_number")
    found = owner_client.get(f"/api/datasets/{version.dataset_id}/versions").json()["versions"]
    assert [one["number"] for one in found] == [2, 1]
    assert "report" not in found[0]
    assert owner_client.get(at(version, number="latest")).json()["number"] == 2


@pytest.mark.parametrize("number", [2, 0, "x", 10**12])
def test_a_number_that_is_not_there_is_not_found(owner_client: Client, version: DatasetVersion, number: Any) -> None:
    path = f"/api/datasets/{version.dataset_id}/versions/{number}"
    assert owner_client.get(path).status_code == 404


# Mapping and split


def test_a_part_of_the_mapping_is_changed_and_the_rest_stays(teammate_client: Client, imported: Importer) -> None:
    version = imported(*[{**row, "unit": "m"} for row in sums(40)])
    response = patch(teammate_client, at(version, "/mapping"), extra={"unit": "unit"})
    assert response.status_code == 200
    stored = fresh(version).mapping
    assert stored == response.json()["mapping"]
    assert (stored["instruction"], stored["response"], stored["extra"]) == ("question", "answer", {"unit": "unit"})
    patch(teammate_client, at(version, "/mapping"), input="unit")
    assert fresh(version).mapping["extra"] == {"unit": "unit"}


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"instruction": "nothing"}, "instruction", "There is no column “nothing”"),
        ({"response": "question"}, "response", "same column"),
        ({"rule": "magic"}, "rule", "magic"),
        ({"extra": {"unit": "nothing"}}, "extra", "nothing"),
        ({"extra": {"2 bad": "answer"}}, "extra", "letters"),
        ({"extra": ["answer"]}, "extra", "Write {"),
        ({"instruction": {"a": 1}}, "instruction", "one value"),
        ({"instructoin": "question"}, "instructoin", "no such field"),
    ],
)
def test_a_mapping_that_can_not_work_names_the_field(
    teammate_client: Client, version: DatasetVersion, body: Any, field: str, words: str
) -> None:
    before = version.mapping
    response = patch(teammate_client, at(version, "/mapping"), **body)
    assert response.status_code == 400
    assert words in str(response.json()["fields"][field])
    assert fresh(version).mapping == before


def test_auto_map_puts_the_detected_columns_back(teammate_client: Client, version: DatasetVersion) -> None:
    patch(teammate_client, at(version, "/mapping"), instruction="answer", response="question")
    answer = teammate_client.post(at(version, "/mapping/auto")).json()
    assert len(answer["changed"]) >= 2
    assert fresh(version).mapping["instruction"] == "question"


def test_what_a_session_uses_can_not_be_mapped_anew_but_as_another_version(
    teammate_client: Client, version: DatasetVersion
) -> None:
    used_by(version)
    refused = patch(teammate_client, at(version, "/mapping"), rule="last_number")
    assert refused.status_code == 400
    assert "Make a new version" in refused.json()["error"]
    made = post(teammate_client, at(version, "/remap"), rule="last_number")
    assert made.status_code == 201
    assert (made.json()["number"], made.json()["mapping"]["rule"]) == (2, "last_number")
    assert fresh(version).mapping["rule"] == "whole"


def test_a_split_by_seed_keeps_what_is_not_said(teammate_client: Client, version: DatasetVersion) -> None:
    assert patch(teammate_client, at(version, "/split"), held_out=10, validation=5).status_code == 200
    assert patch(teammate_client, at(version, "/split"), seed=7).status_code == 200
    split = fresh(version).split
    assert (split["held_out"], split["validation"], split["seed"]) == (10, 5, 7)


def test_a_split_is_taken_from_a_column(teammate_client: Client, imported: Importer) -> None:
    rows = [{**row, "part": "dev" if number % 4 == 0 else "tr"} for number, row in enumerate(sums(40))]
    version = imported(*rows)
    body = {"column": "part", "train": ["tr"], "test": ["dev"]}
    answer = patch(teammate_client, at(version, "/split"), **body).json()
    assert answer["report"]["parts"]["held_out"] == 10
    assert fresh(version).split["test"] == ["dev"]


def test_the_values_of_a_column_may_say_themselves_what_they_are(teammate_client: Client, imported: Importer) -> None:
    rows = [{**row, "where": "test" if number % 4 == 0 else "train"} for number, row in enumerate(sums(40))]
    version = imported(*rows)
    assert patch(teammate_client, at(version, "/split"), column="where").json()["split"]["train"] == ["train"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"held_out": 39}, "held_out"),
        ({"held_out": "x"}, "held_out"),
        ({"held_out": 4, "validation": 30}, "validation"),
        ({"column": "nothing"}, "column"),
        ({"column": "question"}, "column"),
        ({"column": "answer", "seed": 4}, "seed"),
        ({"column": "answer", "train": "1"}, "train"),
    ],
)
def test_a_split_that_can_not_be_names_the_field(
    teammate_client: Client, version: DatasetVersion, body: Any, field: str
) -> None:
    response = patch(teammate_client, at(version, "/split"), **body)
    assert response.status_code == 400
    assert field in response.json()["fields"]
    assert fresh(version).split == version.split


# Rejected lines, filters, the end


def test_an_import_with_rejected_lines_is_accepted_once(teammate_client: Client, imported: Importer) -> None:
    version = imported(raw=jsonl(*sums(9)) + b"bad\n")
    assert post(teammate_client, at(version, "/filter"), empty=True).status_code == 400
    answers = [teammate_client.post(at(version, "/accept")).json() for _ in range(2)]
    assert [(answer["decided"], answer["accepted"]) for answer in answers] == [(True, True), (False, True)]


def test_a_dry_run_counts_and_makes_nothing(viewer_client: Client, version: DatasetVersion) -> None:
    answer = post(viewer_client, at(version, "/filter"), search="1", search_column="answer", dry_run=True)
    assert answer.status_code == 200
    found = answer.json()
    assert found["looked_at"] == 40
    assert found["kept"] + sum(reason["rows"] for reason in found["dropped"]) == 40
    assert found["dropped"][0]["title"] == "Search does not fit"
    assert found["examples"][0]["line"]
    assert not Import.objects.exists()


def test_a_filter_is_an_import_that_makes_the_next_version(teammate_client: Client, version: DatasetVersion) -> None:
    answer = post(teammate_client, at(version, "/filter"), keep=10)
    assert answer.status_code == 202
    run(Import.objects.get(pk=answer.json()["id"]))
    done = teammate_client.get(f"/api/datasets/imports/{answer.json()['id']}").json()
    assert (done["status"], done["dataset"], done["version"]) == ("ready", str(version.dataset_id), 2)
    made = teammate_client.get(at(version, number=2)).json()
    assert (made["rows"], made["origin"]["version"], made["origin"]["filters"]) == (10, 1, {"keep": 10})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"max_question": 3, "min_question": 9}, "max_question"),
        ({"search": "x", "search_column": "nothing"}, "search_column"),
        ({"keep": 0}, "keep"),
        ({"search": "x", "search_how": "like"}, "search_how"),
        ({"max_questoin": 3}, "max_questoin"),
    ],
)
def test_filters_that_can_not_work_are_refused(
    teammate_client: Client, version: DatasetVersion, body: Any, field: str | None
) -> None:
    for dry_run in (True, False):
        response = post(teammate_client, at(version, "/filter"), **body, dry_run=dry_run)
        assert response.status_code == 400
        assert list(response.json()["fields"]) == ([field] if field else [])
    assert not Import.objects.exists()


def test_a_version_is_deleted_by_its_number(teammate_client: Client, version: DatasetVersion) -> None:
    post(teammate_client, at(version, "/remap"), rule="last_number")
    assert teammate_client.delete(at(version, number="latest")).status_code == 404
    used_by(version)
    assert teammate_client.delete(at(version)).status_code == 409
    assert teammate_client.delete(at(version) + "?confirm=true").status_code == 204
    assert [one.number for one in DatasetVersion.objects.all()] == [2]
