"""The order of what waits, and what people do about it: one queue for all teams and machines.

A higher priority goes first. Within one, sessions that a crash or a restart interrupted go on first; then the team that
began the fewest sessions lately has its turn, and of its own the one it put first.

A preflight takes minutes, and somebody waits for it: it goes before the sessions that wait. But one that was asked for
after the first of them began on a slot lets a session begin there, so that a stream of them keeps no session waiting.

Other jobs that need a device (JOBS: batches, evaluations, models that people talk to) are served with the sessions in
the order in which they were asked for: one goes before the next session if it was asked for before that was queued.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max, Q
from django.utils import timezone

from accounts.models import Role
from jobs import leases
from jobs.choices import JobStatus
from jobs.models import OnDevice
from training import estimates, slots
from training.choices import RUNNING, Priority, Status
from training.models import CatalogueModel, Preflight, QueuePause, Session
from training.slots import Slot

if TYPE_CHECKING:
    from accounts.models import AnyUser, Team
    from training.readiness import Ready


@dataclass(frozen=True)
class Ticket:
    pk: UUID
    team: int
    priority: int
    rank: int
    since: datetime
    # Said by what interrupted it; empty if a person queued it.
    phase: str = ""
    paused: bool = False

    @property
    def goes_on(self) -> bool:
        return bool(self.phase)

    def level(self, now: datetime) -> int:
        """Its priority, which rises as it waits: so a low one has its turn, too."""
        risen = (now - self.since).total_seconds() // settings.PRIORITY_RISES_SECONDS
        return max(int(Priority.HIGH), self.priority - max(0, int(risen)))


def tickets() -> list[Ticket]:
    """All that wait, in the order in which they begin, also those that a pause holds back."""
    rows = Session.objects.filter(status=Status.QUEUED).values_list(
        "pk", "team_id", "priority", "rank", "queued_at", "created_at", "phase"
    )
    held = set(QueuePause.objects.values_list("team", flat=True))
    found = [
        Ticket(pk, team, priority, rank, queued or made, phase, paused=bool(held & {None, team}))
        for pk, team, priority, rank, queued, made, phase in rows
    ]
    now = timezone.now()
    return order(found, begun_lately(now) if len({ticket.team for ticket in found}) > 1 else {}, now)


def begun_lately(now: datetime) -> dict[int, int]:
    """Sessions of each team that run, or began within the time over which the queue is fair."""
    lately = Q(status__in=RUNNING) | Q(started_at__gte=now - timedelta(seconds=settings.FAIR_SECONDS))
    return dict(Session.objects.filter(lately).order_by().values_list("team").annotate(Count("pk")))


def order(waiting: Iterable[Ticket], begun: Mapping[int, int], now: datetime) -> list[Ticket]:
    """`begun`: sessions by team, as of begun_lately. The same for the same arguments, whatever their order."""
    levels: dict[int, list[Ticket]] = defaultdict(list)
    for ticket in waiting:
        levels[ticket.level(now)].append(ticket)
    counts = defaultdict(int, begun)
    found: list[Ticket] = []
    for level in sorted(levels):
        found += sorted((t for t in levels[level] if t.goes_on), key=lambda t: (t.since, str(t.pk)))
        found += _in_turn([t for t in levels[level] if not t.goes_on], counts)
    return found


def _in_turn(waiting: list[Ticket], counts: dict[int, int]) -> list[Ticket]:
    lines: dict[int, list[Ticket]] = defaultdict(list)
    # The last is the first to go.
    for ticket in sorted(waiting, key=lambda t: (t.rank, t.since, str(t.pk)), reverse=True):
        lines[ticket.team].append(ticket)
    found = []
    while lines:
        team = min(lines, key=lambda team: (counts[team], lines[team][-1].since, team))
        found.append(lines[team].pop())
        counts[team] += 1
        if not lines[team]:
            del lines[team]
    return found


def preflights() -> list[Preflight]:
    """All that wait, in the order in which they begin, without those that a pause holds back."""
    waiting = list(Preflight.objects.filter(status=JobStatus.QUEUED).order_by("created_at", "pk").defer("result"))
    held = set(QueuePause.objects.values_list("team", flat=True)) if waiting else set()
    return [job for job in waiting if not held & {None, job.team_id}]


def shared_out(free: list[Slot], sessions: int) -> tuple[UUID | None, Slot | None, list[Slot]]:
    """Who gets the `free` slots of this machine: the next preflight and its slot, and those for `sessions` that wait.

    One preflight at a time runs on a machine.
    """
    waiting = preflights() if free and not leases.held_here(Preflight, ~Q(worker="")) else []
    if not waiting:
        return None, None, free
    turn = in_turn_for(waiting[0], free)
    # None waits for a session that does not come.
    own = turn[0] if turn else free[-1] if len(free) > sessions else None
    return waiting[0].pk, own, [slot for slot in free if slot != own]


@dataclass(frozen=True)
class JobLine:
    """Jobs of one kind; `at_once` of them run on a machine."""

    model: type[OnDevice]
    at_once: int = 1


# Apps above append theirs: training/device_jobs.py.
JOBS: list[JobLine] = []


def jobs() -> list[OnDevice]:
    """Those that could begin on this machine if it had enough slots, the oldest first, without those of a pause."""
    found = [job for line in JOBS for job in _first(line)]
    held = set(QueuePause.objects.values_list("team", flat=True)) if found else set()
    free = [job for job in found if not held & {None, getattr(job, "team_id", None)}]
    return sorted(free, key=lambda job: job.created_at)


def _first(line: JobLine) -> list[OnDevice]:
    room = line.at_once - leases.held_here(line.model, slots.HELD)
    waiting = line.model._default_manager.filter(status=JobStatus.QUEUED).order_by("created_at", "pk")
    return list(waiting[:room]) if room > 0 else []


def with_jobs(free: list[Slot], sessions: list[Ticket]) -> tuple[dict[str, Slot], list[Slot]]:
    """Which of the `free` slots jobs get, by their key, and those left for `sessions`."""
    waiting = jobs() if free else []
    given: dict[str, Slot] = {}
    left, ahead = [], list(sessions)
    for slot in free:
        if waiting and (not ahead or waiting[0].created_at < ahead[0].since):
            given[str(waiting.pop(0).pk)] = slot
        else:
            left.append(slot)
            ahead = ahead[1:]
    return given, left


def in_turn_for(preflight: Preflight, among: Iterable[Slot]) -> list[Slot]:
    """The slots on which it goes before the sessions that wait."""
    tried = slots.tried_on()
    return [slot for slot in among if slot not in tried or preflight.created_at < tried[slot]]


def last_rank(team_id: int) -> int:
    rows = Session.objects.filter(team=team_id, status=Status.QUEUED)
    return int(rows.aggregate(last=Max("rank"))["last"] or 0)


def expected_seconds(ready: Ready) -> float | None:
    """How long the session may run. None for a model that the catalogue does not know."""
    known = CatalogueModel.objects.filter(hub_id=ready.config.model.name).first()
    if known is None or not known.parameters:
        return None
    made = estimates.plan(ready.config, *estimates.counts(ready.version))
    on_gpu = any(offer["is_gpu"] for offer in slots.offered_by(slots.living()).values())
    return estimates.seconds(ready.config, made, known.parameters, on_gpu)


# What people do


def set_priority(session: Session, by: AnyUser | None, priority: int) -> bool:
    """Of a session that waits or is a draft. Whether `by` may is the caller's question: role_for."""
    changed = Session.objects.filter(pk=session.pk, status__in=[Status.DRAFT, Status.QUEUED]).update(priority=priority)
    if changed:
        session.priority = priority
    return bool(changed)


