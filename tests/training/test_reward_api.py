"""Quick start over REST: what fits a dataset, why, and what it makes of its rows."""

import pytest

from rewards import presets
from rewards.models import RewardPreset
from tests.training.test_reward_gate import examined_by_a_worker
from training import lifecycle

URL = "/api/rewards/quick-start"


def test_presets_are_proposed_with_reason_confidence_and_scores_on_rows(viewer_client, dataset):
    found = viewer_client.get(URL, {"dataset": str(dataset.pk)}).json()
    assert (found["dataset"], found["version"]) == (str(dataset.pk), 1)
    best = found["proposals"][0]
    assert (best["preset"], best["confidence"], best["own"]) == ("math", "high", False)
    assert "100% of the references are a number" in best["why"] and best["references"] == {"a number": 1.0}
    assert best["right"] > best["wrong"] and best["rows"] == len(best["scored"]) == 6
    row = best["scored"][0]
    assert row["question"] == "0 plus 1?" and row["reference"] == "1" and row["right"] > row["wrong"]


def test_a_preset_of_the_team_is_proposed_to_it_alone(teammate_client, dataset, team, owner, outsider):
    copied = presets.copy(RewardPreset.objects.get(slug="math", team=None), team, owner)
    presets.create(outsider.teams.get(), outsider, name="Theirs", definition=copied.definition)
    found = teammate_client.get(URL + "/", {"dataset": str(dataset.pk), "version": "1"}).json()["proposals"]
    assert [(each["preset"], each["own"]) for each in found][:2] == [("math", False), ("math-copy", True)]
    assert not [each for each in found if each["name"] == "Theirs"]


def test_others_get_nothing(outsider_client, client, dataset):
    assert outsider_client.get(URL, {"dataset": str(dataset.pk)}).status_code == 404
    assert client.get(URL, {"dataset": str(dataset.pk)}).status_code == 401


@pytest.mark.parametrize(
    ("asked", "status", "field"),
    [({}, 400, "dataset"), ({"dataset": "none"}, 404, None), ({"version": "7"}, 400, "version"),
     ({"version": "x"}, 400, "version")],
)  # fmt: skip
def test_what_can_not_be_asked_is_said(owner_client, dataset, asked, status, field):
    asked = {"dataset": str(dataset.pk), **asked} if "version" in asked else asked
    reply = owner_client.get(URL, asked)
    assert reply.status_code == status and (field is None or field in reply.json()["fields"])


def test_a_dataset_without_a_mapping_is_told_to_get_one(owner_client, dataset):
    dataset.versions.update(mapping={})
    reply = owner_client.get(URL, {"dataset": str(dataset.pk)})
    assert reply.status_code == 400 and "no question and answer column" in reply.json()["fields"]["dataset"][0]


def test_nothing_is_written_by_asking(owner_client, dataset):
    assert owner_client.post(URL, {"dataset": str(dataset.pk)}).status_code == 405


def gate_url(session):
    return f"/api/training/sessions/{session.pk}/gate"


def test_the_gate_of_a_draft_is_read_and_examined(teammate_client, viewer_client, outsider_client, client, draft):
    lifecycle.save_draft(draft, {**draft.config, "reward": {"type": "preset", "preset_name": "math"}})
    before = viewer_client.get(gate_url(draft)).json()
    assert before["status"] == "none" and before["report"] is None and before["plan"]["requests"] == 0
    for who, status in ((viewer_client, 403), (outsider_client, 404), (client, 401)):
        assert who.post(gate_url(draft)).status_code == status
    reply = teammate_client.post(gate_url(draft))
    assert reply.status_code == 202 and reply.json()["status"] == "queued"
    examined_by_a_worker()
    after = viewer_client.get(gate_url(draft)).json()
    assert after["status"] == "examined" and after["report"]["passed"] and after["report"]["drawn_from"] == 18


def test_the_gate_of_a_started_session_is_what_was_kept(viewer_client, queued):
    assert viewer_client.get(gate_url(queued)).json()["reward_check"] == queued.reward_check


def test_the_gate_of_a_draft_that_is_not_ready_names_what_is_missing(owner_client, draft):
    lifecycle.save_draft(draft, {**draft.config, "dataset": {}})
    assert "dataset.source" in owner_client.get(gate_url(draft)).json()["fields"]
