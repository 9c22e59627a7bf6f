"""Looks, every two seconds, at everything that waits or was left behind: the bells of Huey may be lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.conf import settings
from django.db import close_old_connections, connection

from jobs import children, leases

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
# Apps append what they look after. Each is called at every look.
looks: list[Callable[[], object]] = []
# And what they do when this worker ends.
leavings: list[Callable[[], object]] = []


def dispatch_forever() -> None:
    with children.unfinished_work():
        _look_until_the_end()
        for leave in leavings:
            _attempted(leave)


def _look_until_the_end() -> None:
    looked = time.monotonic()
    while not children.closing.is_set():
        # Beyond the pause between two looks: with a short lease nothing would ever be taken back.
        if time.monotonic() - looked > LOOK_SECONDS + settings.LEASE_SECONDS / 2:
            leases.allow_grace()
        # A failed look leaves `looked` as it is: the pause it belongs to goes on.
        if dispatch():
            looked = time.monotonic()
        close_old_connections()
        children.closing.wait(LOOK_SECONDS)


def dispatch() -> bool:
    """One look at everything. False if some of it failed."""
    done = [_attempted(look) for look in looks]
    return all(done)


def _attempted(look: Callable[[], object]) -> bool:
    """The dispatcher outlives whatever goes wrong in one look."""
    try:
        look()
    except Exception:
        logger.exception("%s failed.", getattr(look, "__qualname__", look))
        connection.close()
        return False
    return True
