"""Jobs of the apps above that hold a device while they run: `on_device` makes their JobKind wait for a slot.

Their model inherits OnDevice and has `one_a_slot(name)` among its constraints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from django.db import IntegrityError, models, transaction

from jobs import running
from jobs.models import OnDevice
from jobs.running import JobKind
from training import lifecycle, queue, slots
from training.slots import Slot


def one_a_slot(name: str) -> models.UniqueConstraint:
    return models.UniqueConstraint(fields=["device", "slot"], condition=slots.HELD, name=name)


def on_device(kind: JobKind) -> JobKind:
    """The same, but each begins only with a slot of a device, in its turn, and its child sees no other GPU."""
    model = kind.model
    assert issubclass(model, OnDevice)
    slots.HOLDERS.append(model)
    queue.JOBS.append(queue.JobLine(model, kind.at_once))
    return replace(
        kind,
        claim=lambda pk: _in_turn(model, pk),
        claim_beside=lambda pk: _beside(model, pk),
        has_room=lambda: _has_room(model),
        environment=lambda pk: {**kind.environment(pk), **_environment(model, pk)},
    )


def _in_turn(model: type[OnDevice], pk: str) -> int | None:
    """The attempt that may run it now; None if it does not wait, no slot is free or it is not its turn."""
    with transaction.atomic():
        slots.one_claim_at_a_time()
        return _claim(model, pk, _given().get(str(pk)))


def _beside(model: type[OnDevice], pk: str) -> int | None:
    """For a command, which does not wait for its turn, only for a GPU."""
    with transaction.atomic():
        slots.one_claim_at_a_time()
        return _claim(model, pk, slots.for_a_command())


def _claim(model: type[OnDevice], pk: str, slot: Slot | None) -> int | None:
    if slot is None:
        return None
    try:
        with transaction.atomic():
            return running.claim(model, pk, device=slot.device, slot=slot.number)
    except IntegrityError:
        # Another worker was quicker.
        return None


def _given() -> dict[str, Slot]:
    """Which slot of this machine each job that waits would begin on now."""
    free = slots.free_here()
    if not free:
        return {}
    sessions = lifecycle.able_to_begin()
    return queue.with_jobs(queue.shared_out(free, len(sessions))[2], sessions)[0]


def _has_room(model: type[OnDevice]) -> bool:
    waiting = model._default_manager.filter(status=running.JobStatus.QUEUED)
    return waiting.filter(pk__in=_given()).exists()


def _environment(model: type[OnDevice], pk: str) -> Mapping[str, str]:
    job = model._default_manager.filter(pk=pk).first()
    return slots.environment_of(job) if job else {}
