"""What the queue page, the API and the command line show: devices, what waits in its real order, workers. Sessions of
other teams are counted, and not named."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2s
from typing import Any

from accounts.access import teams_with
from accounts.models import AnyUser, Role, Team
from jobs import leases
from jobs.models import OnDevice
from training import forecast, slots
from training.forecast import Forecast, Place
from training.models import Preflight, Session, Worker
from training.slots import Slot


@dataclass(frozen=True)
class Line:
    """`session` is None for another team's."""

    place: Place
    priority: int
    session: Session | None = None
    can_change: bool = False
    can_raise: bool = False


@dataclass(frozen=True)
class Held:
    """A slot and what runs on it. `session` is None while it is free, or for another team's; with `preflight` it is
    only tried out. `doing` is what runs there if that is no session."""

    busy: bool
    session: Session | None = None
    preflight: bool = False
    doing: str = ""
    progress: float = 0.0
    seconds_left: float | None = None


@dataclass(frozen=True)
class DeviceRow:
    title: str
    host: str
    held: list[Held]


class QueuePage:
    def __init__(self, user: AnyUser) -> None:
        self.user = user
        self.forecast = Forecast()

    @cached_property
    def teams(self) -> set[int]:
        return set(teams_with(self.user).values_list("pk", flat=True))

    @cached_property
    def editable(self) -> set[int]:
        return set(teams_with(self.user, Role.MEMBER).values_list("pk", flat=True))

    @cached_property
    def owned(self) -> list[Team]:
        return list(teams_with(self.user, Role.OWNER))

    @property
    def may_pause_all(self) -> bool:
        return may_pause_all(self.user)

    @property
    def paused(self) -> Any:
        """The pause of everything, if there is one."""
        return self.forecast.pauses.get(None)

    @cached_property
    def pauses(self) -> list[str]:
        """Those that concern this user, in words."""
        found = self.forecast.pauses
        return [forecast.told(pause) for team, pause in found.items() if team is None or team in self.teams]

    @cached_property
    def owned_pauses(self) -> list[tuple[Team, bool]]:
        return [(team, team.pk in self.forecast.pauses) for team in self.owned]

    @cached_property
    def waiting(self) -> list[Line]:
        tickets = self.forecast.tickets
        own = Session.objects.select_related("team", "created_by").in_bulk(
            [ticket.pk for ticket in tickets if ticket.team in self.teams]
        )
        owned = {team.pk for team in self.owned}
        return [
            Line(
                self.forecast.places[ticket.pk],
                ticket.priority,
                own.get(ticket.pk),
                ticket.team in self.editable,
                ticket.team in owned,
            )
            for ticket in tickets
        ]

    @cached_property
    def devices(self) -> list[DeviceRow]:
        running = dict(self.forecast.held)
        rows = []
        for key, offer in slots.offered_by(self.forecast.workers).items():
            held = [self._held(running.pop(Slot(key, number), None)) for number in range(offer["slots"])]
            rows.append(DeviceRow(offer["title"], offer["host"], held))
        # Of workers that have not answered, and those that a command runs beside the queue.
        rows += [DeviceRow(elsewhere(holder), "", [self._held(holder)]) for holder in running.values()]
        return rows

    def _held(self, holder: Session | OnDevice | None) -> Held:
        if holder is None:
            return Held(False)
        if not isinstance(holder, Session | Preflight):
            return Held(True, doing=holder.doing, progress=holder.progress)
        tried = isinstance(holder, Preflight)
        session = holder.session if isinstance(holder, Preflight) else holder
        own = session if session.team_id in self.teams else None
        return Held(True, own, tried, progress=holder.progress, seconds_left=None if tried else session.seconds_left)

    @cached_property
    def workers(self) -> list[Worker]:
        alive = {worker.pk for worker in self.forecast.workers}
        found = list(Worker.objects.all())
        for worker in found:
            worker.alive = worker.pk in alive and not leases.is_dead(worker.identity)  # type: ignore[attr-defined]
        return found

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """By part of the page. They let a poll that found nothing new answer with 204."""
        waiting = [(line.place.number, line.place.reason, line.place.expected, line.session) for line in self.waiting]
        more = [(line.priority, line.session and line.session.name) for line in self.waiting]
        workers = [(worker.pk, worker.alive) for worker in self.workers]  # type: ignore[attr-defined]
        return {
            "waiting": digest(waiting, more, self.pauses, self.owned_pauses),
            "devices": digest(self.devices, workers),
        }


def digest(*seen: Any) -> str:
    return blake2s(repr(seen).encode(), digest_size=8).hexdigest()


def elsewhere(holder: Session | OnDevice) -> str:
    return "CPU" if holder.device.startswith("cpu@") else holder.device or "Another device"


def may_pause_all(user: AnyUser) -> bool:
    return bool(user.has_perm("training.change_queuepause"))
