"""Starts the trainer of a claimed session, watches it, and writes down how it ended. In the worker, without torch."""

from __future__ import annotations

import logging
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection

from jobs import children, leases
from jobs.leases import AWAY
from rewards import judge_access
from training import lifecycle, slots, trainer
from training.choices import Kind, Status
from training.engine import beats
from training.engine.problems import is_disk_full
from training.events import EngineEvent
from training.models import Session
from training.recorder import FILE, EventLog, Fenced, Ingester, shorten
from training.trainer import Exit

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

ROW_SECONDS = 2.0
# From the order to show its stacks to the end of a trainer that is stuck.
STACK_SECONDS = 2.0
LOOK_SECONDS = 0.25
# Between two looks: if more passed, this process itself was held up, and saw no sign that was there.
HELD_UP_SECONDS = 10.0
STACKS_SHOWN = 20_000


def supervise(session_id: UUID | str) -> bool:
    """Runs one attempt to its end. False if there was nothing to do, or no room."""
    if children.closing.is_set():
        return False
    with children.unfinished_work():
        attempt = lifecycle.claim(session_id)
        if attempt is None:
            return False
        Supervision(session_id, attempt).run()
    return True


class Supervision:
    def __init__(
        self, session_id: UUID | str, attempt: int, on_tick: Callable[[Session], None] = lambda session: None
    ) -> None:
        self.session = Session.objects.get(pk=session_id)
        self.attempt = attempt
        self.on_tick = on_tick
        self._log = self.session.folder / "logs" / "trainer.log"
        self._watchdog = Watchdog(self.session.folder, self._log)
        self._kills = kills_for_memory()
        self._lost = False
        self._stop_seen: float | None = None
        self._row_read = self._renewed = time.monotonic()

    def run(self) -> None:
        with children.unfinished_work():
            try:
                ending = self._ended_before() or self._judge(self._run_child())
                if ending and not self._lost:
                    self._write_down(ending)
            except Exception:
                logger.exception("The supervisor of session %s failed.", self.session.pk)
                lifecycle.kill_trainer(self.session)
                patiently(lambda: lifecycle.take_back(self.session, "The worker failed: see its log."))

    def _run_child(self) -> int:
        manage = str(settings.BASE_DIR / "manage.py")
        argv = [sys.executable, manage, "train", str(self.session.pk), "--attempt", str(self.attempt)]
        keys = patiently(lambda: judge_access.environment_for(self.session.team, self.session.reward))
        return children.run_child(
            argv, log=self._log, on_tick=self._tick, environment=keys | slots.environment_of(self.session)
        )

    def _tick(self, child: children.Child) -> None:
        """A database that is away stops nothing: the lease is renewed as soon as it is back."""
        self._watchdog.watch(child)
        try:
            self._renew(child)
            self._look_for_stop()
        except AWAY as error:
            logger.warning("The database does not answer: %s", error)
            connection.close()
        if self._stop_seen is not None:
            child.escalate(self._stop_seen)
        self.on_tick(self.session)

    def _renew(self, child: children.Child) -> None:
        now = time.monotonic()
        if now - self._renewed < settings.LEASE_SECONDS / 6:
            return
        self._renewed = now
        if not leases.renew(Session, self.session.pk, self.attempt):
            logger.warning("Session %s was given to somebody else: attempt %s ends.", self.session.pk, self.attempt)
            self._lost = True
            child.kill()

    def _look_for_stop(self) -> None:
        now = time.monotonic()
        if self._stop_seen is None and now - self._row_read >= ROW_SECONDS:
            self._row_read = now
            self.session.refresh_from_db()
            self._stop_seen = now if self.session.stop_requested_at else None

    def _ended_before(self) -> dict[str, Any] | None:
        """The trainer of an earlier attempt finished, and its supervisor died before it could write that down."""
        if trainer.outcome_of(self.session).get("status") != "completed":
            return None
        return lifecycle.ending(Status.COMPLETED, "Completed")

    def _judge(self, code: int) -> dict[str, Any] | None:
        """What becomes of the session after its trainer ended with `code`. None: it is not ours any more."""
        patiently(self.session.refresh_from_db)
        if code == Exit.FENCED or self.session.attempt != self.attempt:
            return None
        if code == Exit.COMPLETED:
            return lifecycle.ending(Status.COMPLETED, "Completed")
        if self._watchdog.stalled:
            return patiently(lambda: lifecycle.after_crash(self.session, self._watchdog.told))
        if code == Exit.STOPPED or (code == Exit.INTERRUPTED and self.session.stop_requested_at):
            return lifecycle.ending(Status.STOPPED, "Stopped")
        if code == Exit.INTERRUPTED or (code < 0 and children.closing.is_set()):
            return lifecycle.ending(Status.QUEUED, lifecycle.WAITING, by_request=True)
        if code == Exit.FAILED:
            return lifecycle.ending(Status.FAILED, "Failed", self._reason(code))
        return patiently(lambda: self._after_accident(code))

    def _after_accident(self, code: int) -> dict[str, Any]:
        """It goes on by itself, unless it did so in vain too often."""
        if code == Exit.DISK_FULL:
            return lifecycle.after_crash(self.session, self._reason(code), lifecycle.NO_SPACE)
        if code == Exit.OUT_OF_MEMORY:
            return lifecycle.after_out_of_memory(self.session, self._reason(code))
        if code == -signal.SIGKILL and kills_for_memory() > self._kills:
            return lifecycle.after_out_of_memory(self.session, KILLED_FOR_MEMORY)
        return lifecycle.after_crash(self.session, describe(code))

    def _reason(self, code: int) -> str:
        outcome = trainer.outcome_of(self.session)
        if outcome.get("attempt") == self.attempt and outcome.get("error"):
            return str(outcome["error"])
        if code == Exit.DISK_FULL:
            return "The disk is full. Earlier checkpoints are intact. Free some space: the session goes on by itself."
        return "The trainer could not start. The end of logs/trainer.log in the session's folder says why."

    def _write_down(self, ending: dict[str, Any]) -> None:
        """As the attempt's last event, so that pages learn it like everything else, and the row in the same moment."""
        if not patiently(lambda: leases.renew(Session, self.session.pk, self.attempt)):
            return
        patiently(self.session.refresh_from_db)
        path = self.session.folder / FILE
        try:
            log = EventLog(path, self.attempt, self.session.last_seq)
            for event in self._last_events(ending):
                log.append(event)
            log.close()
        except OSError as error:
            if not is_disk_full(error):
                raise
            patiently(lambda: lifecycle.take_back(self.session, ending=ending))
            return
        ingester = Ingester(self.session.pk, self.attempt, path)
        try:
            patiently(ingester.catch_up)
        except Fenced:
            logger.warning("Session %s was given to somebody else before its end was written.", self.session.pk)
            return
        shorten(path, ingester.seq or 0)

    def _last_events(self, ending: dict[str, Any]) -> list[EngineEvent]:
        """The trainer has reported its own errors; of a crash only the supervisor knows."""
        status, told = ending["status"], trainer.outcome_of(self.session).get("attempt") == self.attempt
        events = [EngineEvent(Kind.PHASE, status, ending)]
        if ending["error"] and not told:
            data = {"message": ending["error"], "hint": "", "trace": None, **self._watchdog.facts}
            events.insert(0, EngineEvent(Kind.ERROR, self.session.status, data))
        if stacks := self._watchdog.stacks():
            events.insert(0, EngineEvent(Kind.LOG, self.session.status, {"level": "error", "message": stacks}))
        return events


