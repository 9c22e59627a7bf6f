"""Short work in a child process: imports, exports, answers to prompts. The row is the truth, a bell says "look again".

A worker claims a queued row, starts `manage.py <command> <id> <attempt>` and watches it. The child writes progress and
outcome under its attempt number; a child that dies without an outcome is tried again, at most MAX_ATTEMPTS times.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from jobs import children, dispatcher, leases
from jobs.choices import JobStatus
from jobs.leases import AWAY
from jobs.models import Task

MAX_ATTEMPTS = 3
RING_AGAIN_SECONDS = 10.0
REPORT_SECONDS = 0.5
QUEUED, RUNNING = Q(status=JobStatus.QUEUED), Q(status=JobStatus.RUNNING)
OPEN = Q(status__in=[JobStatus.QUEUED, JobStatus.RUNNING])
HELD = ~Q(worker="")


class Lost(Exception):
    """The job was cancelled, or another worker has taken it: end without writing."""


@dataclass(frozen=True)
class JobKind:
    """`at_once`: how many of them one machine runs. `tidy` removes what an ended attempt left behind. `if_killed`: what
    to do about a child that was killed each time it was tried. `claim` is for those that need more than a lease: the
    attempt, or None while they wait; `has_room` says beforehand whether one of them could begin now. `claim_beside` is
    for a command that runs one itself, beside the queue."""

    model: type[Task]
    command: str
    ring: Callable[[str], None]
    tidy: Callable[[Any], None] = lambda job: None
    at_once: int = 1
    if_killed: str = "Most likely the memory was full: try a smaller model."
    claim: Callable[[str], int | None] | None = None
    claim_beside: Callable[[str], int | None] | None = None
    has_room: Callable[[], bool] = lambda: True
    environment: Callable[[str], Mapping[str, str]] = lambda pk: {}


KINDS: dict[str, JobKind] = {}
_rung: dict[str, float] = {}


def register(kind: JobKind) -> None:
    KINDS[kind.command] = kind
    if dispatch not in dispatcher.looks:
        dispatcher.looks.append(dispatch)


def cancel(job: Task) -> bool:
    """True if it was still open. A running child is ended by its worker within a second."""
    rows = type(job)._default_manager.filter(OPEN, pk=job.pk)
    return bool(rows.update(status=JobStatus.CANCELLED, finished_at=Now(), message=""))


def dispatch() -> None:
    """Takes jobs back from dead workers and rings for those that wait. The dispatcher calls it at every look."""
    for kind in KINDS.values():
        for job in leases.overdue(kind.model, RUNNING | HELD):
            if job.status == JobStatus.RUNNING:
                _try_again(kind, job, job.attempt, "its worker ended")
            else:
                # It ended, and its worker died before it could let it go.
                leases.release(kind.model, job.pk, job.attempt)
        free = max(0, kind.at_once - leases.held_here(kind.model, RUNNING))
        waiting = kind.model._default_manager.filter(QUEUED).order_by("created_at").values_list("pk", flat=True)[:free]
        for pk in waiting if waiting and kind.has_room() else ():
            _ring_again(kind, str(pk))


def _ring_again(kind: JobKind, pk: str) -> None:
    """Not at every look: with all threads of the worker busy, bells would pile up."""
    if time.monotonic() - _rung.get(pk, -RING_AGAIN_SECONDS) >= RING_AGAIN_SECONDS:
        _ring(kind, pk)


def _ring(kind: JobKind, pk: str) -> None:
    _rung[pk] = time.monotonic()
    kind.ring(pk)


def run(kind: JobKind, pk: str, on_tick: Callable[[Task], None] | None = None, *, waits: bool = True) -> bool:
    """Claims the job and runs its child to the end. False if there was nothing to claim or, with `waits`, no room."""
    if children.closing.is_set():
        return False
    if waits and leases.held_here(kind.model, RUNNING) >= kind.at_once:
        return False
    own = kind.claim if waits else kind.claim_beside or kind.claim
    attempt = own(pk) if own else claim(kind.model, pk)
    if attempt is None:
        return False
    watch = _Watch(kind, pk, attempt, on_tick)
    # The system checks import every view and try the sandbox; the worker did that when it began.
    command = [kind.command, "--skip-checks", str(pk), str(attempt)]
    argv = [sys.executable, str(settings.BASE_DIR / "manage.py"), *command]
    with children.unfinished_work():
        code = children.run_child(argv, log=log_file(pk), on_tick=watch, environment=kind.environment(pk))
        _settle(kind, pk, attempt, code)
    return True


def claim(model: type[Task], pk: str, **changes: Any) -> int | None:
    """The attempt that may run it now; None if it does not wait any more."""
    return leases.claim(model, pk, QUEUED, status=JobStatus.RUNNING, progress=0, message="", **changes)


def log_file(pk: Any) -> Path:
    return Path(settings.LOGS_DIR) / "jobs" / f"{pk}.log"


class _Watch:
    """Renews the lease and ends the child of a job that is no longer this attempt's to run."""

    def __init__(self, kind: JobKind, pk: str, attempt: int, on_tick: Callable[[Task], None] | None) -> None:
        self.rows = kind.model._default_manager.filter(pk=pk)
        self.kind, self.pk, self.attempt, self.on_tick = kind, pk, attempt, on_tick
        self.renewed = time.monotonic()

    def __call__(self, child: children.Child) -> None:
        try:
            self.look(child)
        except AWAY:
            # A database that is away stops nothing: the lease is renewed as soon as it is back.
            connection.close()

    def look(self, child: children.Child) -> None:
        if time.monotonic() - self.renewed >= settings.LEASE_SECONDS / 6:
            leases.renew(self.kind.model, self.pk, self.attempt)
            self.renewed = time.monotonic()
        job = self.rows.first()
        if job is None or job.attempt != self.attempt or job.status == JobStatus.CANCELLED:
            child.kill()
        elif self.on_tick:
            self.on_tick(job)


