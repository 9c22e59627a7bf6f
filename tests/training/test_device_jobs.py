"""Jobs of other apps hold a device while they run, in their turn between the sessions (a batch stands for all)."""

from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.utils import timezone

from evaluation.models import Batch
from evaluation.tasks import BATCHES
from jobs import leases, running
from jobs.choices import JobStatus
from jobs.models import OnDevice
from training import forecast, lifecycle, queue, slots
from training.choices import Status
from training.models import QueuePause, Session

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def one_cpu(settings):
    settings.DEVICES = ["cpu"]
    settings.MAX_SESSIONS_PER_WORKER = 1


def batch(team, minutes_ago=0):
    made = Batch.objects.create(team=team, name="Sums", base_model="local/tiny")
    Batch.objects.filter(pk=made.pk).update(created_at=timezone.now() - timedelta(minutes=minutes_ago))
    return made


def session(team, minutes_ago=0, **fields):
    queued = timezone.now() - timedelta(minutes=minutes_ago)
    return Session.objects.create(team=team, name="Maths", status=Status.QUEUED, queued_at=queued, **fields)


def begin(job):
    return BATCHES.claim(str(job.pk))


def end(job, status=JobStatus.READY):
    assert leases.release(Batch, job.pk, 1, status=status)


def test_it_takes_the_only_device_and_a_session_waits_for_it(team):
    job, waits = batch(team), session(team)
    assert begin(job) == 1
    job.refresh_from_db()
    assert (job.device, job.slot) == (slots.of_this_machine()[0].device, 0)
    assert slots.free_here() == [] and lifecycle.claim(waits.pk) is None
    slots.beat()
    assert "a batch test is running" in forecast.place_of(waits).reason
    end(job)
    assert lifecycle.claim(waits.pk)


def test_it_waits_while_a_session_holds_the_device_and_says_so(team):
    training = session(team)
    assert lifecycle.claim(training.pk)
    job = batch(team)
    assert not BATCHES.has_room() and begin(job) is None
    slots.beat()
    assert forecast.why_it_waits(job, team.pk) == "Waits for the CPU: Maths is training."
    assert "Maths" not in forecast.why_it_waits(job, None)


@pytest.mark.parametrize(("asked_minutes_ago", "goes_first"), [(20, True), (5, False)])
def test_whoever_asked_first_goes_first(team, asked_minutes_ago, goes_first):
    queued, job = session(team, minutes_ago=10), batch(team, asked_minutes_ago)
    assert (begin(job) is not None) is goes_first
    assert (lifecycle.claim(queued.pk) is not None) is not goes_first


def test_a_stream_of_batches_keeps_no_session_waiting(team):
    queued = session(team, minutes_ago=10)
    running_one, later = batch(team, 20), batch(team, 5)
    assert begin(running_one)
    end(running_one)
    assert begin(later) is None and lifecycle.claim(queued.pk)


def test_one_of_a_kind_runs_on_a_machine_and_the_next_takes_no_slot_from_a_session(team, settings):
    settings.MAX_SESSIONS_PER_WORKER = 2
    first, second, queued = batch(team, 30), batch(team, 20), session(team, 10)
    assert begin(first) and begin(second) is None
    assert lifecycle.claim(queued.pk)


def test_a_pause_holds_it_back(team):
    QueuePause.objects.create(team=team)
    job = batch(team)
    slots.beat()
    assert begin(job) is None and "paused" in forecast.why_it_waits(job, team.pk)


def test_a_command_runs_one_beside_what_holds_the_cpu(team):
    assert lifecycle.claim(session(team).pk)
    assert BATCHES.claim_beside(str(batch(team).pk)) == 1


def test_a_command_does_not_share_a_gpu(team, settings):
    settings.DEVICES = ["GPU-1"]
    assert lifecycle.claim(session(team).pk)
    assert BATCHES.claim_beside(str(batch(team).pk)) is None


def test_its_child_sees_its_own_gpu(team, settings):
    settings.DEVICES = ["GPU-1"]
    job = batch(team)
    begin(job)
    assert BATCHES.environment(str(job.pk)) == {"CUDA_VISIBLE_DEVICES": "GPU-1"}


def test_the_database_itself_refuses_two_of_a_kind_on_a_slot(team):
    first, second = batch(team), batch(team)
    begin(first)
    first.refresh_from_db()
    with pytest.raises(IntegrityError):
        Batch.objects.filter(pk=second.pk).update(device=first.device, slot=first.slot, worker="elsewhere")


def test_the_queue_page_says_what_runs(team, owner_client):
    job = batch(team)
    begin(job)
    slots.beat()
    Batch.objects.filter(pk=job.pk).update(progress=0.25)
    text = owner_client.get("/queue/?part=devices").content.decode()
    assert "A batch test is running" in text and "25.0 % done" in text
    held = owner_client.get("/api/queue/").json()["devices"][0]["slots"][0]
    assert held["busy"] and held["doing"] == "a batch test is running"


def test_sessions_after_it_begin_about_when_it_ends(team):
    job, waits = batch(team), session(team, expected_seconds=60)
    begin(job)
    Batch.objects.filter(pk=job.pk).update(progress=0.5, started_at=timezone.now() - timedelta(minutes=10))
    slots.beat()
    minutes = (forecast.place_of(waits).starts - timezone.now()).total_seconds() / 60
    assert 9 < minutes < 11


@pytest.mark.parametrize("line", queue.JOBS, ids=lambda line: line.model.__name__)
def test_every_kind_that_holds_a_device_says_what_it_does_and_is_kept_apart_by_the_database(line):
    assert line.model.doing != OnDevice.doing
    assert any(c.fields == ("device", "slot") for c in line.model._meta.constraints)
    assert line.model in slots.HOLDERS
    kind = next(kind for kind in running.KINDS.values() if kind.model is line.model)
    assert kind.claim and kind.claim_beside, "the registered kind is the one that waits for a slot"
