"""A preflight waits for a slot of a device and holds it, and its turn among sessions that wait."""

import json
import signal
from datetime import timedelta
from io import StringIO

import psutil
import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from accounts.models import Team
from jobs import leases, running
from jobs.choices import JobStatus
from tests.training.conftest import wait_for
from training import forecast, lifecycle, preflight_tasks, preflights, queue, slots
from training.management.commands import preflight as command
from training.models import Preflight, Session

HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def rung(monkeypatch):
    """Bells that would go to Huey."""
    rung = []
    monkeypatch.setattr(preflight_tasks, "run_preflight", rung.append)
    return rung


@pytest.fixture(autouse=True)
def one_gpu(settings):
    settings.DEVICES = ["GPU-1"]


@pytest.fixture
def asked(draft, owner):
    return preflights.start(draft, owner)


def waiting(team, name="Waits", **more):
    return Session.objects.create(team=team, name=name, status="queued", queued_at=timezone.now(), **more)


def training(team, name="Sums"):
    session = waiting(team, name)
    assert lifecycle.claim_here(session, "queued")
    session.refresh_from_db()
    return session


def another(asked, **more):
    values = {"team": asked.team, "session": asked.session, "digest": "other", "created_at": timezone.now(), **more}
    made = values.pop("created_at")
    job = Preflight.objects.create(**values)
    Preflight.objects.filter(pk=job.pk).update(created_at=made)
    job.refresh_from_db()
    return job


def end(row, status):
    row.refresh_from_db()
    assert leases.release(type(row), row.pk, row.attempt, status=status)


def why(job):
    job.refresh_from_db()
    return forecast.why_tried_later(job)


def test_it_waits_while_a_session_holds_the_only_device(asked, team):
    session = training(team)
    assert not preflights.has_room() and preflights.claim(str(asked.pk)) is None
    assert not preflights.attend(str(asked.pk))
    end(session, "completed")
    assert preflights.has_room() and preflights.claim(str(asked.pk)) == 1
    asked.refresh_from_db()
    assert (asked.device, asked.slot, asked.status) == ("GPU-1", 0, JobStatus.RUNNING)


def test_a_session_waits_while_a_preflight_holds_the_only_device(asked, team):
    preflights.claim(str(asked.pk))
    session = waiting(team)
    assert lifecycle.claim(session.pk) is None and not lifecycle.free_for_sessions()
    with pytest.raises(lifecycle.DevicesTaken):
        lifecycle.claim_here(session, "queued")
    end(asked, JobStatus.READY)
    assert lifecycle.claim(session.pk) == 1


def test_with_a_second_gpu_both_run_each_on_its_own(asked, team, settings):
    settings.DEVICES = ["GPU-1", "GPU-2"]
    session = training(team)
    assert preflights.claim(str(asked.pk))
    assert slots.environment_of(session) == {"CUDA_VISIBLE_DEVICES": "GPU-1"}
    assert preflights.environment_of(str(asked.pk)) == {"CUDA_VISIBLE_DEVICES": "GPU-2"}


def test_one_preflight_at_a_time_runs_on_a_machine(asked, settings):
    settings.DEVICES = ["GPU-1", "GPU-2"]
    preflights.claim(str(asked.pk))
    assert preflights.claim(str(another(asked).pk)) is None


def test_the_database_itself_refuses_a_second_preflight_on_a_slot(asked):
    preflights.claim(str(asked.pk))
    with pytest.raises(IntegrityError), transaction.atomic():
        another(asked, device="GPU-1", slot=0, worker="elsewhere:1/2/3")
    another(asked, device="GPU-1", slot=0)


@pytest.mark.parametrize("ending", ["finish", "fail", "cancel"])
def test_the_slot_is_free_when_the_child_is_gone_and_not_before(asked, ending):
    attempt = preflights.claim(str(asked.pk))
    asked.refresh_from_db()
    if ending == "finish":
        running.finish(asked, result={})
    elif ending == "fail":
        running.fail(asked, "No memory.")
    else:
        assert preflights.cancel(asked.session)
    assert not slots.free_here()
    running._settle(preflight_tasks.PREFLIGHT, str(asked.pk), attempt, 0)
    assert slots.free_here()


