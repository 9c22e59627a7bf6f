"""The child process that trains one attempt of a session: between the supervisor's claim and the engine."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import logging
import os
import signal
import threading
import time
import traceback
import uuid
from enum import IntEnum
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from pydantic import ValidationError

from jobs import children, leases
from jobs.leases import AWAY
from rewards.judging import surroundings
from training import devices, lifecycle
from training.choices import RUNNING, Kind, Status
from training.engine.problems import EngineError, OutOfMemory, explained, is_disk_full
from training.events import EngineEvent
from training.models import Session
from training.recorder import Recorder

logger = logging.getLogger(__name__)

OUTCOME_FILE = "outcome.json"
WATCH_SECONDS, SYSTEM_SECONDS, DATABASE_SECONDS = 1, 5, 5


class Exit(IntEnum):
    """How the child ended. What it could not say itself (a signal) is negative."""

    COMPLETED = 0
    FAILED = 1
    STOPPED = 3
    INTERRUPTED = 4
    FENCED = 5
    DISK_FULL = 6
    OUT_OF_MEMORY = 7


class Will:
    """Whether the run is to go on. Set by the row, the parent or a signal; asked by the engine at every step."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.interrupted = threading.Event()

    def should_stop(self) -> bool:
        return self.stopped.is_set() or self.interrupted.is_set()

    def interrupt(self) -> None:
        """The worker ends or is gone: save, end, and go on later."""
        if not self.interrupted.is_set():
            self.interrupted.set()
            threading.Thread(target=_leave_in_time, daemon=True, name="leave-in-time").start()


def _leave_in_time() -> None:
    """An engine that does not end must not outlive its worker for ever."""
    time.sleep(settings.STOP_SECONDS_BEFORE_TERMINATE)
    os._exit(Exit.INTERRUPTED)


def _leave_now() -> None:
    """Another attempt has the session: not one more byte is written."""
    os._exit(Exit.FENCED)


def run_session(session_id: uuid.UUID | str, attempt: int) -> Exit:
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    be_killed_first()
    surroundings.take_keys()
    will = Will()
    children.follow_parent(will.interrupt)
    session = _running_rows(session_id, attempt).select_related("team", "dataset_version").first()
    if session is None:
        return Exit.FENCED
    surroundings.work_for(str(session.team_id))
    try:
        return _record(session, will)
    except OSError as error:
        if not is_disk_full(error):
            raise
        return Exit.DISK_FULL


def be_killed_first() -> None:
    """If memory runs out the kernel takes this process, which goes on from a checkpoint, and not the web or a database.

    Anybody may raise the mark of a process of their own; there is none outside of Linux.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _record(session: Session, will: Will) -> Exit:
    """What can't be recorded is not trained: a full disk ends the attempt here, too."""
    attempt = session.attempt
    lifecycle.write_json(session.folder / lifecycle.TRAINER_FILE, {"attempt": attempt, "identity": leases.identity()})
    recorder = Recorder(session, _leave_now)
    try:
        recorder.open(_opening())
        for target in (_watch, _report_system):
            threading.Thread(target=target, args=(session, will, recorder), daemon=True, name=target.__name__).start()
        return _train(session, will, recorder)
    finally:
        recorder.close(DATABASE_SECONDS)


def _opening() -> EngineEvent:
    device = devices.detect()
    for line in device.lines:
        logger.info(line)
    data = {"status": Status.STARTING.value, "label": "Starting", "mode": device.mode, "total_steps": None}
    return EngineEvent(Kind.PHASE, Status.STARTING.value, data | {"resumed_from": None})


def _train(session: Session, will: Will, recorder: Recorder) -> Exit:
    try:
        engine = importlib.import_module(settings.TRAINING_ENGINE)
        spec = engine.RunSpec(**_spec(session))
        connection.close()
        outcome = engine.run(spec, recorder, will.should_stop)
    except Exception as error:
        return _failed(session, recorder, error)
    if outcome.status == "completed":
        adapter = str(outcome.adapter) if outcome.adapter else None
        _leave_outcome(session, status="completed", adapter=adapter, scores=outcome.scores)
        return Exit.COMPLETED
    return Exit.STOPPED if will.stopped.is_set() else Exit.INTERRUPTED


