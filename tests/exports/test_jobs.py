"""What happens to a build when something dies: kill -9 of the child, of the worker, a cancel."""

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psutil
import pytest
from django.db import connection
from django.utils import timezone

from exports import building, tasks
from exports.models import Export
from jobs import dispatcher, leases, running
from jobs.choices import JobStatus
from training.models import Session

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def nothing_rung_before() -> None:
    running._rung.clear()


@pytest.fixture
def kind(rung: list[str]) -> running.JobKind:
    return running.JobKind(model=Export, command="build_export", ring=rung.append, tidy=building.tidy)


class Worker(threading.Thread):
    """One thread of the Huey consumer."""

    def __init__(self, kind: running.JobKind, pk: Any) -> None:
        super().__init__(daemon=True)
        self.kind, self.pk, self.ran = kind, str(pk), False

    def run(self) -> None:
        self.ran = running.run(self.kind, self.pk)
        connection.close()


def eventually(met: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def child_of(export: Export) -> psutil.Process | None:
    for process in psutil.Process().children(recursive=True):
        if str(export.pk) in " ".join(process.cmdline()):
            return process
    return None


def message_of(export: Export) -> str:
    return Export.objects.values_list("message", flat=True).get(pk=export.pk)


def test_a_killed_child_is_tried_again_and_then_succeeds(
    session: Session, kind: running.JobKind, rung: list[str]
) -> None:
    export = building.create(session, None, "adapter", ring=False)
    worker = Worker(kind, export.pk)
    worker.start()
    child = eventually(lambda: child_of(export))
    child.kill()
    worker.join(30)
    export.refresh_from_db()
    assert (export.status, export.attempt, rung) == (JobStatus.QUEUED, 1, [str(export.pk)])
    assert "signal 9" in export.message
    assert running.run(kind, str(export.pk))
    export.refresh_from_db()
    assert (export.status, export.attempt, export.worker) == (JobStatus.READY, 2, "")


def test_a_child_that_is_always_killed_fails_in_the_end_with_a_hint(
    session: Session, kind: running.JobKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.children, "run_child", lambda *args, **kwargs: -signal.SIGKILL)
    export = building.create(session, None, "adapter", ring=False)
    while running.run(kind, str(export.pk)):
        pass
    export.refresh_from_db()
    assert (export.status, export.attempt) == (JobStatus.FAILED, running.MAX_ATTEMPTS)
    assert "memory" in export.error


def test_however_often_workers_are_restarted_a_job_goes_on(
    session: Session, kind: running.JobKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*args: Any, **kwargs: Any) -> int:
        running.children.closing.set()
        return -signal.SIGTERM

    monkeypatch.setattr(running.children, "run_child", stopped)
    export = building.create(session, None, "adapter", ring=False)
    for _ in range(running.MAX_ATTEMPTS + 2):
        assert running.run(kind, str(export.pk))
        running.children.closing.clear()
    export.refresh_from_db()
    assert (export.status, export.attempt) == (JobStatus.QUEUED, running.MAX_ATTEMPTS + 2)
    assert export.message == "Trying again: its worker was stopped."


def test_a_child_that_ends_with_an_error_is_not_tried_again(
    session: Session, kind: running.JobKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.children, "run_child", lambda *args, **kwargs: 1)
    export = building.create(session, None, "adapter", ring=False)
    running.run(kind, str(export.pk))
    export.refresh_from_db()
    assert export.status == JobStatus.FAILED
    assert "ended with code 1" in export.error


def test_cancelling_kills_the_child_and_removes_its_files(session: Session, kind: running.JobKind) -> None:
    export = building.create(session, None, "merged", ring=False)
    worker = Worker(kind, export.pk)
    worker.start()
    child = eventually(lambda: child_of(export))
    eventually(lambda: message_of(export))
    assert building.cancel(export)
    worker.join(20)
    assert not worker.is_alive()
    assert not psutil.pid_exists(child.pid)
    export.refresh_from_db()
    assert (export.status, export.worker) == (JobStatus.CANCELLED, "")
    assert list(export.folder.iterdir()) == []
    assert not building.cancel(export), "a second cancel changes nothing"


def test_a_job_of_a_dead_worker_is_taken_back_and_rung_for(
    session: Session, kind: running.JobKind, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "KINDS", {"build_export": kind})
    export = building.create(session, None, "adapter", ring=False)
    long_ago = timezone.now() - timedelta(hours=1)
    Export.objects.update(status=JobStatus.RUNNING, attempt=1, worker="elsewhere/1/1.00", lease_until=long_ago)
    running.dispatch()
    export.refresh_from_db()
    assert export.status == JobStatus.QUEUED
    assert rung == [str(export.pk)]
    running.dispatch()
    assert rung[1:] in ([], [str(export.pk)])
    assert running.run(kind, str(export.pk))


def test_a_lost_bell_costs_a_look_of_the_dispatcher(
    session: Session, kind: running.JobKind, rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "KINDS", {"build_export": kind})
    export = building.create(session, None, "adapter", ring=False)
    assert rung == []
    running.dispatch()
    running.dispatch()
    assert rung == [str(export.pk)], "rung once, not at every look"


def test_the_worker_s_dispatcher_looks_after_jobs() -> None:
    assert running.dispatch in dispatcher.looks
    assert {kind.command for kind in running.KINDS.values()} >= {"build_export", "answer"}


def test_one_export_is_built_at_a_time(session: Session, kind: running.JobKind) -> None:
    first = building.create(session, None, "adapter", ring=False)
    second = building.create(session, None, "merged", ring=False)
    attempt = leases.claim(Export, first.pk, running.QUEUED, status=JobStatus.RUNNING)
    assert attempt == 1
    assert not running.run(kind, str(second.pk))
    second.refresh_from_db()
    assert second.status == JobStatus.QUEUED


def test_a_bell_for_a_job_that_is_done_does_nothing(session: Session, kind: running.JobKind) -> None:
    export = building.create(session, None, "adapter", ring=False)
    Export.objects.update(status=JobStatus.CANCELLED)
    assert not running.run(kind, str(export.pk))
    assert not running.run(kind, "00000000-0000-0000-0000-000000000000")
    assert export.attempt == 0


def test_a_child_whose_worker_is_killed_ends_by_itself(session: Session, tmp_path: Any) -> None:
    """kill -9 of the process that supervises: the build must not go on beside the one that replaces it."""
    import subprocess
    import sys

    export = building.create(session, None, "merged", ring=False)
    supervisor = subprocess.Popen(
        [sys.executable, "manage.py", "export", str(session.pk), "--format", "merged"],
        cwd=running.settings.BASE_DIR,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    process = psutil.Process(supervisor.pid)
    child = eventually(lambda: next((c for c in process.children() if "build_export" in c.cmdline()), None))
    eventually(lambda: message_of(export))
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10)
    running.dispatch()
    export.refresh_from_db()
    assert export.status == JobStatus.QUEUED
    assert tasks.KIND.command == "build_export"
