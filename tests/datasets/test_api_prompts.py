"""Prompt templates over REST."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import Team
from datasets_app.models import DatasetVersion, PromptTemplate

PROMPTS = "/api/datasets/prompts"
FIELDS = {
    "name": "Ours",
    "system_prompt": "Answer in {solution_start}{solution_end}.",
    "solution_start": "<answer>",
    "solution_end": "</answer>",
}


def send(client: Client, method: str, address: str, **body: Any) -> Any:
    return getattr(client, method)(f"{PROMPTS}{address}", body, content_type="application/json")


@pytest.fixture
def template(team: Team, owner: User) -> PromptTemplate:
    made: PromptTemplate = PromptTemplate.objects.create(team=team, created_by=owner, **FIELDS)
    return made


@pytest.fixture
def shipped(db: None) -> PromptTemplate:
    found: PromptTemplate = PromptTemplate.objects.get(team=None, name="GRPO default")
    return found


def test_the_list_has_the_team_s_own_and_then_the_shipped(
    viewer_client: Client, template: PromptTemplate, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(4):
        found = viewer_client.get(PROMPTS).json()["prompts"]
    assert (found[0]["name"], found[0]["shipped"], found[0]["created_by"]) == ("Ours", False, "charlie")
    assert len(found) > 1
    assert all(one["shipped"] for one in found[1:])
    searched = viewer_client.get(PROMPTS, {"search": "OUR"}).json()["prompts"]
    assert searched[0]["name"] == "Ours"


def test_a_template_is_made_changed_and_deleted(teammate_client: Client, team: Team) -> None:
    made = send(teammate_client, "post", "", **FIELDS)
    assert made.status_code == 201
    assert (made.json()["rendered"], made.json()["team"]) == ("Answer in <answer></answer>.", team.name)
    address = f"/{made.json()['id']}"
    changed = send(teammate_client, "patch", address, solution_start="<end>", description="New")
    assert changed.status_code == 200
    assert (changed.json()["solution_start"], changed.json()["solution_end"]) == ("<end>", "</answer>")
    row = PromptTemplate.objects.get(team=team)
    assert (row.description, row.created_by.get_username()) == ("New", "bob")  # type: ignore[union-attr]
    assert teammate_client.delete(f"{PROMPTS}{address}").status_code == 204
    assert teammate_client.get(f"{PROMPTS}{address}").status_code == 404


def test_what_is_seldom_meant_is_said_and_saved(teammate_client: Client) -> None:
    made = send(teammate_client, "post", "", **{**FIELDS, "system_prompt": "Answer {somehow}."})
    assert made.status_code == 201
    assert "is no marker's name" in str(made.json()["advice"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "Taken"}, "name"),
        ({"solution_end": ""}, "solution_end"),
        ({"template_type": "nothing"}, "template_type"),
        ({"chat_template": "{% if %}"}, "chat_template"),
        ({"team": "other"}, "team"),
        ({"system_prompt": ["x"]}, "system_prompt"),
    ],
)
def test_a_template_that_can_not_work_names_the_field(
    teammate_client: Client, team: Team, template: PromptTemplate, body: Any, field: str
) -> None:
    PromptTemplate.objects.create(team=team, name="Taken")
    for method, address, fields in (("post", "", {**FIELDS, "name": "New"}), ("patch", f"/{template.pk}", {})):
        response = send(teammate_client, method, address, **{**fields, **body})
        assert response.status_code == 400
        assert list(response.json()["fields"]) == [field]
    assert PromptTemplate.objects.filter(team=team).count() == 2
    assert PromptTemplate.objects.get(pk=template.pk).solution_end == "</answer>"


def test_a_shipped_template_is_copied_and_never_changed(teammate_client: Client, shipped: PromptTemplate) -> None:
    for response in (
        send(teammate_client, "patch", f"/{shipped.pk}", name="Mine"),
        teammate_client.delete(f"{PROMPTS}/{shipped.pk}"),
    ):
        assert response.status_code == 403
        assert "copy this one" in response.json()["error"]
    copied = send(teammate_client, "post", f"/{shipped.pk}/copy")
    assert copied.status_code == 201
    assert (copied.json()["name"], copied.json()["shipped"]) == ("GRPO default (copy)", False)
    assert copied.json()["rendered"] == shipped.rendered


def test_fields_are_judged_without_being_saved(viewer_client: Client) -> None:
    good = send(viewer_client, "post", "/validate", **FIELDS).json()
    assert good["valid"], good
    bad = send(viewer_client, "post", "/validate", **{**FIELDS, "solution_end": ""}).json()
    assert not bad["valid"]
    assert {finding["field"] for finding in bad["findings"] if finding["level"] == "bad"} == {"solution_end"}
    broken = send(viewer_client, "post", "/validate", **FIELDS, chat_template="{% for %}").json()
    assert not broken["valid"]
    assert "line 1" in broken["problem"].lower()
    assert not PromptTemplate.objects.filter(name="Ours").exists()


def test_a_preview_is_made_with_a_row_of_the_dataset(viewer_client: Client, version: DatasetVersion) -> None:
    chosen = {"dataset": str(version.dataset_id), "row": 2}
    found = send(viewer_client, "post", "/preview", **FIELDS, **chosen).json()
    assert (found["question"], found["reference"]) == ("What is 2 + 1?", "3")
    assert "What is 2 + 1?" in found["text"]
    assert "Answer in <answer></answer>." in found["text"]
    assert found["tokens"] is None
    assert found["samples"][0]["text"].endswith("<answer>3</answer>")


def test_a_preview_with_another_team_s_dataset_is_not_found(outsider_client: Client, version: DatasetVersion) -> None:
    assert send(outsider_client, "post", "/preview", dataset=str(version.dataset_id)).status_code == 404