def _spec(session: Session) -> dict[str, Any]:
    from datasets_app.problems import DatasetProblem
    from datasets_app.rows import held_out_rows, training_rows, validation_rows
    from rewards.composition import Composition
    from training import base_models

    config, version = session.parsed_config, session.dataset_version
    if lifecycle.ran_out_of_memory(session):
        config = lifecycle.smaller_passes(config)
    if version is None:
        raise EngineError("The dataset of this session was deleted.", "Clone the session and choose another dataset.")
    try:
        composition = Composition.model_validate(session.reward)
        train_rows = training_rows(version, config.dataset, config.training.seed)
        held_out = held_out_rows(version, config.dataset, config.evaluation.max_samples)
        scored = config.evaluation.eval_samples if config.evaluation.eval_steps else 0
        validation = validation_rows(version, config.dataset, scored) if scored else []
    except DatasetProblem as problem:
        raise EngineError(problem.message, "Open the dataset and correct its mapping.") from problem
    except ValidationError as error:
        raise EngineError(
            "The reward of this session can't be read.", "Clone the session and choose it again."
        ) from error
    return {
        "config": config,
        "composition": composition,
        "train_rows": train_rows,
        "held_out_rows": held_out,
        "validation_rows": validation,
        "model_path": base_models.locate(config.model.name),
        "folder": session.folder,
        "resume": session.attempt > 1,
    }


def _failed(session: Session, recorder: Recorder, error: Exception) -> Exit:
    # Memory and disk can run out before the engine is reached, too.
    problem = explained(error, session.folder)
    data = {"message": problem.message, "hint": problem.hint, "trace": None} if problem else _unexpected(error)
    traceback.print_exception(error)
    try:
        recorder(EngineEvent(Kind.ERROR, session.status, data))
        _leave_outcome(session, status="failed", error=f"{data['message']} {data['hint']}".strip())
    except OSError:
        logger.exception("The reason could not be written to %s.", session.folder)
    if isinstance(problem, OutOfMemory):
        return Exit.OUT_OF_MEMORY
    return Exit.DISK_FULL if is_disk_full(error) else Exit.FAILED


def _unexpected(error: Exception) -> dict[str, Any]:
    trace = uuid.uuid4().hex[:8]
    logger.error("Trace %s:", trace)
    return {
        "message": f"The trainer failed with an error that it does not know ({type(error).__name__}).",
        "hint": f"Look for {trace} in logs/trainer.log of the session's folder, or report it with that number.",
        "trace": trace,
    }


def _leave_outcome(session: Session, **content: Any) -> None:
    """Outlives a supervisor that dies before it has written down how the child ended."""
    lifecycle.write_json(session.folder / OUTCOME_FILE, {"attempt": session.attempt, **content})


def outcome_of(session: Session) -> dict[str, Any]:
    return lifecycle.read_json(session.folder / OUTCOME_FILE) or {}


def _watch(session: Session, will: Will, recorder: Recorder) -> None:
    """Sees within two seconds that somebody wants the run to stop, or that the session was given to another attempt."""
    while True:
        try:
            row = _running_rows(session.pk, session.attempt).values_list("stop_requested_at").first()
        except AWAY:
            connection.close()
        else:
            if row is None:
                _leave_now()
            elif row[0]:
                will.stopped.set()
        time.sleep(WATCH_SECONDS)


def _report_system(session: Session, will: Will, recorder: Recorder) -> None:
    while True:
        try:
            recorder(EngineEvent(Kind.SYSTEM, "", devices.sample(session.folder)))
        except (OSError, ValueError):
            # A full disk is for the engine to report; a closed log means that the run is over.
            logger.info("No system sample was recorded.")
        time.sleep(SYSTEM_SECONDS)


def _running_rows(session_id: uuid.UUID | str, attempt: int) -> Any:
    return Session.objects.filter(pk=session_id, attempt=attempt, status__in=RUNNING)
