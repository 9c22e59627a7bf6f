"""A session whose reward fails its check starts only with a reason, which is kept."""

import json

import pytest
from django.urls import reverse

from tests.training.factories import History, make_session
from tests.training.test_commands import manage
from training import lifecycle, reward_gate
from training.choices import Status

BAD = {
    "type": "custom",
    "parts": [
        {"name": "form", "function": "solution_markers", "weight": 1.0},
        {"name": "same", "function": "exact_match", "weight": 0.0001},
        {"name": "against", "function": "math_answer", "weight": -1.0},
    ],
}
REASON = "I want to see how it is gamed"


@pytest.fixture
def failing(draft):
    lifecycle.save_draft(draft, {**draft.config, "reward": BAD})
    return draft


def test_a_failing_reward_is_refused_with_the_reasons(failing, owner):
    with pytest.raises(lifecycle.NotReady) as caught:
        lifecycle.start(failing, owner)
    said = " ".join(caught.value.by_field()[reward_gate.FIELD])
    assert "wrong answers earn as much as the right one" in said and "reward_override" in said
    failing.refresh_from_db()
    assert failing.status == Status.DRAFT


def test_a_short_reason_is_none(failing, owner):
    with pytest.raises(lifecycle.NotReady, match="too short"):
        lifecycle.start(failing, owner, "why not")


def test_a_reason_starts_it_and_is_kept_with_who_and_when(failing, owner):
    assert lifecycle.start(failing, owner, REASON)
    kept = failing.reward_override
    assert (kept["reason"], kept["by"], kept["by_id"]) == (REASON, owner.username, owner.pk)
    assert kept["problems"] and kept["at"] and not failing.reward_check["passed"]
    file = json.loads((failing.folder / "reward_check.json").read_text())
    assert file["reward_override"]["reason"] == REASON


def test_the_command_line_trains_with_it_only_for_a_reason(child_processes, failing):
    """The engine is a stand-in; gate, refusal and the reason on the row are real."""
    process = manage("train", failing.pk)
    child_processes.append(process)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "wrong answers earn as much as the right one" in err
    process = manage("train", failing.pk, "--override-reward", REASON)
    child_processes.append(process)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    failing.refresh_from_db()
    assert failing.status == Status.COMPLETED and failing.reward_override["reason"] == REASON


def test_a_sound_reward_keeps_no_override(draft, owner):
    sums = {"type": "custom", "parts": [{"name": "answer", "function": "math_answer", "parameters": {}}]}
    lifecycle.save_draft(draft, {**draft.config, "reward": sums})
    assert lifecycle.start(draft, owner, REASON)
    assert draft.reward_override == {} and draft.reward_check["passed"]
    assert draft.reward_check["rows"] == reward_gate.gate.MOST_ROWS


def test_form_alone_starts_with_a_warning(queued):
    assert queued.reward_check["passed"] and "form alone" in queued.reward_check["warnings"][0]


def test_the_review_step_shows_the_check_and_takes_the_reason(owner_client, failing):
    page = owner_client.get(reverse("training:setup", args=[failing.pk, "review"])).content.decode()
    assert "This reward failed its check" in page and 'name="reward_override"' in page
    start = reverse("training:start", args=[failing.pk])
    again = owner_client.post(start, {"reward_override": REASON})
    assert again.status_code == 422 and REASON in again.content.decode()
    assert owner_client.post(start, {"reward_override": REASON, "override": "1"}).status_code == 302
    page = owner_client.get(reverse("training:session", args=[failing.pk])).content.decode()
    assert REASON in page and "failed its check" in page


@pytest.mark.parametrize(("who", "status"), [("viewer_client", 403), ("outsider_client", 404)])
def test_others_can_not_override(request, failing, who, status):
    start = reverse("training:start", args=[failing.pk])
    client = request.getfixturevalue(who)
    assert client.post(start, {"reward_override": REASON, "override": "1"}).status_code == status


def test_the_api_takes_the_reason(teammate_client, failing):
    def start(**more):
        body = {"session_id": str(failing.pk), **more}
        return teammate_client.post("/api/training/start", body, content_type="application/json")

    assert start().status_code == 400
    assert start(reward_override=REASON).json()["started"]


def test_the_reward_step_proposes_what_fits_and_a_button_uses_it(owner_client, draft):
    lifecycle.save_draft(draft, {key: value for key, value in draft.config.items() if key != "reward"})
    address = reverse("training:setup", args=[draft.pk, "reward"])
    page = owner_client.get(address)
    best = page.context["proposals"][0]
    assert best.slug == "math" and best.right > best.wrong and "Quick start" in page.content.decode()
    owner_client.post(address, {"use": "question-answering", "reward.choice": "math"})
    draft.refresh_from_db()
    assert draft.config["reward"]["preset_name"] == "question-answering"


def test_the_session_page_counts_what_could_not_be_judged(owner_client, team):
    session = make_session(team)
    history = History(session)
    for step in (1, 2):
        history.rollouts(step, 2, groups=1)
        told = {"count": 3, "of": 8, "reasons": {"answer: no reference": 3}}
        history.add("log", "training", level="warning", message="left out", unjudged=told)
    history.save()
    page = owner_client.get(reverse("training:session", args=[session.pk]))
    found = page.context["unjudged"]
    assert (found.count, found.answers, found.reasons) == (6, 16, [("answer: no reference", 6)])
    assert "answer: no reference" in page.content.decode()
