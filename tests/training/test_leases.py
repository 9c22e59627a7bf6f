import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db.models import Q
from django.utils import timezone

from jobs import leases
from training import lifecycle
from training.models import Session

QUEUED = Q(status="queued")
RUNNING = Q(status="starting")


def claim(session):
    return leases.claim(Session, session.pk, QUEUED, status="starting")


def test_only_one_claim_wins_and_gets_the_next_attempt(queued):
    assert claim(queued) == 1
    assert claim(queued) is None
    queued.refresh_from_db()
    assert (queued.attempt, queued.worker, queued.status) == (1, leases.identity(), "starting")
    assert queued.started_at and queued.lease_until > timezone.now()


def test_a_claim_that_read_an_old_attempt_loses(queued, monkeypatch):
    real = leases._rows

    def overtaken(model):
        monkeypatch.setattr(leases, "_rows", real)
        rows = real(model).filter(pk=queued.pk)
        Session.objects.filter(pk=queued.pk).update(attempt=5)
        return Outdated(rows)

    class Outdated:
        def __init__(self, rows):
            self.rows = rows

        def filter(self, *args, **kwargs):
            return Outdated(self.rows.filter(*args, **kwargs))

        def values_list(self, *args, **kwargs):
            return self

        def first(self):
            return 4

        def update(self, **changes):
            return self.rows.update(**changes)

    monkeypatch.setattr(leases, "_rows", overtaken)
    assert claim(queued) is None
    queued.refresh_from_db()
    assert queued.attempt == 5


def test_a_lease_is_renewed_only_by_its_holder(queued):
    attempt = claim(queued)
    Session.objects.filter(pk=queued.pk).update(lease_until=timezone.now())
    assert leases.renew(Session, queued.pk, attempt)
    assert not leases.renew(Session, queued.pk, attempt - 1)
    queued.refresh_from_db()
    assert queued.lease_until > timezone.now() + timedelta(seconds=5)
    Session.objects.filter(pk=queued.pk).update(worker="other/1/1")
    assert not leases.renew(Session, queued.pk, attempt)


def test_release_writes_the_outcome_once(queued):
    attempt = claim(queued)
    assert not leases.release(Session, queued.pk, attempt + 1, error="late")
    assert leases.release(Session, queued.pk, attempt, error="first")
    assert not leases.release(Session, queued.pk, attempt, error="second")
    queued.refresh_from_db()
    assert (queued.error, queued.worker, queued.lease_until) == ("first", "", None)


def test_a_row_is_overdue_when_its_lease_ran_out(queued):
    claim(queued)
    held = Session.objects.filter(pk=queued.pk)
    held.update(worker="other/1/1")
    assert leases.overdue(Session, RUNNING) == []
    held.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert leases.overdue(Session, RUNNING) == [queued]


def test_a_process_never_takes_a_row_from_itself(queued):
    claim(queued)
    Session.objects.filter(pk=queued.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert leases.overdue(Session, RUNNING) == []


def test_after_a_pause_nobody_is_given_up_for_one_lease(queued, monkeypatch):
    claim(queued)
    old = timezone.now() - timedelta(seconds=1)
    Session.objects.filter(pk=queued.pk).update(worker="other/1/1", lease_until=old)
    monkeypatch.setattr(leases, "_grace_until", 0.0)
    leases.allow_grace()
    assert leases.overdue(Session, RUNNING) == []
    Session.objects.filter(pk=queued.pk).update(worker=dead_worker())
    assert leases.overdue(Session, RUNNING) == [queued]


def dead_worker():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return leases.process_identity(process.pid)


def test_a_dead_worker_of_this_machine_is_known_at_once(queued):
    claim(queued)
    Session.objects.filter(pk=queued.pk).update(worker=dead_worker())
    assert leases.overdue(Session, RUNNING) == [queued]


def test_a_pid_that_was_given_away_again_is_another_process():
    place, pid, started = leases.identity().split("/")
    assert not leases.is_dead(f"{place}/{pid}/{started}")
    assert leases.is_dead(f"{place}/{pid}/{float(started) - 5:.2f}")


@pytest.mark.parametrize("worker", ["", "elsewhere:abc/1/2.00", "nonsense"])
def test_of_other_machines_nothing_can_be_proved(worker):
    assert not leases.is_dead(worker)


def test_this_machine_counts_what_it_holds(queued):
    assert leases.held_here(Session, RUNNING) == 0
    claim(queued)
    assert leases.held_here(Session, RUNNING) == 1
    Session.objects.filter(pk=queued.pk).update(worker="elsewhere:abc/1/2.00")
    assert leases.held_here(Session, RUNNING) == 0


def test_an_identity_fits_its_column():
    assert len(leases.identity()) <= Session._meta.get_field("worker").max_length
    assert leases.identity().split("/")[1] == str(os.getpid())


def test_a_full_machine_claims_nothing_more(queued, team, owner, config, settings):
    second = lifecycle.create_draft(team, owner, "Second", config)
    lifecycle.start(second, owner)
    assert lifecycle.claim(queued.pk) == 1
    assert lifecycle.claim(second.pk) is None
    settings.MAX_SESSIONS_PER_WORKER = 2
    assert lifecycle.claim(second.pk) == 1
