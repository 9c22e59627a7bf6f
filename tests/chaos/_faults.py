"""What environment variables break in a process of a scenario.

CHAOS_BREAK names protections that are switched off: each scenario's negative control, which must fail without them.
CHAOS_BOOT makes this another machine, or the same after a restart. CHAOS_TRAPS makes the engine misbehave (_engine.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.apps import AppConfig

BROKEN: dict[str, Callable[[], None]] = {}


class Faults(AppConfig):
    name = "tests.chaos._faults"
    path = str(Path(__file__).parent)

    def ready(self) -> None:
        if boot := os.environ.get("CHAOS_BOOT"):
            be_elsewhere(boot)
        for name in filter(None, os.environ.get("CHAOS_BREAK", "").split(",")):
            BROKEN[name]()


def be_elsewhere(boot: str) -> None:
    """As /proc/sys/kernel/random/boot_id would say after a restart."""
    from jobs import leases

    leases.place = lambda: f"machine:{boot}"  # type: ignore[assignment]


def breaks(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(act: Callable[[], None]) -> Callable[[], None]:
        BROKEN[name] = act
        return act

    return register


@breaks("supersede")
def count_repeated_steps_twice() -> None:
    from training import recorder

    recorder.supersede = lambda *_: None


@breaks("verify")
def trust_every_checkpoint() -> None:
    """And write them where they are read from, as transformers does."""
    from training.engine import checkpoints, files

    checkpoints.damage = lambda path: None
    files.unfinished_folder = lambda parent: _in_place(parent)


def _in_place(parent: Path) -> Any:
    import contextlib

    from tests.chaos import _engine

    @contextlib.contextmanager
    def folder() -> Any:
        target: Path = parent / f"training-{_engine.saving:08d}"
        target.mkdir(parents=True, exist_ok=True)
        yield target

    return folder()


@breaks("parent")
def outlive_the_worker() -> None:
    import signal

    from jobs import children

    children.follow_parent = lambda _: signal.signal(signal.SIGTERM, signal.SIG_IGN) and None


@breaks("fence")
def write_without_a_token() -> None:
    """Every attempt may write, whoever has the session now."""
    from training import recorder, trainer
    from training.models import Session

    recorder.Ingester._mine = lambda self: Session.objects.filter(pk=self.session_id)  # type: ignore[method-assign]
    trainer._running_rows = lambda pk, attempt: Session.objects.filter(pk=pk)
    recorder.HEAD = recorder.re.compile(rb'\{"seq": (\d+), "attempt": \d+(), ')  # type: ignore[attr-defined]


@breaks("claim")
def claim_without_looking() -> None:
    """Read, then write, and no transaction round both, which alone would keep claims apart."""
    import time

    from django.db.models import Q

    from jobs import leases
    from training import lifecycle
    from training.models import Session

    def claim(model: Any, pk: Any, when: Any, **changes: Any) -> int | None:
        row = model._default_manager.filter(when, pk=pk).first()
        if row is None:
            return None
        time.sleep(0.02)
        model._default_manager.filter(pk=pk).update(attempt=row.attempt + 1, worker=leases.identity(), **changes)
        return int(row.attempt) + 1

    leases.claim = claim
    lifecycle.claim = lambda pk: claim(Session, pk, Q(status="queued"), status="starting")


@breaks("reap")
def leave_the_lost_alone() -> None:
    from training import lifecycle

    lifecycle.reap = list


@breaks("watchdog")
def never_look() -> None:
    from training.supervisor import Watchdog

    Watchdog.watch = lambda *_: None  # type: ignore[method-assign]


@breaks("space")
def fail_on_a_full_disk() -> None:
    from django.conf import settings

    from training import lifecycle

    settings.MAX_ATTEMPTS_WITHOUT_PROGRESS = 0
    lifecycle._has_room = lambda _: True


@breaks("memory")
def never_get_smaller() -> None:
    from training import lifecycle

    lifecycle.smaller_passes = lambda config: config


@breaks("away")
def give_up_without_a_database() -> None:
    """A trainer that ends when its database is away, as one does that writes its metrics in the training loop."""
    import os

    from training import recorder

    recorder.AWAY = ()  # type: ignore[assignment]
    failed = recorder.Ingester.catch_up

    def catch_up(self: Any) -> None:
        try:
            failed(self)
        except Exception:
            os._exit(1)

    recorder.Ingester.catch_up = catch_up  # type: ignore[method-assign]


@breaks("deaf")
def hear_no_stop() -> None:
    import time

    from django.conf import settings

    from training.trainer import Will

    settings.STOP_SECONDS_BEFORE_TERMINATE = 20
    Will.should_stop = lambda self: False  # type: ignore[method-assign]
    Will.interrupt = lambda self: time.sleep(0)  # type: ignore[method-assign]


@breaks("memory only")
def acknowledge_before_writing() -> None:
    """Saved configs are written a second after they were acknowledged."""
    import threading

    from training.models import SavedConfig

    now = SavedConfig.objects.update_or_create

    def later(**values: Any) -> tuple[SavedConfig, bool]:
        threading.Timer(1.0, lambda: now(**values)).start()
        return SavedConfig(name=values["name"], team=values["team"]), True

    SavedConfig.objects.update_or_create = later  # type: ignore[method-assign]


@breaks("bell")
def trust_the_queue() -> None:
    """Without the look at the rows a message that is lost is a session that is lost."""
    from training import tasks

    tasks.ring_for_waiting_sessions = lambda: None
