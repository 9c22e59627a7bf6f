from dataclasses import dataclass
from hashlib import blake2s
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject, cached_property

from accounts.models import AnyUser, Membership, Role
from training import session_list
from training.choices import RUNNING, Status
from training.forecast import positions
from training.templatetags.ui import TONES

RECENT = 12
NAVIGATION = [
    ("Home", "home", "/"),
    ("Sessions", "activity", "/sessions/"),
    ("Queue", "list-numbers", "/queue/"),
    ("Datasets", "database", "/datasets/"),
    ("Rewards", "medal", "/rewards/"),
    ("Models", "cube", "/models/"),
    ("Batch tests", "list-check", "/batches/"),
    ("Evaluations", "scale", "/evaluations/"),
    ("Configs", "adjustments", "/configs/"),
    ("Help", "help", "/help/"),
]


@dataclass(frozen=True)
class RecentSession:
    name: str
    url: str
    status: str
    phase: str
    step: int
    total_steps: int
    last_reward: float | None
    place: int | None = None

    @property
    def tone(self) -> str:
        return TONES[Status(self.status)][0]

    @property
    def is_running(self) -> bool:
        return self.status in RUNNING

    @property
    def state(self) -> str:
        if self.place:
            return f"Number {self.place} in the queue"
        label = (self.phase if self.is_running else "") or Status(self.status).label
        return f"{label} · step {self.step} of {self.total_steps}" if self.is_running and self.total_steps else label


class RecentSessions:
    """The side bar's list. `fingerprint` lets a poll that found nothing new answer with 204."""

    def __init__(self, user: AnyUser, here: str) -> None:
        self.user = user
        self.here = here

    @cached_property
    def rows(self) -> list[RecentSession]:
        columns = ("pk", "name", "status", "phase", "step", "total_steps", "last_reward")
        found = session_list.shown(self.user).order_by("-created_at").values_list(*columns)[:RECENT]
        rows = list(found)
        places = positions(row[0] for row in rows if row[2] == Status.QUEUED)
        return [
            RecentSession(name, session_url(pk), status, phase, step, total, reward, places.get(pk))
            for pk, name, status, phase, step, total, reward in rows
        ]

    @cached_property
    def fingerprint(self) -> str:
        return blake2s(repr((self.rows, self.here)).encode(), digest_size=8).hexdigest()


def session_url(pk: Any) -> str:
    return reverse("training:session", args=[pk])


def navigation(path: str) -> list[dict[str, Any]]:
    return [
        {"title": title, "url": prefix, "icon": icon, "active": is_below(path, prefix)}
        for title, icon, prefix in NAVIGATION
    ]


def is_below(path: str, prefix: str) -> bool:
    return path == prefix if prefix == "/" else path.startswith(prefix)


def leading_membership(user: User) -> Membership | None:
    """Where new rows of `user` go, as accounts.access.current_team has it: the first team in which they may edit."""
    memberships = list(Membership.objects.filter(user=user).select_related("team").order_by("team_id"))
    return next((row for row in memberships if row.role != Role.VIEWER), memberships[0] if memberships else None)


def shell(request: HttpRequest) -> dict[str, Any]:
    """What the frame of every page shows. Lazy: a response without the frame pays for none of it."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}

    current = SimpleLazyObject(lambda: leading_membership(user))
    return {
        "navigation": SimpleLazyObject(lambda: navigation(request.path)),
        "recent_sessions": RecentSessions(user, request.path),
        "current_membership": current,
        "can_edit": SimpleLazyObject(lambda: bool(current) and current.role != Role.VIEWER),
    }
