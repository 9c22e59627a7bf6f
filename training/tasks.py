"""Bells. What waits is in the database: a lost message costs one look of the dispatcher, a doubled one nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections, connection
from django.db.models import Q
from huey.contrib.djhuey import db_task, on_startup

from training import children, devices, leases, lifecycle
from training.choices import RUNNING
from training.models import Session

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
RING_AGAIN_SECONDS = 10.0

# What else the dispatcher looks after, each called at every look: other apps append their own.
dispatchables: list[Callable[[], object]] = []

_once = threading.Lock()
_rung: dict[UUID, float] = {}


@db_task(name="training.supervise")
def supervise(session_id: str) -> None:
    from training.supervisor import supervise

    supervise(session_id)


def ring(session_id: UUID) -> None:
    _rung[session_id] = time.monotonic()
    supervise(str(session_id))


lifecycle.ring = ring


@on_startup(name="training.dispatcher")
def start_dispatcher() -> None:
    """Huey calls this in each of its threads."""
    if _once.acquire(blocking=False):
        for line in devices.detect().lines:
            logger.info(line)
        threading.Thread(target=dispatch_forever, daemon=True, name="dispatcher").start()


def dispatch_forever() -> None:
    looked = time.monotonic()
    while not children.closing.is_set():
        if time.monotonic() - looked > settings.LEASE_SECONDS / 2:
            leases.allow_grace()
        # A failed look leaves `looked` as it is: the pause it belongs to goes on.
        if dispatch():
            looked = time.monotonic()
        close_old_connections()
        children.closing.wait(LOOK_SECONDS)


def dispatch() -> bool:
    """One look at everything that waits or was left behind. False if some of it failed."""
    done = [_attempted(look) for look in (lifecycle.reap, ring_for_waiting_sessions, *dispatchables)]
    return all(done)


def ring_for_waiting_sessions() -> None:
    free = settings.MAX_SESSIONS_PER_WORKER - leases.held_here(Session, Q(status__in=RUNNING))
    now = time.monotonic()
    for session_id in lifecycle.waiting()[: max(free, 0)]:
        if now - _rung.get(session_id, -RING_AGAIN_SECONDS) >= RING_AGAIN_SECONDS:
            ring(session_id)


def _attempted(look: Callable[[], object]) -> bool:
    """The dispatcher outlives whatever goes wrong in one look."""
    try:
        look()
    except Exception:
        logger.exception("%s failed.", getattr(look, "__qualname__", look))
        connection.close()
        return False
    return True
