"""Bells. What waits is in the database: a lost message costs one look of the dispatcher, a doubled one nothing."""

from __future__ import annotations

import logging
import threading
import time
from uuid import UUID

from django.conf import settings
from huey.contrib.djhuey import db_task, on_startup

from jobs import dispatcher
from training import devices, lifecycle, slots

logger = logging.getLogger(__name__)

RING_AGAIN_SECONDS = 10.0

_once = threading.Lock()
_rung: dict[UUID, float] = {}
_beat = float("-inf")


@db_task(name="training.supervise")
def supervise(session_id: str) -> None:
    from training.supervisor import supervise

    supervise(session_id)
    # If it waits again, because its trainer died, the next look rings for it at once.
    _rung.pop(UUID(session_id), None)


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
        threading.Thread(target=dispatcher.dispatch_forever, daemon=True, name="dispatcher").start()


def look_after_sessions() -> None:
    """Takes sessions back from dead workers and rings for those that wait."""
    _say_that_it_lives()
    lifecycle.reap()
    ring_for_waiting_sessions()


def _say_that_it_lives() -> None:
    global _beat
    if time.monotonic() - _beat >= settings.LEASE_SECONDS / 6:
        slots.beat()
        slots.forget_the_gone()
        _beat = time.monotonic()


def ring_for_waiting_sessions() -> None:
    free = len(lifecycle.free_for_sessions())
    now = time.monotonic()
    for session_id in lifecycle.waiting()[:free]:
        if now - _rung.get(session_id, -RING_AGAIN_SECONDS) >= RING_AGAIN_SECONDS:
            ring(session_id)


dispatcher.looks.append(look_after_sessions)
dispatcher.leavings.append(slots.leave)
