"""A session whose reward fails its check starts only with a reason, which is kept."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from datasets_app import rows as reading
from rewards import examinations
from rewards.models import Examination
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


def test_the_start_command_takes_the_reason_and_refuses_without(failing):
    with pytest.raises(CommandError, match="wrong answers earn as much as the right one"):
        call_command("start", str(failing.pk))
    with pytest.raises(CommandError, match="too short"):
        call_command("start", str(failing.pk), "--override-reward", "why not")
    call_command("start", str(failing.pk), "--override-reward", REASON)
    failing.refresh_from_db()
    assert failing.status == Status.QUEUED
    assert (failing.reward_override["reason"], failing.reward_override["by"]) == (REASON, "command line")


def test_a_sound_reward_keeps_no_override(draft, owner):
    sums = {"type": "custom", "parts": [{"name": "answer", "function": "math_answer", "parameters": {}}]}
    lifecycle.save_draft(draft, {**draft.config, "reward": sums})
    assert lifecycle.start(draft, owner, REASON)
    assert draft.reward_override == {} and draft.reward_check["passed"]
    # Two of the twenty rows are held out.
    assert draft.reward_check["rows"] == draft.reward_check["drawn_from"] == 18


def test_form_alone_starts_with_a_warning(queued):
    assert queued.reward_check["passed"] and "form alone" in queued.reward_check["warnings"][0]


def examined_by_a_worker():
    job = Examination.objects.select_related("team").get(status="queued")
    Examination.objects.filter(pk=job.pk).update(status="running", attempt=1)
    job.attempt = 1
    examinations.perform(job)


def test_opening_the_review_step_examines_nothing_and_the_card_asks_for_it(owner_client, failing, monkeypatch):
    monkeypatch.setattr(reward_gate.gate, "examine", lambda *a, **k: pytest.fail("a GET examined the reward"))
    monkeypatch.setattr(reward_gate, "sampled", lambda *a: pytest.fail("a GET read rows"))
    page = owner_client.get(reverse("training:setup", args=[failing.pk, "review"])).content.decode()
    assert "Examining…" in page and f'hx-post="{gate_of(failing)}"' in page and 'hx-trigger="load"' in page
    assert not Examination.objects.exists()


HTMX = {"HX-Request": "true"}


def gate_of(session):
    return reverse("training:gate", args=[session.pk])


def test_a_worker_examines_and_the_card_follows(owner_client, failing):
    for _ in range(2):
        card = owner_client.post(gate_of(failing), headers=HTMX).content.decode()
    assert 'hx-trigger="every 1s"' in card and "Waiting for a worker" in card
    assert Examination.objects.count() == 1
    examined_by_a_worker()
    card = owner_client.get(gate_of(failing), headers=HTMX).content.decode()
    assert "This reward failed its check" in card and "hx-trigger" not in card and 'name="reward_override"' in card
    assert "drawn from 18 to train on" in card


def test_without_scripts_the_examination_leads_back_to_the_review_step(owner_client, failing):
    reply = owner_client.post(gate_of(failing))
    assert reply.url == reverse("training:setup", args=[failing.pk, "review"])
    assert Examination.objects.count() == 1


@pytest.mark.parametrize(("who", "status"), [("viewer_client", 403), ("outsider_client", 404), ("client", 302)])
def test_others_can_not_have_it_examined(request, failing, who, status):
    client = request.getfixturevalue(who)
    assert client.post(gate_of(failing)).status_code == client.get(gate_of(failing)).status_code == status
    assert not Examination.objects.exists()


def test_a_failed_row_is_linked(owner_client, failing, dataset):
    owner_client.post(gate_of(failing))
    examined_by_a_worker()
    report = owner_client.get(gate_of(failing), headers=HTMX).context["gate"]
    page = owner_client.get(reverse("training:setup", args=[failing.pk, "review"])).content.decode()
    row = report.failed_rows[0]
    assert f"?tab=preview&amp;version=1&amp;row={row}" in page
    address = reverse("datasets:detail", args=[dataset.pk])
    shown = owner_client.get(address, {"tab": "preview", "version": "1", "row": row}).content.decode()
    failure = next(failure for failure in report.failures if failure.row == row)
    assert failure.instruction in shown


def test_the_review_step_asks_for_report_and_job_once_each(owner_client, failing):
    address = reverse("training:setup", args=[failing.pk, "review"])
    with CaptureQueriesContext(connection) as made:
        owner_client.get(address)
    asked = [query["sql"] for query in made.captured_queries]
    assert sum("rewards_rewardcheck" in sql for sql in asked) == 1
    assert sum("rewards_examination" in sql for sql in asked) == 1


def test_rows_are_drawn_from_the_training_part_by_a_fixed_seed(draft, dataset):
    version = dataset.versions.get()
    section = reading.Fields("question", "answer")
    train = set(reading.parts(version, section).train)
    found, of = reward_gate.sampled(version, section, 5)
    assert [row.row for row in found] == [row.row for row in reward_gate.sampled(version, section, 5)[0]]
    assert of == len(train) == 18 and {row.row for row in found} <= train
    assert [row.row for row in found] != sorted(train)[:5]


def test_parts_of_another_split_than_the_mapping_s_are_worked_out(draft, dataset, monkeypatch):
    version = dataset.versions.get()
    monkeypatch.setattr("datasets_app.membership.at_hand", lambda version: pytest.fail("the mapping's parts"))
    found, of = reward_gate.sampled(version, reading.Fields("answer", "question"), 5)
    assert of == len(reading.parts(version, reading.Fields("answer", "question")).train) and len(found) == 5


def test_a_large_dataset_whose_parts_are_not_known_is_drawn_from_as_a_whole(draft, dataset, monkeypatch):
    monkeypatch.setattr("datasets_app.membership.QUICK_ROWS", 1)
    monkeypatch.setattr("datasets_app.membership.at_hand", lambda version: None)
    found, of = reward_gate.sampled(dataset.versions.get(), reading.Fields("question", "answer"), 5)
    assert of == 20 and len(found) == 5


def test_the_start_takes_the_reason_that_was_typed(owner_client, failing):
    start = reverse("training:start", args=[failing.pk])
    again = owner_client.post(start, {"reward_override": REASON})
    page = again.content.decode()
    assert again.status_code == 422 and REASON in page
    assert "Not started" in page and "tick “Train with it all the same”" in page and "settings are complete" not in page
    short = owner_client.post(start, {"reward_override": "why", "override": "1"})
    assert short.status_code == 422 and "Write a reason of at least 10 characters." in short.content.decode()
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
