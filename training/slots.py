"""Devices and who holds them: a session that runs, a preflight, and each job of `HOLDERS` holds one slot of one device.

A constraint of each table keeps a slot from two of a kind. From one of each it is kept by looking at all tables under
one lock: `one_claim_at_a_time`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from jobs import leases
from jobs.choices import JobStatus
from jobs.models import OnDevice
from training import devices
from training.choices import RUNNING
from training.models import Preflight, Session, Worker

FORGET_AFTER = timedelta(days=1)
# Apps above append theirs: training/device_jobs.py.
HOLDERS: list[type[OnDevice]] = [Preflight]
HELD = ~Q(device="") & ~Q(worker="")


@dataclass(frozen=True)
class Slot:
    device: str
    number: int


def free_here() -> list[Slot]:
    """The slots of this machine that nobody holds, GPUs in their order."""
    offered = of_this_machine()
    held = held_of({slot.device for slot in offered})
    return [slot for slot in offered if slot not in held]


def of_this_machine() -> list[Slot]:
    return [Slot(offer.key, number) for offer in devices.offered() for number in range(offer.slots)]


def held_of(keys: Iterable[str]) -> set[Slot]:
    wanted = set(keys)
    found = [Session.objects.filter(status__in=RUNNING), *(holding(model) for model in HOLDERS)]
    return {Slot(*row) for rows in found for row in rows.filter(device__in=wanted).values_list("device", "slot")}


def holding(model: type[OnDevice]) -> Any:
    return model._default_manager.filter(HELD)


def one_claim_at_a_time() -> None:
    """Looking and claiming must not overlap. SQLite has one writer anyway: its transactions begin IMMEDIATE."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('loracraft.claim'))")


def tried_on() -> dict[Slot, datetime]:
    """When the first of the preflights began that ran on a slot since a session last did."""
    ended = Preflight.objects.filter(worker="").exclude(Q(device="") | Q(status=JobStatus.QUEUED))
    found: dict[Slot, datetime] = {}
    for device, slot, started in ended.values_list("device", "slot", "started_at"):
        place = Slot(device, slot)
        if started is not None:
            found[place] = min(started, found.get(place, started))
    return found


def session_begins_on(slot: Slot) -> None:
    Preflight.objects.filter(device=slot.device, slot=slot.number, worker="").update(device="")


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


def environment_of(holder: Session | OnDevice) -> dict[str, str]:
    """What makes its child see its own GPU and no other."""
    offer = next((offer for offer in devices.offered() if offer.key == holder.device), None)
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
