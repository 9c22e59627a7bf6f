"""A real Huey consumer with real trainers, killed for real. The engine is quick; everything else is the product."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from django.db import connection

from jobs import leases
from tests.pausing import pause
from tests.training.conftest import recorded, status_of, trainer_pid, wait_for
from tests.training.fake_engine import reward_at
from training import lifecycle
from training.models import Event, Session

STEPS = [(step, reward_at(step)) for step in range(1, 17)]


@pytest.fixture
def long_session(queued, monkeypatch):
    """A checkpoint every second step."""
    monkeypatch.setenv("FAKE_SECONDS", "0.12")
    queued.config["training"]["max_steps"] = len(STEPS)
    Session.objects.filter(pk=queued.pk).update(config=queued.config)
    return queued


def is_training(session):
    return len(recorded(session)) >= 3


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def assert_complete(session):
    """Every step once, with the values of a run that nobody disturbed, and no number of an event twice or missing."""
    session.refresh_from_db()
    assert recorded(session) == STEPS
    seqs = list(Event.objects.filter(session=session).order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, len(seqs) + 1))


def test_kill_9_of_the_trainer_and_then_of_the_worker_loses_no_step(start_worker, long_session):
    worker = start_worker()
    wait_for(lambda: is_training(long_session), what="training")
    os.kill(trainer_pid(long_session), signal.SIGKILL)
    wait_for(lambda: Session.objects.get(pk=long_session.pk).attempt == 2, what="the second attempt")
    before = len(recorded(long_session))
    wait_for(lambda: len(recorded(long_session)) > before + 2, what="training on")

    trainer = trainer_pid(long_session)
    worker.kill()
    worker.wait()
    wait_for(lambda: is_gone(trainer), 30, "the end of the orphan")
    start_worker()
    wait_for(lambda: status_of(long_session) == "completed", 90, "the end")
    assert_complete(long_session)
    assert Session.objects.get(pk=long_session.pk).attempt == 3


def test_a_worker_that_is_asked_to_end_saves_and_queues_its_session(start_worker, long_session):
    worker = start_worker()
    wait_for(lambda: is_training(long_session), what="training")
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    long_session.refresh_from_db()
    assert (long_session.status, long_session.worker) == ("queued", "")
    done = len(recorded(long_session))
    assert (long_session.folder / "checkpoints" / str(done)).exists()


def test_a_paused_worker_writes_nothing_after_another_took_its_session(start_worker, long_session):
    worker = start_worker()
    wait_for(lambda: is_training(long_session), what="training")
    old_trainer = trainer_pid(long_session)
    pause([worker.pid], Path(connection.settings_dict["NAME"]))
    wait_for(lambda: lifecycle.reap() == [long_session.pk], 30, "the end of the lease")
    wait_for(lambda: is_gone(old_trainer), 30, "the end of the old trainer")

    attempt = lifecycle.claim(long_session.pk)
    assert attempt == 2
    Session.objects.filter(pk=long_session.pk).update(lease_until=leases.lease_end(), worker="elsewhere/1/1")
    count = Event.objects.filter(session=long_session).count()
    worker.send_signal(signal.SIGCONT)
    pause_until_noticed(worker)
    assert Event.objects.filter(session=long_session).count() == count
    row = Session.objects.get(pk=long_session.pk)
    assert (row.attempt, row.worker, row.status) == (2, "elsewhere/1/1", "starting")


def pause_until_noticed(worker):
    """The worker's thread is done with the session when it can be ended without waiting for it."""
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
