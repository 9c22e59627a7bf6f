"""Who may work on a row. A claim is one conditional UPDATE that makes `attempt` grow: the fencing token.

A lease runs by the clock of the database, so that machines need not agree on the time. Sessions, exports and answers to
prompts (every model that inherits `Leased`) use these verbs.
"""

from __future__ import annotations

import functools
import hashlib
import os
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import F, Model, Q, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Now

Key = UUID | str
# What a database that can't be reached raises.
AWAY = (OperationalError, InterfaceError)
_grace_until = 0.0


def claim(model: type[Model], pk: Key, when: Q, **changes: Any) -> int | None:
    """The new attempt, if the row fulfils `when` and this caller is the one who gets it; else None."""
    rows = _rows(model).filter(when, pk=pk)
    attempt = rows.values_list("attempt", flat=True).first()
    if attempt is None:
        return None
    # Whoever read the same attempt and comes second changes no row.
    won = rows.filter(attempt=attempt).update(
        attempt=attempt + 1,
        worker=identity(),
        lease_until=lease_end(),
        started_at=Coalesce(F("started_at"), Now()),
        finished_at=None,
        error="",
        **changes,
    )
    return attempt + 1 if won else None


def renew(model: type[Model], pk: Key, attempt: int) -> bool:
    """False: the row was taken away, and whoever held it must end without writing."""
    held = _rows(model).filter(pk=pk, attempt=attempt, worker=identity())
    return bool(held.update(lease_until=lease_end()))


def release(model: type[Model], pk: Key, attempt: int, **changes: Any) -> bool:
    """Ends the lease and writes the outcome, if `attempt` is still the one that counts."""
    held = _rows(model).filter(pk=pk, attempt=attempt).exclude(worker="")
    return bool(held.update(worker="", lease_until=None, **changes))


def overdue(model: type[Model], when: Q) -> list[Any]:
    """Rows that nobody works on any more: their lease ran out, or their worker is known to be dead.

    Rows of this very process are never among them: it gives back itself what it can't finish.
    """
    others = _rows(model).filter(when).exclude(worker=identity())
    expired = Q(lease_until__isnull=True) | Q(lease_until__lt=Now())
    rows = [] if in_grace() else list(others.filter(expired))
    return rows + [row for row in others.exclude(pk__in=[row.pk for row in rows]) if is_dead(row.worker)]


def allow_grace() -> None:
    """After a pause in which nobody may have been able to renew (the database was away, this machine slept)."""
    global _grace_until
    _grace_until = time.monotonic() + settings.LEASE_SECONDS


def in_grace() -> bool:
    return time.monotonic() < _grace_until


def held_here(model: type[Model], when: Q) -> int:
    """How many rows workers of this machine hold."""
    return _rows(model).filter(when, lease_until__gt=Now(), worker__startswith=f"{place()}/").count()


def lease_end() -> Combinable:
    return Now() + timedelta(seconds=settings.LEASE_SECONDS)


def identity() -> str:
    """This process: place/pid/start time. Unlike a pid alone it is never given to another process."""
    return process_identity(os.getpid())


def process_identity(pid: int) -> str:
    return f"{place()}/{pid}/{psutil.Process(pid).create_time():.2f}"


@functools.cache
def place() -> str:
    """Where a pid means the same process: a host since its last start, and in it a pid namespace (a container)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        boot, namespace = f"{psutil.boot_time():.0f}", ""
    host = settings.PLACE or socket.gethostname()
    digest = hashlib.sha256(f"{host} {boot} {namespace}".encode()).hexdigest()[:16]
    return f"{host[:60]}:{digest}"


def is_dead(worker: str) -> bool:
    """True if it can be proved from here. A worker of another machine or container may live."""
    where, _, rest = worker.partition("/")
    pid = rest.partition("/")[0]
    if where != place() or not pid.isdigit():
        return False
    return not is_alive(worker)


def is_alive(worker: str) -> bool:
    pid = worker.split("/")[1]
    try:
        process = psutil.Process(int(pid))
        return process_identity(process.pid) == worker and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _rows(model: type[Model]) -> QuerySet[Any]:
    return model._default_manager.all()
