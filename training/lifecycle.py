"""The verbs of a session. Its status changes nowhere else, but for the recorder's copy of what the trainer reports.

Every change is a conditional UPDATE that says whether it won, so that two people, two workers or a worker and the
reaper can't both have their way. Buttons, the API, the admin and the command line call these same functions.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q
from django.db.models.functions import Now

from jobs import children, leases, running
from rewards import presets
from training import queue, reward_gate, slots
from training.choices import ACTIVE, RESUMABLE, RUNNING, Kind, Status
from training.engine import checkpoints
from training.engine.files import damage
from training.models import Event, Preflight, Session
from training.readiness import NotReady, Ready, check
from training.schema import Problem, SessionConfig

if TYPE_CHECKING:
    from accounts.models import AnyUser, Team

logger = logging.getLogger(__name__)

__all__ = ["NotReady"]

TRAINER_FILE = "trainer.json"
UNTITLED = "Untitled session"
WAITING = "Waiting to go on from the last checkpoint"
# The label of a session that waits for space on the disk.
NO_SPACE = "Paused: the disk is full"

# Set by training.tasks: tells a worker that a row waits.
ring: Callable[[uuid.UUID], None] | None = None


# What people do


def create_draft(
    team: Team,
    by: AnyUser | None,
    name: str = "",
    config: dict[str, Any] | None = None,
    pk: uuid.UUID | None = None,
    **origin: Any,
) -> Session:
    """`origin`: the fields `cloned_from` and `reproduces`, of a session that is made from another."""
    config = config or {}
    title = name or str(config.get("name") or "") or UNTITLED
    creator = by if by is not None and by.is_authenticated else None
    values = {"team": team, "created_by": creator, "name": title[:200], "config": config, **origin}
    return Session.objects.create(pk=pk or uuid.uuid4(), **values)


def save_draft(session: Session, config: dict[str, Any], name: str | None = None) -> bool:
    changes: dict[str, Any] = {"config": config} | ({"name": name[:200]} if name else {})
    return _change(session, Q(status=Status.DRAFT), **changes)


def start(session: Session, by: AnyUser | None, reward_override: str = "") -> bool:
    """Queues a draft, or a session that was stopped or failed. False: somebody else started it already.

    A preflight of it that waits or runs is cancelled: it would only keep the session waiting.
    Raises NotReady with everything that is wrong, each on its dotted field. A reward that fails its check needs
    `reward_override`: the reason to train with it all the same, which is kept.
    """
    # What is saved counts, not what a page that was open for an hour holds.
    session.refresh_from_db()
    if session.status != Status.DRAFT:
        return resume(session, by)
    ready = check(session.team, session.config)
    gate = reward_gate.passed(ready, session.team, by, reward_override)
    with transaction.atomic():
        if not _queue(session, Q(status=Status.DRAFT), **_frozen(session.team, ready), **gate):
            return False
        write_config(session.folder, ready, gate)
        for tried in Preflight.objects.filter(running.OPEN, session=session):
            running.cancel(tried)
    return True


def start_here(session: Session, reward_override: str = "") -> int:
    """For a command that runs the session itself: starts a draft that no worker ever sees. Returns the attempt."""
    ready = check(session.team, session.config)
    gate = reward_gate.passed(ready, session.team, None, reward_override)
    write_config(session.folder, ready, gate)
    frozen = _frozen(session.team, ready) | gate
    attempt = _take_for_a_command(session, Q(status=Status.DRAFT), queued_at=Now(), **frozen)
    if attempt is None:
        raise RuntimeError("The session was started by somebody else.")
    return attempt


def resume(session: Session, by: AnyUser | None, checkpoint: str = "") -> bool:
    """Queues a stopped or failed session: it goes on from its newest checkpoint, with the config it had.

    With the name of a `checkpoint` it goes on from that one, and those after it are removed. Raises NotReady.
    """
    if session.status not in RESUMABLE:
        return False
    if session.dataset_version is None:
        raise NotReady([Problem(field="dataset.source", message=_deleted(session))])
    check(session.team, session.config, version=session.dataset_version)
    chosen = _intact(session, checkpoint) if checkpoint else None
    left = []
    # No worker sees the session before the files are as they are to be.
    with transaction.atomic():
        won = _queue(session, Q(status__in=RESUMABLE), attempts_before=F("attempt"))
        if won and chosen:
            left = checkpoints.set_later_ones_aside(chosen)
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    return won


def _intact(session: Session, name: str) -> Path:
    path = checkpoints.named(session.folder, name)
    problem = damage(path) if path else "it was removed"
    if path is None or problem:
        message = f"Checkpoint {name[:80]} can't be used: {problem}. Choose another one."
        raise NotReady([Problem(field="checkpoint", message=message)])
    return path


def _deleted(session: Session) -> str:
    was = session.dataset_fingerprint
    name = f"{was['dataset']} v{was['version']}, which it was trained on," if was else "The dataset of this session"
    return f"{name} was deleted, so it can't go on. Clone the session and choose another dataset."


def request_stop(session: Session, by: AnyUser | None) -> bool:
    """Asks a running session to save a checkpoint and end; a waiting one ends at once. False: it is not active."""
    # The second look is for a session that a worker took or gave back in between.
    return _stop_once(session) or _stop_once(session)


def cancel(session: Session, by: AnyUser | None) -> bool:
    """Takes a session that has not begun out of the queue."""
    return _change(session, Q(status=Status.QUEUED), status=Status.CANCELLED, finished_at=Now())


def delete(session: Session, by: AnyUser | None) -> bool:
    """Removes the row and all files. False while the session is active."""
    with transaction.atomic():
        row = Session.objects.select_for_update().filter(pk=session.pk).exclude(status__in=ACTIVE).first()
        if row is None:
            return False
        row.delete()
        transaction.on_commit(lambda: _remove_files(session))
    return True


def clone(session: Session, by: AnyUser | None) -> Session:
    name = f"{session.name[:190]} (copy)"
    copy = create_draft(session.team, by, name=name, config=session.config, cloned_from=session)
    copy.tags.set(session.tags.all())
    return copy


# What workers do


def claim(session_id: uuid.UUID | str) -> int | None:
    """The attempt that may run the session now; None if it does not wait, others come first or this machine is full."""
    if not _has_room(session_id):
        return None
    with transaction.atomic():
        slots.one_claim_at_a_time()
        free = free_for_sessions()
        if not free or uuid.UUID(str(session_id)) not in waiting()[: len(free)]:
            return None
        return _take(session_id, Q(status=Status.QUEUED), free[0])


def claim_here(session: Session, *statuses: str) -> int | None:
    """For a command that runs the session itself. None: it is in none of `statuses`. Raises DevicesTaken."""
    return _take_for_a_command(session, Q(status__in=statuses))


class DevicesTaken(Exception):
    """Every GPU of this machine is held by something."""


def _take_for_a_command(session: Session, when: Q, **changes: Any) -> int | None:
    with transaction.atomic():
        slots.one_claim_at_a_time()
        slot = slots.for_a_command()
        if slot is None:
            raise DevicesTaken("Every GPU of this machine is taken: wait for what runs there to end, or stop it.")
        return _take(session.pk, when, slot, **changes)


def _take(session_id: uuid.UUID | str, when: Q, slot: slots.Slot, **changes: Any) -> int | None:
    try:
        with transaction.atomic():
            slots.session_begins_on(slot)
            return leases.claim(
                Session,
                session_id,
                when,
                status=Status.STARTING,
                phase="",
                # A request that stopped an earlier attempt must not stop this one.
                stop_requested_at=None,
                device=slot.device,
                slot=slot.number,
                archived_at=None,
                curve=None,
                **changes,
            )
    except IntegrityError:
        # Somebody else holds the slot: another worker was quicker.
        return None


def free_for_sessions() -> list[slots.Slot]:
    """The free slots of this machine that no preflight and no other job goes to first."""
    free = slots.free_here()
    if not free:
        return []
    tickets = able_to_begin()
    return queue.with_jobs(queue.shared_out(free, len(tickets))[2], tickets)[1]


def waiting() -> list[uuid.UUID]:
    """Those that may begin, in the order in which they do."""
    return [ticket.pk for ticket in able_to_begin()]


def able_to_begin() -> list[queue.Ticket]:
    return [ticket for ticket in queue.tickets() if not ticket.paused and _fits(ticket)]


def _fits(ticket: queue.Ticket) -> bool:
    return ticket.phase != NO_SPACE or _has_room(ticket.pk)


def _has_room(session_id: uuid.UUID | str) -> bool:
    """False while a session that a full disk ended would only fill it again."""
    if not Session.objects.filter(pk=session_id, status=Status.QUEUED, phase=NO_SPACE).exists():
        return True
    return not missing_space(session_id)


def missing_space(session_id: uuid.UUID | str) -> int:
    """Bytes that must become free before a session that a full disk ended goes on."""
    saved = Event.objects.filter(session__pk=session_id, kind=Kind.CHECKPOINT).order_by("-seq")
    size = saved.values_list("data__bytes", flat=True).first() or 0
    return max(0, settings.MIN_FREE_BYTES + 2 * size - shutil.disk_usage(settings.OUTPUTS_DIR).free)


def reap() -> list[uuid.UUID]:
    """Takes sessions away from workers that are gone: they wait again, or have failed too often. Returns them."""
    taken = []
    for session in leases.overdue(Session, Q(status__in=RUNNING)):
        if _is_saving(session):
            continue
        kill_trainer(session)
        if take_back(session, "The worker that ran it stopped answering."):
            logger.warning("Session %s lost its worker.", session.pk)
            taken.append(session.pk)
    return taken


def take_back(session: Session, reason: str = "", ending: dict[str, Any] | None = None) -> bool:
    """Ends the lease of whoever held the session when `session` was read, without an event."""
    held = Session.objects.filter(pk=session.pk, attempt=session.attempt, status__in=RUNNING, worker=session.worker)
    ending = ending or after_crash(session, reason)
    final = ending["status"] != Status.QUEUED
    return bool(
        held.update(
            status=ending["status"],
            phase=ending["label"],
            error=ending["error"],
            worker="",
            lease_until=None,
            seconds_left=None,
            finished_at=Now() if final else None,
        )
    )


def requeue(session: Session, by: AnyUser | None) -> bool:
    """For an operator: takes a running session from its worker, which ends at once, and lets it wait again."""
    return take_back(session, ending=ending(Status.QUEUED, WAITING))


def after_crash(session: Session, reason: str, label: str = WAITING) -> dict[str, Any]:
    """What becomes of a session whose trainer died without saying why: data of a phase event."""
    if session.stop_requested_at:
        return ending(Status.STOPPED, "Stopped")
    if fruitless_attempts(session) < settings.MAX_ATTEMPTS_WITHOUT_PROGRESS:
        return ending(Status.QUEUED, label, reason)
    tries = settings.MAX_ATTEMPTS_WITHOUT_PROGRESS
    return ending(Status.FAILED, "Failed", f"{reason} It got no further in {tries} attempts, so it was given up.")


def after_out_of_memory(session: Session, reason: str) -> dict[str, Any]:
    """One more try with passes of half the size, which train the same. The warm-up has none: its batch is its step."""
    if session.stop_requested_at:
        return ending(Status.STOPPED, "Stopped")
    config = session.parsed_config
    smaller = smaller_passes(config)
    if session.status == Status.PRETRAINING or smaller == config or ran_out_of_memory(session):
        return ending(Status.FAILED, "Failed", reason)
    sizes = smaller.training
    more = (
        f"It goes on with a batch size of {sizes.batch_size} and {sizes.gradient_accumulation_steps} accumulation steps"
        f" instead of {config.training.batch_size} and {config.training.gradient_accumulation_steps}: the same training"
        " in less memory."
    )
    return ending(Status.QUEUED, WAITING, f"{reason} {more}", out_of_memory=True)


def ran_out_of_memory(session: Session) -> bool:
    """Since then it trains with smaller passes."""
    return Event.objects.filter(session=session, kind=Kind.PHASE, data__out_of_memory=True).exists()


def smaller_passes(config: SessionConfig) -> SessionConfig:
    """At most half as many answers a pass, and as many more passes a step. The same if they can't be split."""
    training = config.training
    answers = training.batch_size * training.gradient_accumulation_steps
    size = max(size for size in range(1, max(training.batch_size // 2, 1) + 1) if answers % size == 0)
    parts = {"batch_size": size, "gradient_accumulation_steps": answers // size}
    return config.model_copy(update={"training": training.model_copy(update=parts)})


def ending(status: Status, label: str, error: str = "", **data: Any) -> dict[str, Any]:
    return {"status": status.value, "label": label, "error": error, "ended": True, **data}


def fruitless_attempts(session: Session) -> int:
    """Attempts since one got further than all before it, or since a person started the session."""
    rows = Event.objects.filter(session=session, kind=Kind.METRICS)
    reached = rows.values("attempt", "phase").annotate(last=Max("step"))
    order = [Status.PRETRAINING.value, Status.TRAINING.value, Status.FINISHING.value]
    marks = [(order.index(row["phase"]), row["last"] or 0, -row["attempt"]) for row in reached if row["phase"] in order]
    furthest = -max(marks)[2] if marks else 0
    return session.attempt - max(furthest, session.attempts_before)


def write_config(folder: Path, ready: Ready, gate: dict[str, Any]) -> None:
    """The frozen config and reward, and what their check found, beside the results: a session's folder says how it was
    made."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", ready.config.model_dump(mode="json"))
    write_json(folder / "reward.json", ready.composition)
    write_json(folder / "reward_check.json", gate)


def write_json(path: Path, content: Any) -> None:
    """Whole or not at all: a temporary name, fsynced, renamed."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with part.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=2, ensure_ascii=False, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def kill_trainer(session: Session) -> None:
    """Ends the session's trainer if it still runs on this machine."""
    if trainer := _trainer(session):
        children.kill_orphan(trainer)


def _trainer(session: Session) -> str:
    content = read_json(session.folder / TRAINER_FILE) or {}
    return str(content.get("identity", "")) if content.get("attempt") == session.attempt else ""


def _is_saving(session: Session) -> bool:
    """Its worker is dead, the trainer has noticed and writes a checkpoint: the lease says how long it may take."""
    trainer = _trainer(session)
    lease = Session.objects.filter(pk=session.pk, lease_until__gt=Now())
    return bool(trainer) and trainer.startswith(f"{leases.place()}/") and leases.is_alive(trainer) and lease.exists()


def _stop_once(session: Session) -> bool:
    running = Q(status__in=RUNNING, stop_requested_at=None)
    begun, fresh = Q(status=Status.QUEUED, attempt__gt=0), Q(status=Status.QUEUED, attempt=0)
    return (
        _change(session, running, stop_requested_at=Now())
        or _change(session, begun, status=Status.STOPPED, finished_at=Now())
        or _change(session, fresh, status=Status.CANCELLED, finished_at=Now())
    )


def _frozen(team: Team, ready: Ready) -> dict[str, Any]:
    return {
        "config": ready.config.model_dump(mode="json"),
        "reward": ready.composition,
        "reward_preset": presets.origin_of(team, ready.config.reward, ready.composition),
        "dataset_version": ready.version,
        "dataset_fingerprint": ready.version.fingerprint,
        "expected_seconds": queue.expected_seconds(ready),
    }


def _queue(session: Session, when: Q, **changes: Any) -> bool:
    with transaction.atomic():
        won = _change(
            session,
            when,
            status=Status.QUEUED,
            queued_at=Now(),
            rank=queue.last_rank(session.team_id) + 1,
            finished_at=None,
            stop_requested_at=None,
            error="",
            phase="",
            archived_at=None,
            curve=None,
            **changes,
        )
        if won:
            transaction.on_commit(lambda: _ring(session.pk))
    return won


def _ring(session_id: uuid.UUID) -> None:
    try:
        if ring:
            ring(session_id)
    except Exception:
        # The row waits, and a worker looks every few seconds: a broken bell must not fail what is committed.
        logger.exception("No worker could be told about session %s.", session_id)


def _change(session: Session, when: Q, **changes: Any) -> bool:
    won = bool(Session.objects.filter(when, pk=session.pk).update(**changes))
    if won:
        session.refresh_from_db()
        session.__dict__.pop("parsed_config", None)
    return won


def _remove_files(session: Session) -> None:
    shutil.rmtree(session.folder, ignore_errors=True)
    shutil.rmtree(Path(settings.EXPORTS_DIR) / str(session.pk), ignore_errors=True)
