"""Examinations and golden cases of presets over REST, with the examples of docs/api.md."""

import json
import re
from pathlib import Path

import pytest
from django.conf import settings

from rewards import examinations, presets
from rewards.models import Examination, RewardPreset
from tests.rewards.test_examinations import claimed

ANSWER = {"instruction": "6 + 6?", "response": "13", "reference": "12"}


@pytest.fixture
def own(team, owner):
    return presets.copy(RewardPreset.objects.get(slug="math", team=None), team, owner)


def address(preset, what):
    return f"/api/rewards/presets/{preset.pk}/{what}"


def send(client, method, preset, what, **body):
    return getattr(client, method)(address(preset, what), body, content_type="application/json")


def test_an_examination_is_asked_for_and_read(teammate_client, viewer_client, own):
    assert viewer_client.get(address(own, "examination")).json()["status"] == "none"
    reply = send(teammate_client, "post", own, "examination")
    assert reply.status_code == 202 and reply.json()["status"] == "queued" and reply.json()["progress"] == 0
    examinations.perform(claimed())
    found = viewer_client.get(address(own, "examination/")).json()
    assert found["status"] == "examined" and found["report"]["passed"] and found["report"]["false_pass_rate"] == 0


def test_a_case_is_added_and_taken_back(teammate_client, own):
    reply = send(teammate_client, "post", own, "cases", **ANSWER, wanted="low")
    assert reply.status_code == 201 and reply.json()["version"] == 2 and not reply.json()["copied"]
    assert reply.json()["golden"][-1]["answers"] == [{"text": "13", "rank": 3, "label": "low"}]
    assert send(teammate_client, "post", own, "cases", **ANSWER, wanted="low").status_code == 200
    reply = send(teammate_client, "delete", own, "cases", **ANSWER)
    assert reply.status_code == 200 and reply.json()["golden"] == own.golden
    assert send(teammate_client, "delete", own, "cases", **ANSWER).status_code == 409


def test_a_case_of_a_shipped_preset_goes_to_a_copy(teammate_client, team):
    math = RewardPreset.objects.get(slug="math", team=None)
    reply = send(teammate_client, "post", math, "cases", **ANSWER, wanted="high")
    assert reply.json()["copied"] and reply.json()["preset"] == str(RewardPreset.objects.get(team=team).pk)
    assert send(teammate_client, "delete", math, "cases", **ANSWER).status_code == 403


def test_what_is_wrong_with_a_case_is_said(owner_client, own):
    fields = send(owner_client, "post", own, "cases", **ANSWER, wanted="nice", more=1).json()["fields"]
    assert {"wanted", "more"} <= fields.keys()
    assert "response" in send(owner_client, "post", own, "cases", instruction="?", wanted="low").json()["fields"]


@pytest.mark.parametrize(("who", "status"), [("viewer_client", 403), ("outsider_client", 404), ("client", 401)])
def test_only_members_write(request, own, who, status):
    client = request.getfixturevalue(who)
    assert send(client, "post", own, "examination").status_code == status
    assert send(client, "post", own, "cases", **ANSWER, wanted="low").status_code == status
    assert send(client, "delete", own, "cases", **ANSWER).status_code == status
    own.refresh_from_db()
    assert own.version == 1 and not Examination.objects.exists()


def test_the_example_of_a_case_in_the_document_is_taken(owner_client, own):
    text = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text(encoding="utf-8")
    found = re.search(r"presets/\$PRESET/cases\".*?-d '(\{.*?\})'", text, re.DOTALL)
    assert found is not None
    assert send(owner_client, "post", own, "cases", **json.loads(found[1])).status_code == 201