@pytest.mark.parametrize("status", [JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.READY])
def test_a_worker_that_died_holds_no_slot(asked, status):
    preflights.claim(str(asked.pk))
    dead = f"{leases.place()}/999999999/1.00"
    Preflight.objects.filter(pk=asked.pk).update(worker=dead, status=status)
    assert not slots.free_here()
    running.dispatch()
    asked.refresh_from_db()
    again = JobStatus.QUEUED if status == JobStatus.RUNNING else status
    assert (asked.status, asked.worker) == (again, "") and slots.free_here()


# Its turn


def test_it_goes_before_sessions_that_wait(asked, team):
    session = waiting(team)
    assert lifecycle.claim(session.pk) is None and not lifecycle.free_for_sessions()
    assert preflights.claim(str(asked.pk))


def test_one_asked_for_after_the_first_began_lets_a_session_begin(asked, team):
    before = another(asked)
    preflights.claim(str(asked.pk))
    after = another(asked, created_at=timezone.now() + timedelta(seconds=1))
    sessions = [waiting(team, rank=n) for n in range(2)]
    end(asked, JobStatus.READY)
    assert preflights.claim(str(before.pk))
    end(before, JobStatus.CANCELLED)
    assert not preflights.has_room() and preflights.claim(str(after.pk)) is None
    slots.beat()
    assert why(after) == "Waits: after the last preflight a session that waits begins first."
    assert lifecycle.claim(sessions[0].pk)
    end(sessions[0], "completed")
    assert lifecycle.claim(sessions[1].pk) is None and preflights.claim(str(after.pk))


def test_no_stream_of_preflights_keeps_a_session_waiting(asked, team):
    """Each is asked for when the one before it ends, as by somebody who tries one config after the other."""
    session, begun = waiting(team), 0
    job = asked
    for _ in range(5):
        begun += bool(preflights.claim(str(job.pk)))
        if lifecycle.claim(session.pk):
            break
        end(job, JobStatus.CANCELLED)
        Preflight.objects.filter(pk=job.pk).update(digest="changed")
        job = preflights.start(asked.session, None)
    session.refresh_from_db()
    assert (begun, session.status) == (1, "starting")


def test_it_waits_for_no_session_that_does_not_come(asked, team, owner):
    preflights.claim(str(asked.pk))
    end(asked, JobStatus.READY)
    session = waiting(team)
    queue.pause(session.team, owner)
    later = another(asked, created_at=timezone.now() + timedelta(seconds=1))
    assert not preflights.has_room()
    queue.go_on(session.team, owner)
    assert not preflights.has_room()
    lifecycle.cancel(session, owner)
    assert preflights.claim(str(later.pk))


def test_a_pause_holds_it_back_and_takes_no_slot_from_others(asked, owner, team):
    queue.pause(team, owner, "new disk")
    assert preflights.claim(str(asked.pk)) is None
    assert why(asked).endswith(": new disk.")
    assert lifecycle.claim(waiting(Team.objects.create(name="Other")).pk)


def test_starting_the_session_ends_its_preflight(asked, owner):
    preflights.claim(str(asked.pk))
    session = Session.objects.get(pk=asked.session_id)
    assert lifecycle.start(session, owner)
    asked.refresh_from_db()
    assert asked.status == JobStatus.CANCELLED


# Reasons


def test_why_it_waits_is_on_the_card_in_the_api_and_names_no_session_of_another_team(asked, team, owner_client):
    slots.beat()
    session = training(team)
    card = reverse("training:preflight", args=[asked.session_id])
    api = f"/api/training/sessions/{asked.session_id}/preflight/"
    told = "Waits for the GPU: Sums is training."
    assert told in owner_client.get(card, headers=HTMX).content.decode()
    assert owner_client.get(api).json()["message"] == told
    Session.objects.filter(pk=session.pk).update(team=Team.objects.create(name="Other"))
    assert why(asked) == "Waits for the GPU: a session of another team is training."


