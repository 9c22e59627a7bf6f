"""Devices and who holds them. A session that runs holds one slot of one device: the database keeps it from two."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from jobs import leases
from training import devices
from training.choices import RUNNING
from training.models import Session, Worker

FORGET_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Slot:
    device: str
    number: int


def free_here() -> list[Slot]:
    """The slots of this machine that nobody holds, GPUs in their order."""
    offered = [Slot(offer.key, number) for offer in devices.offered() for number in range(offer.slots)]
    held = held_of({slot.device for slot in offered})
    return [slot for slot in offered if slot not in held]


def is_free_here() -> bool:
    """For short work that needs the device and may as well wait."""
    return bool(free_here())


def held_of(keys: Iterable[str]) -> set[Slot]:
    rows = Session.objects.filter(status__in=RUNNING, device__in=set(keys))
    return {Slot(*row) for row in rows.values_list("device", "slot")}


def for_a_command() -> Slot | None:
    """For a session that a command runs beside the queue. None: every GPU of this machine is taken.

    The CPU takes one more than its limit: whoever types the command sees what else the machine does.
    """
    if free := free_here():
        return free[0]
    keys = [offer.key for offer in devices.offered() if not offer.is_gpu]
    if not keys:
        return None
    return Slot(keys[0], 1 + max((slot.number for slot in held_of(keys)), default=-1))


def environment_of(session: Session) -> dict[str, str]:
    """What makes the session's trainer see its own GPU and no other."""
    offer = next((offer for offer in devices.offered() if offer.key == session.device), None)
    if offer is None:
        return {}
    if offer.is_gpu:
        return {"CUDA_VISIBLE_DEVICES": offer.key}
    return {"CUDA_VISIBLE_DEVICES": ""} if devices.gpus() else {}


# Workers


def beat() -> None:
    """Says that this worker lives and what it offers."""
    offered = [asdict(offer) for offer in devices.offered()]
    Worker.objects.update_or_create(
        identity=leases.identity(),
        defaults={"place": leases.place(), "devices": offered, "beat_at": Now(), "lease_until": leases.lease_end()},
    )


def leave() -> None:
    Worker.objects.filter(identity=leases.identity()).delete()


def forget_the_gone() -> None:
    Worker.objects.filter(beat_at__lt=Now() - FORGET_AFTER).delete()
    for worker in Worker.objects.exclude(identity=leases.identity()):
        if leases.is_dead(worker.identity):
            worker.delete()


def living() -> list[Worker]:
    return list(Worker.objects.filter(Q(lease_until__gt=Now())))


def offered_by(workers: Iterable[Worker]) -> dict[str, dict[str, Any]]:
    """Devices by key, each once: two workers of one machine offer the same ones."""
    return {offer["key"]: {**offer, "host": worker.host} for worker in workers for offer in worker.devices}
