"""For everybody who waits: at which place, why, and until when. From a fixed number of queries, however many wait."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

from django.utils import timezone

from jobs.choices import JobStatus
from jobs.models import OnDevice
from training import lifecycle, queue, slots
from training.choices import RUNNING, Status
from training.models import Preflight, QueuePause, Session, Worker
from training.preflights import SECONDS
from training.queue import Ticket
from training.slots import Slot
from training.templatetags.ui import size_in_bytes

NO_WORKER = "No worker is running: start one with make run."
# Of those that hold a device: more are counted.
NAMED = 3


@dataclass(frozen=True)
class Place:
    """`starts` is None while nobody can tell; `until` then says what it depends on."""

    number: int
    reason: str
    starts: datetime | None = None
    until: str = ""

    @property
    def expected(self) -> str:
        if self.starts is None:
            return f"Start unknown until {self.until}." if self.until else ""
        return f"Starts about {clock(self.starts)}."


class Forecast:
    """Everything is read when it is first asked for, and once."""

    def __init__(self) -> None:
        self.now = timezone.now()

    @cached_property
    def tickets(self) -> list[Ticket]:
        return queue.tickets()

    @cached_property
    def workers(self) -> list[Worker]:
        return slots.living()

    @cached_property
    def running(self) -> list[Session]:
        found = Session.objects.filter(status__in=RUNNING).select_related("team", "created_by")
        return list(found.order_by("started_at", "pk"))

    @cached_property
    def pauses(self) -> dict[int | None, QueuePause]:
        return {pause.team_id: pause for pause in QueuePause.objects.select_related("by", "team")}

    @cached_property
    def slots(self) -> list[Slot]:
        offers = slots.offered_by(self.workers)
        return [Slot(key, number) for key, offer in offers.items() for number in range(offer["slots"])]

    @cached_property
    def jobs(self) -> list[OnDevice]:
        """Preflights and others that hold a slot."""
        tried = Preflight.objects.exclude(worker="").select_related("session")
        others = (slots.holding(model) for model in slots.HOLDERS if model is not Preflight)
        return [*tried, *(job for rows in others for job in rows)]

    @cached_property
    def preflights(self) -> list[Preflight]:
        return queue.preflights()

    @cached_property
    def held(self) -> dict[Slot, Session | OnDevice]:
        holders: list[Session | OnDevice] = [*self.running, *self.jobs]
        return {Slot(holder.device, holder.slot): holder for holder in holders}

    @cached_property
    def preflight_first(self) -> bool:
        """Whether one goes before the sessions that wait."""
        return bool(self.preflights) and bool(queue.in_turn_for(self.preflights[0], self.slots))

    @cached_property
    def free(self) -> int:
        return sum(slot not in self.held for slot in self.slots)

    @cached_property
    def places(self) -> dict[UUID, Place]:
        found, ahead = {}, 0
        ends = self._ends()
        lengths = self._lengths()
        for number, ticket in enumerate(self.tickets, 1):
            held = self._held_back(ticket)
            if held:
                found[ticket.pk] = Place(number, held[0], until=held[1])
                continue
            starts = heapq.heappop(ends) if ends else None
            # A slot whose end nobody knows is never the next to be free.
            known = starts is not None and lengths.get(ticket.pk) is not None
            if starts is not None and known:
                heapq.heappush(ends, max(starts, self.now) + timedelta(seconds=lengths[ticket.pk] or 0))
            reason = self._reason(ticket, ahead)
            found[ticket.pk] = Place(
                number, reason, starts, "" if starts else "a running session tells how long it takes"
            )
            ahead += 1
        return found

    def _ends(self) -> list[datetime]:
        """When each slot is free, of those of which it is known, the first of them in front."""
        ends = [self._end(self.held.get(slot)) for slot in self.slots]
        known = [end for end in ends if end is not None]
        heapq.heapify(known)
        if known and self.preflight_first:
            heapq.heapreplace(known, known[0] + timedelta(seconds=SECONDS))
        return known

    def _end(self, holder: Session | OnDevice | None) -> datetime | None:
        if holder is None:
            return self.now
        if isinstance(holder, Preflight):
            return max(self.now, (holder.started_at or self.now) + timedelta(seconds=SECONDS))
        if isinstance(holder, OnDevice):
            return self._end_of_job(holder)
        left = holder.seconds_left if holder.seconds_left is not None else left_of(holder)
        return None if left is None else self.now + timedelta(seconds=left)

    def _end_of_job(self, job: OnDevice) -> datetime | None:
        """If it goes on as it has gone until now."""
        if not job.progress or job.started_at is None:
            return None
        return self.now + (self.now - job.started_at) * (1 - job.progress) / job.progress

    def _lengths(self) -> dict[UUID, float | None]:
        rows = Session.objects.filter(status=Status.QUEUED)
        return {session.pk: left_of(session) for session in rows.only("expected_seconds", "step", "total_steps")}

    def _held_back(self, ticket: Ticket) -> tuple[str, str] | None:
        """(why, until what) nothing but its turn could let it begin."""
        pause = self.pauses.get(None) or self.pauses.get(ticket.team)
        if pause:
            return told(pause), "the queue goes on"
        if ticket.phase == lifecycle.NO_SPACE and (missing := lifecycle.missing_space(ticket.pk)):
            return f"The disk is full: it goes on when {size_in_bytes(missing)} more are free.", "there is space"
        if not self.workers:
            return NO_WORKER, "a worker runs"
        return None

    def _reason(self, ticket: Ticket, ahead: int) -> str:
        again = "Waits to go on from its last checkpoint. " if ticket.goes_on else ""
        if ahead + self.preflight_first < self.free:
            return f"{again}Next: a worker takes it in a moment."
        count = len({slot.device for slot in self.slots})
        devices = "the only device" if count == 1 else f"the {count} devices"
        if not ahead:
            return f"{again}Next{', after a preflight' if self.preflight_first else ''}: {self._busy(count)}."
        return f"{again}{ahead} session{' is' if ahead == 1 else 's are'} before it on {devices}."

    def _busy(self, count: int) -> str:
        tried = sum(isinstance(self.held.get(slot), Preflight) for slot in self.slots)
        if count == 1:
            what = {self._with(self.held.get(slot)) for slot in self.slots}
            return "the only device is busy" + (what.pop() if len(what) == 1 else "")
        return f"all {count} devices are busy" + (f", {tried} of them with a preflight" if tried else "")

    def _with(self, holder: Session | OnDevice | None) -> str:
        if isinstance(holder, Preflight):
            return " with a preflight"
        return f": {holder.doing}" if isinstance(holder, OnDevice) else ""

    def of_preflight(self, job: Preflight, offered: list[Slot] | None = None) -> str:
        """Why a preflight waits. `offered`: where it could run, if not on the devices of workers."""
        if pause := self.pauses.get(None) or self.pauses.get(job.team_id):
            return told(pause)
        offered = self.slots if offered is None else offered
        if not offered:
            return NO_WORKER
        before = next((place for place, other in enumerate(self.preflights) if other.pk == job.pk), 0)
        if before:
            return f"Waits: {before} preflight{' is' if before == 1 else 's are'} before it."
        if taken := self.taken(offered, job.team_id):
            return taken
        if not queue.in_turn_for(job, [slot for slot in offered if slot not in self.held]) and self.tickets:
            return "Waits: after the last preflight a session that waits begins first."
        return "A worker takes it in a moment."

    def of_job(self, job: OnDevice, team: int | None) -> str:
        """Why a job of queue.JOBS waits; `team` is that of whoever reads it."""
        if pause := self.pauses.get(None) or self.pauses.get(getattr(job, "team_id", None)):
            return told(pause)
        if not self.slots:
            return NO_WORKER
        if taken := self.taken(self.slots, team):
            return taken
        before = sum(ticket.since < job.created_at for ticket in self.tickets if not self._held_back(ticket))
        if before >= self.free:
            return f"Waits: {before} session{' was' if before == 1 else 's were'} queued before it."
        return "A worker takes it in a moment."

    def taken(self, offered: list[Slot], team: int | None) -> str:
        """Who holds them, if somebody holds each; else empty."""
        holders = [self.held[slot] for slot in offered if slot in self.held]
        if len(holders) < len(offered):
            return ""
        return f"Waits for {device_of(offered)}: {listed([doing(holder, team) for holder in holders])}."


def device_of(offered: list[Slot]) -> str:
    keys = {slot.device for slot in offered}
    if len(keys) > 1:
        return f"one of the {len(keys)} devices"
    return "the CPU" if offered[0].device.startswith("cpu@") else "the GPU"


def doing(holder: Session | OnDevice, team: int | None) -> str:
    """Sessions of other teams are not named."""
    if not isinstance(holder, Session | Preflight):
        return holder.doing
    session, what = (holder.session, "being tried out") if isinstance(holder, Preflight) else (holder, "training")
    return f"{session.name if session.team_id == team else 'a session of another team'} is {what}"


def listed(texts: list[str]) -> str:
    more = len(texts) - NAMED
    return ", ".join(texts[:NAMED]) + (f" and {more} more" if more > 0 else "")


def left_of(session: Session) -> float | None:
    """What was estimated at its start, less what is done."""
    if session.expected_seconds is None:
        return None
    return session.expected_seconds * (1 - min(session.progress, 1.0))


def clock(moment: datetime) -> str:
    """With the day, if that is not today."""
    local = timezone.localtime(moment)
    return f"{local:%H:%M}" if local.date() == timezone.localdate() else f"{local:%d %b, %H:%M}"


def told(pause: QueuePause) -> str:
    whose = f"The queue of {pause.team} is" if pause.team else "The queue is"
    by = f" by {pause.by}" if pause.by else ""
    return f"{whose} paused{by} since {clock(pause.at)}{f': {pause.reason}' if pause.reason else ''}."


def why_tried_later(job: Preflight, offered: list[Slot] | None = None) -> str:
    """Empty if it does not wait."""
    return Forecast().of_preflight(job, offered) if job.status == JobStatus.QUEUED else ""


def why_it_waits(job: OnDevice, team: int | None) -> str:
    """For a job of queue.JOBS. Empty if it does not wait."""
    return Forecast().of_job(job, team) if job.status == JobStatus.QUEUED else ""


def place_of(session: Session) -> Place | None:
    """None if it does not wait."""
    return Forecast().places.get(session.pk) if session.status == Status.QUEUED else None


def positions(sessions: Iterable[UUID]) -> dict[UUID, int]:
    """Places alone, with fewer queries: for lists."""
    wanted = set(sessions)
    return {
        ticket.pk: number for number, ticket in enumerate(queue.tickets() if wanted else (), 1) if ticket.pk in wanted
    }
