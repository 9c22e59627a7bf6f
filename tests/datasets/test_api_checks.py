"""Validation reports over REST; the team's token for the hub."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from accounts import secrets
from accounts.models import Team
from datasets_app import checks, mapping
from datasets_app.models import Check, DatasetVersion
from jobs.choices import JobStatus
from tests.datasets.test_api_versions import at, post

TOKEN = "/api/team/hub-token"
SECRET = "hf_a_secret_token_of_ours"


def test_a_check_is_started_once(teammate_client: Client, version: DatasetVersion) -> None:
    first = post(teammate_client, at(version, "/checks"), system_prompt="Be brief.", max_tokens=512)
    assert first.status_code == 202
    assert (first.json()["status"], first.json()["version"], first.json()["current"]) == ("queued", 1, True)
    again = post(teammate_client, at(version, "/checks"), system_prompt="Be brief.", max_tokens=512)
    assert again.json()["id"] == first.json()["id"]
    other = post(teammate_client, at(version, "/checks"))
    assert other.json()["id"] != first.json()["id"]
    assert other.json()["request"]["max_tokens"] == checks.MAX_TOKENS
    assert Check.objects.count() == 2


def test_a_report_that_is_there_is_answered_at_once(teammate_client: Client, version: DatasetVersion) -> None:
    made = post(teammate_client, at(version, "/checks")).json()
    Check.objects.update(status=JobStatus.READY, report={"findings": [], "rows": 40})
    again = post(teammate_client, at(version, "/checks"))
    assert (again.status_code, again.json()["report"]["rows"]) == (200, 40)
    detail = teammate_client.get(f"/api/datasets/checks/{made['id']}").json()
    assert (detail["report"]["rows"], detail["current"]) == (40, True)
    listed = teammate_client.get(at(version, "/checks")).json()
    assert (listed["total"], "report" in listed["checks"][0]) == (1, False)


def test_a_report_of_another_mapping_says_so(teammate_client: Client, version: DatasetVersion) -> None:
    made = post(teammate_client, at(version, "/checks")).json()
    mapping.map_columns(version, "question", "answer", "last_number")
    assert not teammate_client.get(f"/api/datasets/checks/{made['id']}").json()["current"]


def test_a_check_is_cancelled_once(teammate_client: Client, version: DatasetVersion) -> None:
    address = f"/api/datasets/checks/{post(teammate_client, at(version, '/checks')).json()['id']}/cancel"
    assert teammate_client.post(address).json()["status"] == "cancelled"
    late = teammate_client.post(address)
    assert (late.status_code, late.json()["error"]) == (409, "The check had ended already.")


@pytest.mark.parametrize(
    ("body", "field"), [({"max_tokens": 0}, "max_tokens"), ({"model": "../x"}, "model"), ({"modle": ""}, "modle")]
)
def test_a_check_that_can_not_be_names_the_field(
    teammate_client: Client, version: DatasetVersion, body: Any, field: str
) -> None:
    response = post(teammate_client, at(version, "/checks"), **body)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == [field]


# The token


def put(client: Client, token: Any) -> Any:
    return client.put(TOKEN, {"token": token}, content_type="application/json")


def test_a_token_is_saved_seen_by_its_ending_and_removed(owner_client: Client, viewer_client: Client) -> None:
    assert owner_client.get(TOKEN).json()["saved"] is False
    answers = [put(owner_client, f" {SECRET}\n"), owner_client.get(TOKEN), viewer_client.get(TOKEN)]
    for answer in answers:
        assert SECRET not in answer.content.decode()
        found = answer.json()
        assert (found["saved"], found["ending"], found["saved_by"]) == (True, SECRET[-4:], "charlie")
    assert owner_client.delete(TOKEN).status_code == 204
    assert owner_client.delete(TOKEN).status_code == 204
    assert owner_client.get(TOKEN).json()["saved"] is False


def test_a_saved_token_is_the_one_that_the_hub_is_asked_with(owner_client: Client, team: Team) -> None:
    put(owner_client, SECRET)
    assert secrets.value_of(team, secrets.HUGGINGFACE) == SECRET


@pytest.mark.parametrize("token", ["", "short", "with space in it", "x" * 501, None, {"a": 1}, "tökentökentöken"])
def test_what_is_no_token_is_refused_and_not_repeated(owner_client: Client, token: Any) -> None:
    response = put(owner_client, token)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == ["token"]
    assert not token or str(token) not in response.content.decode()
    assert owner_client.get(TOKEN).json()["saved"] is False


def test_only_an_owner_changes_the_token(teammate_client: Client, viewer_client: Client, owner: User) -> None:
    for client in (teammate_client, viewer_client):
        assert put(client, SECRET).status_code == 403
        assert client.delete(TOKEN).status_code == 403
