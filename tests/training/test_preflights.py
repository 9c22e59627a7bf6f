"""A preflight as a job: asked for, done for real in a child process, waiting for sessions, cancelled, shown."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.urls import reverse

from jobs import leases, running
from jobs.choices import JobStatus
from training import lifecycle, preflight_tasks, preflights
from training.choices import Status
from training.models import Preflight

HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def rung(monkeypatch):
    """Bells that would go to Huey."""
    rung = []
    monkeypatch.setattr(preflight_tasks, "run_preflight", rung.append)
    return rung


def card(session):
    return reverse("training:preflight", args=[session.pk])


def api(session):
    return f"/api/training/sessions/{session.pk}/preflight/"


@pytest.mark.django_db(transaction=True)
def test_the_whole_way_on_a_real_model(small, owner_client, viewer_client, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    out = StringIO()
    call_command("preflight", str(small.pk), stdout=out)
    result = json.loads(out.getvalue())
    assert result["answers"] == 4 * result["questions"] == 64
    assert result["memory"]["peak"] > 100_000_000 and result["time"]["total"] > 0 and result["disk"]["checkpoint"] > 0
    assert result["dead"]["group"] == 4 and not result["dead"]["extrapolated"] and not result["unfinished"]
    assert {part["label"] for part in result["time"]["parts"]} >= {"Loading", "Warm-up", "GRPO"}
    estimate = result["memory"]["estimate"]
    assert estimate["total"] == pytest.approx(sum(line["bytes"] for line in estimate["lines"])) and estimate["measured"]
    assert not list((Path(settings.CACHE_DIR) / "preflights").glob("*")) and not small.folder.exists()
    told = viewer_client.get(api(small)).json()
    assert told["status"] == "ready" and told["result"] == result and not told["config_changed"]
    page = owner_client.get(reverse("training:setup", args=[small.pk, "review"])).content.decode()
    assert (
        "Groups without signal" in page
        and "Memory, worked out" in page
        and "was changed since" not in page
        and "Try again" in page
    )
    # Another name changes nothing that was measured; another limit does.
    lifecycle.save_draft(small, small.config, "Renamed")
    assert not viewer_client.get(api(small)).json()["config_changed"]
    lifecycle.save_draft(small, {**small.config, "training": {**small.config["training"], "max_new_tokens": 7}})
    assert viewer_client.get(api(small)).json()["config_changed"]
    assert "was changed since" in owner_client.get(card(small), headers=HTMX).content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_model_that_can_not_be_loaded_is_said_in_words(draft):
    with pytest.raises(CommandError, match="pretend"):
        call_command("preflight", str(draft.pk))
    job = Preflight.objects.get()
    assert job.status == JobStatus.FAILED and "Traceback" not in job.error and job.error


def tried(job, monkeypatch, level="good", meanwhile=None):
    """The outcome of a preflight whose measuring gave this advice."""

    def result(job):
        if meanwhile:
            meanwhile()
        return {"advice": [{"level": level, "text": "It needs 90 GB."}]}

    monkeypatch.setattr(preflights, "_result", result)
    leases.claim(Preflight, job.pk, running.QUEUED, status=JobStatus.RUNNING)
    job.refresh_from_db()
    preflights.perform(job)
    job.refresh_from_db()
    job.session.refresh_from_db()
    return job.session.status, job.message


def test_it_starts_the_session_if_that_was_asked_and_nothing_speaks_against_it(small, teammate_client, monkeypatch):
    start, review = (reverse("training:start", args=[small.pk]), reverse("training:setup", args=[small.pk, "review"]))
    assert "start only if nothing speaks against it" in teammate_client.get(review).content.decode()
    assert teammate_client.post(start, {"try_first": "on"}).url == f"{review}#preflight"
    assert "starts by itself afterwards" in teammate_client.get(review).content.decode()
    assert tried(Preflight.objects.get(), monkeypatch, "warning") == (Status.QUEUED, "")


def test_what_speaks_against_it_keeps_the_session_a_draft_and_is_told(small, owner_client, monkeypatch):
    owner_client.post(api(small), {"start": True}, content_type="application/json")
    assert owner_client.get(api(small)).json()["starts_session"]
    told = "It was not started: It needs 90 GB."
    assert tried(Preflight.objects.get(), monkeypatch, "bad") == (Status.DRAFT, told)


def test_a_draft_that_changes_while_it_is_tried_is_not_started(small, owner, monkeypatch):
    job = preflights.start(small, owner)
    assert preflights.start(small, owner, then_start=True) == job
    changed = {**small.config, "training": {**small.config["training"], "max_steps": 3}}
    status, told = tried(job, monkeypatch, meanwhile=lambda: lifecycle.save_draft(small, changed))
    assert (status, told) == (Status.DRAFT, "It was not started: the session was changed meanwhile.")


def test_without_being_asked_it_starts_nothing(small, owner, monkeypatch):
    assert tried(preflights.start(small, owner), monkeypatch) == (Status.DRAFT, "")


def test_a_cancelled_one_ends_within_a_look(small, owner, monkeypatch):
    job = preflights.start(small, owner)
    leases.claim(Preflight, job.pk, running.QUEUED, status=JobStatus.RUNNING)
    job.refresh_from_db()
    monkeypatch.setattr(preflights, "LOOK_SECONDS", 0)
    assert not preflights._watch(job)()
    assert preflights.cancel(small)
    with pytest.raises(running.Lost):
        preflights._watch(job)()


def test_asking_twice_starts_one_and_a_changed_draft_replaces_what_waits(
    small, owner, rung, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        first = preflights.start(small, owner)
        assert preflights.start(small, owner) == first
    assert rung == [str(first.pk)]
    lifecycle.save_draft(small, {**small.config, "training": {**small.config["training"], "max_new_tokens": 7}})
    small.refresh_from_db()
    second = preflights.start(small, owner)
    first.refresh_from_db()
    assert second != first and first.status == JobStatus.CANCELLED


def test_the_last_result_stays_while_the_next_is_made(small, owner):
    done = preflights.start(small, owner)
    Preflight.objects.filter(pk=done.pk).update(status=JobStatus.READY, result={"advice": []})
    again = preflights.start(small, owner)
    found = preflights.state(small, again.digest)
    assert (found.job, found.done, found.changed, found.is_open) == (again, done, False, True)


def test_outsiders_see_nothing_and_viewers_change_nothing(
    small, owner, outsider_client, viewer_client, teammate_client, client
):
    cancel = reverse("training:cancel_preflight", args=[small.pk])
    for address in (card(small), api(small)):
        assert outsider_client.get(address).status_code == outsider_client.post(address).status_code == 404
        assert viewer_client.post(address).status_code == 403
    assert outsider_client.post(cancel).status_code == 404 and viewer_client.post(cancel).status_code == 403
    assert outsider_client.delete(api(small)).status_code == 404
    assert viewer_client.delete(api(small)).status_code == 403 and client.get(api(small)).status_code == 401
    assert not Preflight.objects.exists()
    assert viewer_client.get(api(small)).json()["status"] == "none"
    assert teammate_client.post(api(small)).status_code == 202
    assert teammate_client.delete(api(small)).json()["status"] == "cancelled"


def test_the_card_asks_and_cancels(small, teammate_client):
    page = teammate_client.get(reverse("training:setup", args=[small.pk, "review"])).content.decode()
    assert "Try it out" in page and "4 answers to each of 16 questions" in page
    asked = teammate_client.post(card(small), headers=HTMX).content.decode()
    assert 'hx-trigger="every 1s"' in asked and "No worker is running" in asked
    ended = teammate_client.post(reverse("training:cancel_preflight", args=[small.pk]), headers=HTMX).content.decode()
    assert "was cancelled" in ended and "every 1s" not in ended
    assert teammate_client.post(card(small)).url == reverse("training:setup", args=[small.pk, "review"])


def test_a_draft_that_is_not_ready_and_a_started_session_are_refused(small, draft, team, owner, owner_client, config):
    empty = lifecycle.create_draft(team, owner, "Empty")
    assert "First mend" in owner_client.post(card(empty), headers=HTMX).content.decode()
    assert "dataset.source" in owner_client.post(api(empty)).json()["fields"]
    started = lifecycle.create_draft(team, owner, "Started", config)
    assert lifecycle.start(started, owner)
    assert "clone it" in owner_client.post(api(started)).json()["fields"]["session"][0]
    reply = owner_client.post(card(started), headers=HTMX)
    assert reply.headers["HX-Redirect"] == reverse("training:session", args=[started.pk])
    assert not Preflight.objects.exists()


def test_a_failure_is_shown_with_its_reason(small, owner, owner_client):
    job = preflights.start(small, owner)
    Preflight.objects.filter(pk=job.pk).update(status=JobStatus.FAILED, error="The memory was full.")
    page = owner_client.get(card(small), headers=HTMX).content.decode()
    assert "The preflight failed." in page and "The memory was full." in page and "Try it out" in page


def test_what_killed_children_left_is_removed_with_the_next_one(small, owner):
    job = preflights.start(small, owner)
    own, orphan = preflights.folder_of(job), preflights.folder_of(Preflight())
    for folder in (own, orphan):
        (folder / "step").mkdir(parents=True)
    preflights.tidy(Preflight())
    assert own.exists() and not orphan.exists()
    preflights.tidy(job)
    assert not own.exists()