def role_for(priority: int) -> Role:
    """A high priority passes the sessions of other teams, so an owner answers for it."""
    return Role.OWNER if priority == Priority.HIGH else Role.MEMBER


def move(session: Session, by: AnyUser | None, to: str) -> bool:
    """Among the waiting sessions of its team and priority: "up", "down" or "front". False: it does not wait, or is
    there already."""
    with transaction.atomic():
        rows = Session.objects.select_for_update().filter(team=session.team_id, status=Status.QUEUED)
        own = list(rows.order_by("rank", "queued_at", "created_at", "pk"))
        line = [row for row in own if row.priority == session.priority]
        place = next((place for place, row in enumerate(line) if row.pk == session.pk), None)
        target = {"up": (place or 0) - 1, "down": (place or 0) + 1, "front": 0}[to]
        if place is None or target == place or not 0 <= target < len(line):
            return False
        line.insert(target, line.pop(place))
        ranks = [row for row in own if row.priority != session.priority] + line
        for rank, row in enumerate(ranks, 1):
            Session.objects.filter(pk=row.pk).update(rank=rank)
    return True


def pause(team: Team | None, by: AnyUser | None, reason: str = "") -> bool:
    """Nothing that waits begins any more, of `team` or of all; what runs goes on. False: it was paused already."""
    person = by if by is not None and by.is_authenticated else None
    _, new = QueuePause.objects.get_or_create(team=team, defaults={"by": person, "reason": reason.strip()[:200]})
    return bool(new)


def go_on(team: Team | None, by: AnyUser | None) -> bool:
    """Ends a pause. False: there was none."""
    return bool(QueuePause.objects.filter(team=team).delete()[0])