class Watchdog:
    """Looks for the trainer's signs of life. Without one for too long it has the stacks written down and kills it.

    In a thread that asks no database: a trainer may be stuck while it holds SQLite's lock, for which the supervisor
    then waits, too.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder, self.log = folder, log
        self.doing = beats.LOADING
        self.seen = beats.last_beat(folder)
        self.seen_at = self.looked_at = time.monotonic()
        self.stalled: float | None = None
        self.waited = 0.0
        self._log_size = 0
        self._thread: threading.Thread | None = None

    def watch(self, child: children.Child) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(child,), daemon=True, name="watchdog")
            self._thread.start()

    def _run(self, child: children.Child) -> None:
        while child.is_running:
            self.look(child)
            time.sleep(LOOK_SECONDS)

    def look(self, child: children.Child) -> None:
        now = time.monotonic()
        if self.stalled is not None:
            if now - self.stalled >= STACK_SECONDS:
                child.kill()
            return
        sign = beats.last_beat(self.folder)
        if sign and sign != self.seen:
            self.seen, self.seen_at, self.doing = sign, now, sign[0]
        elif now - self.looked_at >= HELD_UP_SECONDS:
            self.seen_at = now
        self.looked_at, self.waited = now, now - self.seen_at
        if self.waited >= settings.STALL_SECONDS.get(self.doing, settings.STALL_SECONDS["training"]):
            self.give_up(child)

    def give_up(self, child: children.Child) -> None:
        logger.error("%s: the trainer is stuck while %s.", self.folder.name, self.doing)
        self.stalled = time.monotonic()
        self._log_size = self.log.stat().st_size
        child.show_stacks()

    @property
    def told(self) -> str:
        return (
            f"The trainer was stuck while {self.doing}: no sign of life for {self.waited:.0f} s. It was ended; where it"
            " was is in the log."
        )

    @property
    def facts(self) -> dict[str, Any]:
        return {} if self.stalled is None else {"stalled": {"doing": self.doing, "seconds": round(self.waited, 1)}}

    def stacks(self) -> str:
        """What the trainer wrote of its threads; nothing if it was too stuck even for that."""
        if self.stalled is None:
            return ""
        with self.log.open("rb") as file:
            file.seek(self._log_size)
            text = file.read(STACKS_SHOWN).decode(errors="replace").strip()
        return f"Where the stuck trainer was:\n{text}" if text else "The stuck trainer could not say where it was."


KILLED_FOR_MEMORY = (
    "The trainer was killed because the memory of the machine was full. Lower training.batch_size,"
    " training.max_new_tokens or the sequence length, or choose a smaller model."
)


def kills_for_memory() -> int:
    """How many processes the kernel has killed since its start because memory was full. 0 where it does not say."""
    try:
        found = re.search(r"^oom_kill (\d+)", Path("/proc/vmstat").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def describe(code: int) -> str:
    if code == -signal.SIGKILL:
        return (
            "The trainer was killed (signal 9), most often because the memory was full. A smaller batch size, fewer new"
            " tokens or a smaller model needs less."
        )
    if code < 0:
        return f"The trainer crashed (signal {-code}). The end of logs/trainer.log in the session's folder may say why."
    return f"The trainer ended with code {code}. The end of logs/trainer.log in the session's folder says why."


def patiently(act: Callable[[], Result]) -> Result:
    """`act`'s result, however long the database is away; while this process ends it is tried only once more."""
    pause = 0.5
    while True:
        last = children.closing.is_set()
        try:
            return act()
        except AWAY:
            connection.close()
            if last:
                raise
            logger.warning("The database does not answer; trying again.")
            children.closing.wait(pause)
            pause = min(pause * 2, 10)