def test_the_reasons_of_several_devices_and_of_other_preflights(asked, team, settings):
    settings.DEVICES = [f"GPU-{n}" for n in range(5)]
    slots.beat()
    assert why(asked) == "A worker takes it in a moment."
    assert why(another(asked)) == "Waits: 1 preflight is before it."
    preflights.claim(str(asked.pk))
    later = Preflight.objects.get(digest="other")
    for number in range(4):
        Session.objects.create(team=team, name=f"S{number}", status="training", device=f"GPU-{number + 1}")
    Preflight.objects.filter(pk=asked.pk).update(device="GPU-0")
    assert why(later) == "Waits for one of the 5 devices: " + ", ".join(
        ["Sums is being tried out", "S0 is training", "S1 is training and 2 more."]
    )


def test_sessions_that_wait_name_the_preflight(asked, team, owner_client):
    slots.beat()
    session = waiting(team)
    assert forecast.place_of(session).reason == "Next, after a preflight: the only device is busy."
    preflights.claim(str(asked.pk))
    found = forecast.place_of(session)
    assert found.reason == "Next: the only device is busy with a preflight."
    assert 590 < (found.starts - timezone.now()).total_seconds() <= 600
    assert "busy with a preflight" in owner_client.get(reverse("training:queue")).content.decode()


def test_the_queue_shows_who_holds_the_device(asked, owner_client, outsider_client):
    slots.beat()
    preflights.claim(str(asked.pk))
    text, theirs = (c.get(reverse("training:queue")).content.decode() for c in (owner_client, outsider_client))
    assert "Preflight of" in text and reverse("training:setup", args=[asked.session_id, "review"]) in text
    assert "Another team&#x27;s preflight" in theirs or "Another team's preflight" in theirs
    assert "Sums" not in theirs
    [device] = owner_client.get("/api/queue/").json()["devices"]
    [slot] = device["slots"]
    assert slot["busy"] and slot["preflight"] and slot["name"] == "Sums"
    [device] = outsider_client.get("/api/queue/").json()["devices"]
    assert device["slots"][0]["session_id"] is None


@pytest.mark.django_db(transaction=True)
def test_the_command_says_what_it_waits_for_and_begins_when_the_device_is_free(draft, team, monkeypatch):
    session, out, err = training(team, "Long"), StringIO(), StringIO()

    def run(kind, pk):
        if (attempt := kind.claim(pk)) is None:
            return False
        job = Preflight.objects.get(pk=pk)
        running.finish(job, result={"advice": []})
        return leases.release(Preflight, pk, attempt)

    monkeypatch.setattr(running, "run", run)
    monkeypatch.setattr(command.time, "sleep", lambda _: end(session, "completed"))
    call_command("preflight", str(draft.pk), stdout=out, stderr=err)
    assert err.getvalue() == "Waits for the GPU: Long is training.\n"
    assert json.loads(out.getvalue()) == {"advice": []}


def test_an_interrupted_command_leaves_nothing_in_the_queue(draft, team, monkeypatch):
    training(team)

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", interrupt)
    with pytest.raises(command.CommandError, match="cancelled"):
        call_command("preflight", str(draft.pk), stderr=StringIO())
    assert Preflight.objects.get().status == JobStatus.CANCELLED


# Real processes


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_killed_while_it_tries_a_session_out_keeps_no_slot(
    small, owner, team, config, start_worker, settings
):
    settings.DEVICES = []
    job = preflights.start(small, owner)
    worker = start_worker()
    wait_for(lambda: Preflight.objects.filter(pk=job.pk, progress__gt=0.05).exists(), what="its answers")
    [child] = [each for each in psutil.Process(worker.pid).children() if "run_preflight" in each.cmdline()]
    other = lifecycle.create_draft(team, owner, "Other", config)
    assert lifecycle.start(other, owner) and lifecycle.claim(other.pk) is None
    worker.send_signal(signal.SIGKILL)
    worker.wait(30)
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the end of the child")
    start_worker()
    wait_for(lambda: Session.objects.get(pk=other.pk).status == "completed", 120, "the session")
    job.refresh_from_db()
    assert (job.status, job.attempt, job.error) == (JobStatus.READY, 2, "")
    assert Session.objects.get(pk=other.pk).started_at >= job.finished_at
    wait_for(slots.free_here, what="a free slot")
