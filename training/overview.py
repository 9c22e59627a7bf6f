"""What home, the session list and the model list show: many sessions at once, with a fixed number of queries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.functional import cached_property

from accounts.models import AnyUser
from datasets_app.models import Dataset
from training import series, session_list
from training.choices import ACTIVE, Kind, Status
from training.devices import Device, detect
from training.forecast import Forecast, Place
from training.models import CatalogueModel, Event, Session

SPARKLINE_POINTS = 60
LATEST_MODELS = 5
DRAFTS_ON_HOME = 5


@dataclass(frozen=True)
class Score:
    """Right answers on held-out questions, with their 95 % interval."""

    accuracy: float | None
    low: float | None
    high: float | None
    questions: int
    reward: float | None

    @property
    def value(self) -> float | None:
        return self.accuracy if self.accuracy is not None else self.reward


@dataclass
class Row:
    """A session in a list."""

    session: Session
    model: str
    dataset: str
    scores: dict[str, Score] = field(default_factory=dict)
    rewards: list[float | None] = field(default_factory=list)

    @property
    def before(self) -> Score | None:
        return self.scores.get("base")

    @property
    def after(self) -> Score | None:
        return self.scores.get("adapter")

    @property
    def gain(self) -> float | None:
        if not self.before or not self.after or self.before.accuracy is None or self.after.accuracy is None:
            return None
        return (self.after.accuracy - self.before.accuracy) * 100

    @property
    def seconds(self) -> float | None:
        """From the first start to the end, or to now."""
        if self.session.started_at is None:
            return None
        end = self.session.finished_at if self.session.is_terminal else None
        return max(0.0, ((end or timezone.now()) - self.session.started_at).total_seconds())


def rows(sessions: Iterable[Session], *, with_scores: bool = False, with_curves: bool = False) -> list[Row]:
    found = list(sessions)
    names, models = dataset_names(found), model_names(found)
    scores = scores_of([s.pk for s in found]) if with_scores else {}
    return [
        Row(s, model_of(s, models), names.get(s.pk, ""), scores.get(s.pk, {}), curve(s) if with_curves else [])
        for s in found
    ]


def held(session: Session, section: str, key: str) -> str:
    """A text of the config, which in a draft may be anything."""
    part = session.config.get(section) if isinstance(session.config, dict) else None
    return str(part.get(key) or "") if isinstance(part, dict) else ""


def model_of(session: Session, names: dict[str, str]) -> str:
    name = held(session, "model", "name")
    return names.get(name, name.rstrip("/").rsplit("/", 1)[-1])


def model_names(sessions: Sequence[Session]) -> dict[str, str]:
    wanted = {held(session, "model", "name") for session in sessions}
    return dict(CatalogueModel.objects.filter(hub_id__in=wanted).values_list("hub_id", "name"))


# A version behind the id of a dataset.
PINNED = re.compile(r"(?<=[0-9a-f]{12})@\d+$")


def dataset_names(sessions: Sequence[Session]) -> dict[UUID, str]:
    """By session. Drafts name a dataset only by its id, and not necessarily one that still exists."""
    sources = {session.pk: PINNED.sub("", held(session, "dataset", "source")) for session in sessions}
    ids = {text for text in sources.values() if is_uuid(text)}
    known = {
        (team, str(pk)): name
        for pk, team, name in Dataset.objects.filter(pk__in=ids).values_list("pk", "team_id", "name")
    }
    return {
        s.pk: known.get((s.team_id, sources[s.pk]), "" if is_uuid(sources[s.pk]) else sources[s.pk]) for s in sessions
    }


def is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def scores_of(sessions: Sequence[UUID]) -> dict[UUID, dict[str, Score]]:
    """The newest summary of each label, read without any of the answers."""
    events = Event.objects.filter(
        session__in=sessions, kind=Kind.EVALUATION, superseded=False, data__has_key="summary"
    ).order_by("seq")
    found: dict[UUID, dict[str, Score]] = {}
    for pk, label, summary in events.values_list("session_id", "data__label", "data__summary"):
        if isinstance(summary, dict):
            found.setdefault(pk, {})[str(label)] = score(summary)
    return found


def score(summary: dict[str, Any]) -> Score:
    return Score(
        summary.get("accuracy"),
        summary.get("low"),
        summary.get("high"),
        int(summary.get("questions") or 0),
        summary.get("mean_reward"),
    )


@dataclass(frozen=True)
class Running:
    row: Row
    rewards: list[float | None]


@dataclass(frozen=True)
class Waiting:
    row: Row
    place: Place


class Now:
    """What runs and what waits. `fingerprint` lets a poll that found nothing new answer with 204."""

    def __init__(self, user: AnyUser) -> None:
        active = Session.objects.of_user(user).filter(status__in=ACTIVE).select_related("team", "created_by")
        self.active: list[Session] = list(active.order_by("queued_at", "created_at"))

    @cached_property
    def running(self) -> list[Running]:
        return [Running(row, rewards(row.session)) for row in rows(s for s in self.active if s.is_running)]

    @cached_property
    def waiting(self) -> list[Waiting]:
        """Its own sessions at their places among all: the queue is one for every team."""
        queued = [session for session in self.active if session.status == Status.QUEUED]
        if not queued:
            return []
        places = Forecast().places
        found = [Waiting(row, places[row.session.pk]) for row in rows(queued) if row.session.pk in places]
        return sorted(found, key=lambda waiting: waiting.place.number)

    @property
    def fingerprint(self) -> str:
        running = [(s.pk, s.status, s.phase, s.step, s.total_steps, s.last_reward, s.seconds_left) for s in self.active]
        waiting = [(line.place.number, line.place.reason, line.place.expected) for line in self.waiting]
        return blake2s(repr((running, waiting)).encode(), digest_size=8).hexdigest()


def curve(session: Session) -> list[float | None]:
    """As `rewards`. Of a session that ended it is kept, so that a list reads no events."""
    if not session.step or session.curve is not None:
        return session.curve or []
    found = rewards(session)
    if session.is_terminal:
        plain = [series.plain(value) for value in found]
        Session.objects.filter(pk=session.pk, attempt=session.attempt, status=session.status).update(curve=plain)
    return found


def rewards(session: Session) -> list[float | None]:
    return list(series.metrics(session, ["reward"], points=SPARKLINE_POINTS).columns["reward"])


@dataclass(frozen=True)
class FirstStep:
    title: str
    text: str
    done: bool


class Home:
    def __init__(self, user: AnyUser) -> None:
        self.user = user
        self.now = Now(user)

    @cached_property
    def models(self) -> list[Row]:
        return rows(completed(self.user)[:LATEST_MODELS], with_scores=True)

    @cached_property
    def drafts(self) -> list[Row]:
        return rows(session_list.shown(self.user).filter(status=Status.DRAFT)[:DRAFTS_ON_HOME])

    @cached_property
    def is_new(self) -> bool:
        return not Session.objects.of_user(self.user).exclude(status=Status.DRAFT).exists()

    @cached_property
    def has_dataset(self) -> bool:
        return bool(Dataset.objects.of_user(self.user).exists())

    @property
    def device(self) -> Device:
        return detect()


def completed(user: AnyUser) -> QuerySet[Session]:
    found = session_list.shown(user).filter(status=Status.COMPLETED)
    return found.select_related("team").order_by("-finished_at", "-created_at")
