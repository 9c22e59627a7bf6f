import threading
import time
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from jobs import children, dispatcher, leases
from training import lifecycle, tasks
from training.models import Session


@pytest.fixture(autouse=True)
def nothing_rung(monkeypatch):
    monkeypatch.setattr(tasks, "_rung", {})
    monkeypatch.setattr(dispatcher, "looks", [tasks.look_after_sessions])
    monkeypatch.setattr(dispatcher, "leavings", [])


@pytest.fixture
def bells(monkeypatch):
    rung = []
    monkeypatch.setattr(tasks, "supervise", rung.append)
    return rung


def test_what_waits_is_rung_for_and_not_at_every_look(queued, bells, monkeypatch):
    dispatcher.dispatch()
    dispatcher.dispatch()
    assert bells == [str(queued.pk)]
    monkeypatch.setattr(tasks, "RING_AGAIN_SECONDS", 0)
    dispatcher.dispatch()
    assert len(bells) == 2


def test_a_full_machine_rings_for_nothing(queued, bells, team, owner, config):
    second = lifecycle.create_draft(team, owner, "Second", config)
    lifecycle.start(second, owner)
    lifecycle.claim(queued.pk)
    dispatcher.dispatch()
    assert bells == []


def test_the_first_in_the_queue_is_the_first_to_run(queued, bells, team, owner, config):
    second = lifecycle.create_draft(team, owner, "Second", config)
    lifecycle.start(second, owner)
    dispatcher.dispatch()
    assert bells == [str(queued.pk)]


def test_abandoned_sessions_are_taken_back_and_rung_for_in_one_look(queued, bells):
    lifecycle.claim(queued.pk)
    Session.objects.filter(pk=queued.pk).update(worker="elsewhere:1/2/3", lease_until=None)
    assert dispatcher.dispatch()
    assert bells == [str(queued.pk)]


def test_other_apps_have_their_jobs_looked_after(db):
    looks = []
    dispatcher.looks.append(lambda: looks.append(1))
    assert dispatcher.dispatch()
    assert looks == [1]


@pytest.mark.django_db(transaction=True)
def test_one_failing_look_stops_no_other(queued, bells):
    def fail():
        raise OperationalError("away")

    dispatcher.looks.insert(0, fail)
    assert not dispatcher.dispatch()
    assert bells == [str(queued.pk)]


def test_after_a_time_without_database_leases_are_given_time(monkeypatch, settings):
    settings.LEASE_SECONDS = 2
    closing = threading.Event()
    looks = []

    def look():
        looks.append(time.monotonic())
        if len(looks) == 4:
            closing.set()
        return len(looks) > 3

    monkeypatch.setattr(dispatcher.children, "closing", closing)
    monkeypatch.setattr(dispatcher, "LOOK_SECONDS", 0.6)
    monkeypatch.setattr(dispatcher, "dispatch", look)
    # Another test of this process may have left a connection open, and looking at it is database access.
    monkeypatch.setattr(dispatcher, "close_old_connections", lambda: None)
    monkeypatch.setattr(leases, "_grace_until", 0.0)
    dispatcher.dispatch_forever()
    assert leases.in_grace()


def test_only_one_dispatcher_runs_in_a_process(monkeypatch):
    started = []
    monkeypatch.setattr(tasks, "_once", threading.Lock())
    monkeypatch.setattr(dispatcher, "dispatch_forever", lambda: started.append(1))
    for _ in range(4):
        tasks.start_dispatcher()
    time.sleep(0.2)
    assert started == [1]


def test_a_lease_shorter_than_two_pauses_is_still_taken_back(monkeypatch, settings):
    settings.LEASE_SECONDS = 2
    clock = SimpleNamespace(now=100.0)
    seen = []

    class Closing:
        def is_set(self):
            return len(seen) == 3

        def wait(self, seconds):
            clock.now += seconds + 0.1

    monkeypatch.setattr(dispatcher, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(
        dispatcher, "children", SimpleNamespace(closing=Closing(), unfinished_work=children.unfinished_work)
    )
    monkeypatch.setattr(dispatcher, "close_old_connections", lambda: None)
    monkeypatch.setattr(dispatcher, "looks", [lambda: seen.append(leases.in_grace())])
    monkeypatch.setattr(leases, "_grace_until", 0.0)
    dispatcher.dispatch_forever()
    assert seen == [False, False, False]
