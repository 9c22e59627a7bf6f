"""Starts the trainer of a claimed session, watches it, and writes down how it ended. In the worker, without torch."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection

from jobs import children, leases
from jobs.leases import AWAY
from rewards import judge_access
from training import lifecycle, trainer
from training.choices import Kind, Status
from training.engine.problems import is_disk_full
from training.events import EngineEvent
from training.models import Session
from training.recorder import FILE, EventLog, Fenced, Ingester
from training.trainer import Exit

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

ROW_SECONDS = 2.0
WAITING = "Waiting to go on from the last checkpoint"


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
        log = self.session.folder / "logs" / "trainer.log"
        keys = patiently(lambda: judge_access.environment_for(self.session.team, self.session.reward))
        return children.run_child(argv, log=log, on_tick=self._tick, environment=keys)

    def _tick(self, child: children.Child) -> None:
        """A database that is away stops nothing: the lease is renewed as soon as it is back."""
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
        if code == Exit.STOPPED or (code == Exit.INTERRUPTED and self.session.stop_requested_at):
            return lifecycle.ending(Status.STOPPED, "Stopped")
        if code == Exit.INTERRUPTED or (code < 0 and children.closing.is_set()):
            return lifecycle.ending(Status.QUEUED, WAITING, by_request=True)
        if code in (Exit.FAILED, Exit.DISK_FULL):
            return lifecycle.ending(Status.FAILED, "Failed", self._reason(code))
        return patiently(lambda: lifecycle.after_crash(self.session, describe(code)))

    def _reason(self, code: int) -> str:
        outcome = trainer.outcome_of(self.session)
        if outcome.get("attempt") == self.attempt and outcome.get("error"):
            return str(outcome["error"])
        if code == Exit.DISK_FULL:
            return "The disk is full. Earlier checkpoints are intact: free some space, then resume the session."
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

    def _last_events(self, ending: dict[str, Any]) -> list[EngineEvent]:
        """The trainer has reported its own errors; of a crash only the supervisor knows."""
        status, told = ending["status"], trainer.outcome_of(self.session).get("attempt") == self.attempt
        events = [EngineEvent(Kind.PHASE, status, ending)]
        if ending["error"] and not told:
            data = {"message": ending["error"], "hint": "", "trace": None}
            events.insert(0, EngineEvent(Kind.ERROR, self.session.status, data))
        return events


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
