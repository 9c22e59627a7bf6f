"""Models that can be asked: base models, what sessions trained, and what the apps above register.

A key names one in forms, in the API and on the command line: `base:<name>`, `session:<id>` (its newest adapter),
`session:<id>/<checkpoint>`, `session:<id>/base` (the same prompt without an adapter).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings

from accounts.models import AnyUser
from rewards.bench_sources import Choice
from training import adapters, base_models, bench_sources
from training.models import Session
from training.schema import SessionConfig

if TYPE_CHECKING:
    from django.db.models import QuerySet

BASE, SESSION = "base", "session"
WITHOUT_ADAPTER = "base"
# Of each kind: the list of a picker is for finding, not for leafing.
OFFERED = 20
# Sessions whose folders are looked at for an adapter.
LOOKED_AT = 200
GONE = "That model is not offered any more. Choose another one."
UNTRAINED = "This session has no adapter yet: train it for at least one checkpoint."


class NoSuchCandidate(Exception):
    """Why it can't be asked, in words for whoever named it."""


@dataclass(frozen=True)
class Candidate:
    """`adapter` lies below the session's folder, or below the exports'; "" for none. `kind` says who loads it."""

    key: str
    title: str
    base_model: str
    kind: str = BASE
    session: Session | None = None
    adapter: str = ""

    @property
    def config(self) -> SessionConfig:
        """Whose prompt it is asked with: that of its training, or the one that new sessions begin with."""
        return self.session.parsed_config if self.session else SessionConfig()

    @property
    def stored(self) -> dict[str, Any]:
        """For a row: what is asked stays the same when the session goes on."""
        return {**asdict(replace(self, session=None)), "session": str(self.session.pk) if self.session else None}


@dataclass(frozen=True)
class Kind:
    """`find` gets what follows the colon of a key, and `offer` what somebody searches for. Both look at `sessions`
    alone, and raise NoSuchCandidate."""

    find: Callable[[QuerySet[Session], str], Candidate]
    offer: Callable[[QuerySet[Session], str], Iterator[Choice]]


def visible_to(user: AnyUser) -> QuerySet[Session]:
    rows: QuerySet[Session] = Session.objects.of_user(user).exclude(config={})
    return rows


def named(sessions: QuerySet[Session], key: str) -> Candidate:
    """Among `sessions`, which are those that the caller may see. Raises NoSuchCandidate."""
    kind, _, rest = key.partition(":")
    if kind not in KINDS or not rest:
        raise NoSuchCandidate("Choose a model of the list." if not key else GONE)
    return KINDS[kind].find(sessions, rest)


def restored(stored: dict[str, Any]) -> Candidate:
    """Of a row. Raises NoSuchCandidate if its session was deleted."""
    session = Session.objects.filter(pk=stored["session"]).first() if stored["session"] else None
    if stored["session"] and session is None:
        raise NoSuchCandidate(f"The session of {stored['title']} was deleted.")
    return Candidate(**{**stored, "session": session})


def offered(sessions: QuerySet[Session], text: str, chosen: str = "") -> list[Choice]:
    """What has `text` in it, of each kind the newest; the chosen one first."""
    found = [choice for kind in KINDS.values() for choice in islice(kind.offer(sessions, text), OFFERED)]
    if not chosen:
        return found
    return [*_chosen(sessions, found, chosen), *(choice for choice in found if choice.value != chosen)]


def _chosen(sessions: QuerySet[Session], found: Iterable[Choice], key: str) -> list[Choice]:
    try:
        known = next((choice for choice in found if choice.value == key), None)
        return [known or choice_of(named(sessions, key))]
    except NoSuchCandidate:
        return []


def choice_of(candidate: Candidate) -> Choice:
    session = candidate.session
    about = f"{short(candidate.base_model)}, {session.status}" if session else "base model"
    return Choice(candidate.key, candidate.title, about, session.created_at if session else None)


def short(base: str) -> str:
    """A folder by its name: where it lies says nothing here."""
    return Path(base).name if base_models.is_folder(base) else base


# Base models


def base(name: str) -> Candidate:
    return Candidate(f"{BASE}:{name}", short(name), name)


