import threading
import time

import pytest
from django.db import OperationalError

from training import leases, lifecycle, tasks
from training.models import Session


@pytest.fixture(autouse=True)
def nothing_rung(monkeypatch):
    monkeypatch.setattr(tasks, "_rung", {})
    monkeypatch.setattr(tasks, "dispatchables", [])


@pytest.fixture
def bells(monkeypatch):
    rung = []
    monkeypatch.setattr(tasks, "supervise", rung.append)
    return rung


def test_what_waits_is_rung_for_and_not_at_every_look(queued, bells, monkeypatch):
    tasks.dispatch()
    tasks.dispatch()
    assert bells == [str(queued.pk)]
    monkeypatch.setattr(tasks, "RING_AGAIN_SECONDS", 0)
    tasks.dispatch()
    assert len(bells) == 2


def test_a_full_machine_rings_for_nothing(queued, bells, team, owner, config):
    second = lifecycle.create_draft(team, owner, "Second", config)
    lifecycle.start(second, owner)
    lifecycle.claim(queued.pk)
    tasks.dispatch()
    assert bells == []


def test_the_first_in_the_queue_is_the_first_to_run(queued, bells, team, owner, config):
    second = lifecycle.create_draft(team, owner, "Second", config)
    lifecycle.start(second, owner)
    tasks.dispatch()
    assert bells == [str(queued.pk)]


def test_abandoned_sessions_are_taken_back_and_rung_for_in_one_look(queued, bells):
    lifecycle.claim(queued.pk)
    Session.objects.filter(pk=queued.pk).update(worker="elsewhere:1/2/3", lease_until=None)
    assert tasks.dispatch()
    assert bells == [str(queued.pk)]


def test_other_apps_have_their_jobs_looked_after(db):
    looks = []
    tasks.dispatchables.append(lambda: looks.append(1))
    assert tasks.dispatch()
    assert looks == [1]


@pytest.mark.django_db(transaction=True)
def test_one_failing_look_stops_no_other(queued, bells, monkeypatch):
    def fail():
        raise OperationalError("away")

    monkeypatch.setattr(lifecycle, "reap", fail)
    assert not tasks.dispatch()
    assert bells == [str(queued.pk)]


def test_after_a_time_without_database_leases_are_given_time(monkeypatch, settings):
    settings.LEASE_SECONDS = 2
    closing = threading.Event()
    looks = []

    def look():
        looks.append(time.monotonic())
        if len(looks) == 3:
            closing.set()
        return len(looks) > 2

    monkeypatch.setattr(tasks.children, "closing", closing)
    monkeypatch.setattr(tasks, "LOOK_SECONDS", 0.6)
    monkeypatch.setattr(tasks, "dispatch", look)
    monkeypatch.setattr(leases, "_grace_until", 0.0)
    tasks.dispatch_forever()
    assert leases.in_grace()


def test_only_one_dispatcher_runs_in_a_process(monkeypatch):
    started = []
    monkeypatch.setattr(tasks, "_once", threading.Lock())
    monkeypatch.setattr(tasks, "dispatch_forever", lambda: started.append(1))
    for _ in range(4):
        tasks.start_dispatcher()
    time.sleep(0.2)
    assert started == [1]