def _settle(kind: JobKind, pk: str, attempt: int, code: int) -> None:
    """After the child: what it left undone is noted, retried or removed."""
    job = kind.model._default_manager.filter(pk=pk).first()
    if job is None or job.attempt != attempt:
        return
    if job.status == JobStatus.RUNNING and children.closing.is_set():
        # Nothing went wrong: however often workers are restarted, what they were at goes on.
        _wait_again(kind, job, attempt, "its worker was stopped")
    elif job.status == JobStatus.RUNNING:
        _try_again(kind, job, attempt, _ending(code), retry=code < 0)
    leases.release(kind.model, pk, attempt)
    kind.tidy(job)


def _ending(code: int) -> str:
    return f"it was killed by signal {-code}" if code < 0 else f"its process ended with code {code}"


def _try_again(kind: JobKind, job: Task, attempt: int, why: str, retry: bool = True) -> None:
    if retry and attempt < MAX_ATTEMPTS:
        _wait_again(kind, job, attempt, why)
        return
    tried = f" {attempt} times" if attempt > 1 else ""
    hint = kind.if_killed if retry else "The worker's log says more."
    error = f"Not finished{tried}: {why}. {hint} (logs/jobs/{job.pk}.log)"
    rows = kind.model._default_manager.filter(RUNNING, pk=job.pk, attempt=attempt)
    rows.update(status=JobStatus.FAILED, worker="", lease_until=None, finished_at=Now(), error=error)


def _wait_again(kind: JobKind, job: Task, attempt: int, why: str) -> None:
    rows = kind.model._default_manager.filter(RUNNING, pk=job.pk, attempt=attempt)
    if rows.update(status=JobStatus.QUEUED, worker="", lease_until=None, message=f"Trying again: {why}."):
        _ring(kind, str(job.pk))


# What the child calls.


def follow_worker() -> None:
    """Ends this process at once when its worker is gone: the job is done again by another one."""
    children.follow_parent(lambda: os._exit(os.EX_TEMPFAIL))


def report(job: Task, progress: float, message: str = "", **changes: Any) -> None:
    """Raises Lost if this attempt does not count any more."""
    if not _mine(job).update(progress=round(min(max(progress, 0.0), 1.0), 4), message=message[:300], **changes):
        raise Lost


def reporter(job: Task) -> Callable[..., None]:
    """report() for a loop: it writes at most twice a second, but always the first and a new message."""
    told_at, told = 0.0, ""

    def tell(progress: float, message: str = "", **changes: Any) -> None:
        nonlocal told_at, told
        now = time.monotonic()
        if now - told_at >= REPORT_SECONDS or message != told:
            told_at, told = now, message
            report(job, progress, message, **changes)

    return tell


def finish(job: Task, **changes: Any) -> None:
    if not _mine(job).update(status=JobStatus.READY, progress=1, message="", finished_at=Now(), **changes):
        raise Lost


def fail(job: Task, error: str) -> None:
    _mine(job).update(status=JobStatus.FAILED, message="", error=error, finished_at=Now())


def _mine(job: Task) -> Any:
    return type(job)._default_manager.filter(RUNNING, pk=job.pk, attempt=job.attempt)