def here(sessions: QuerySet[Session]) -> list[str]:
    """Base models that need no download: of the list, in the models folder, and what sessions were trained on."""
    names = [name for name, _ in base_models.offered()]
    names += [f"{base_models.LOCAL}{folder.parent.name}" for folder in Path(settings.MODELS_DIR).glob("*/config.json")]
    names += [str(config.get("model", {}).get("name", "")) for config in _configs(sessions)]
    return [name for name in dict.fromkeys(names) if name and is_here(name)]


def _configs(sessions: QuerySet[Session]) -> Iterable[dict[str, Any]]:
    return sessions.values_list("config", flat=True)[:LOOKED_AT]


def is_here(name: str) -> bool:
    """As far as its files say. The hub is not asked: somebody waits for the page."""
    folder = base_models.tokenizer_folder(name)
    if folder is None or not (folder / "config.json").is_file():
        return False
    return not base_models.is_folder(name) or base_models.problem(name) is None


def _find_base(sessions: QuerySet[Session], name: str) -> Candidate:
    if name not in here(sessions):
        raise NoSuchCandidate(GONE)
    return base(name)


def _offer_bases(sessions: QuerySet[Session], text: str) -> Iterator[Choice]:
    words = text.lower().split()
    for name in here(sessions):
        if all(word in f"{short(name)} {name}".lower() for word in words):
            yield choice_of(base(name))


# Sessions


def newest(session: Session) -> Candidate:
    """Its newest adapter as of now. Raises NoSuchCandidate."""
    folder = adapters.newest(session)
    if folder is None:
        raise NoSuchCandidate(UNTRAINED)
    return _of_session(session, f"{SESSION}:{session.pk}", session.name, str(folder.relative_to(session.folder)))


def checkpoint(session: Session, name: str) -> Candidate:
    """Raises NoSuchCandidate."""
    found = next((each for each in adapters.checkpoints(session) if each.name == name), None)
    if found is None:
        raise NoSuchCandidate("That checkpoint is gone: only the newest ones are kept. Choose another one.")
    path = str(found.relative_to(session.folder))
    return _of_session(session, f"{SESSION}:{session.pk}/{name}", f"{session.name}, {name}", path)


def without_adapter(session: Session) -> Candidate:
    """The base model under the prompt of the session."""
    title = f"{short(session.parsed_config.model.name)} (base model)"
    return _of_session(session, f"{SESSION}:{session.pk}/{WITHOUT_ADAPTER}", title, "")


def _of_session(session: Session, key: str, title: str, adapter: str) -> Candidate:
    return Candidate(key, title, session.parsed_config.model.name, SESSION, session, adapter)


def _find_session(sessions: QuerySet[Session], rest: str) -> Candidate:
    pk, _, which = rest.partition("/")
    session = sessions.filter(pk=pk).first() if _is_uuid(pk) else None
    if session is None:
        raise NoSuchCandidate(GONE)
    if which == WITHOUT_ADAPTER:
        return without_adapter(session)
    return checkpoint(session, which) if which else newest(session)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _offer_sessions(sessions: QuerySet[Session], text: str) -> Iterator[Choice]:
    rows = sessions.filter(bench_sources.named(text), archived_at=None)
    for session in rows[:LOOKED_AT]:
        if adapters.has_any(session):
            about = f"{short(str(session.config.get('model', {}).get('name', '')))}, {session.status}"
            yield Choice(f"{SESSION}:{session.pk}", session.name, about, session.created_at)


def weights_of(session: Session) -> list[tuple[str, str]]:
    """(key, what it is) of everything that can be asked of a session, the newest adapter first."""
    key, folder = f"{SESSION}:{session.pk}", adapters.newest(session)
    what = "the trained adapter" if folder == session.adapter else folder.name if folder else "none"
    return [
        (key, f"Newest: {what}"),
        *((f"{key}/{each.name}", each.name) for each in adapters.checkpoints(session)),
        (f"{key}/{WITHOUT_ADAPTER}", "Its base model, without adapter"),
    ]


KINDS: dict[str, Kind] = {SESSION: Kind(_find_session, _offer_sessions), BASE: Kind(_find_base, _offer_bases)}
