"""Where the newest adapter of a session lies: what it can be tried and exported with."""

import re
from pathlib import Path

from django.db.models import Exists, OuterRef, Q, QuerySet

from training.choices import Kind, Status
from training.models import Event, Session

# A damaged checkpoint, which is renamed, and one that is being written are none.
CHECKPOINT = re.compile(r"(checkpoint|pretraining|training)-(\d+)")


def trained(sessions: QuerySet[Session]) -> QuerySet[Session]:
    """Those among them that have a model, as the rows tell: no folder is looked at."""
    saved = Event.objects.filter(session=OuterRef("pk"), kind=Kind.CHECKPOINT, superseded=False)
    return sessions.filter(Q(status=Status.COMPLETED) | Exists(saved))


def newest(session: Session) -> Path | None:
    """The finished adapter; while the session runs or after it was stopped, that of its newest checkpoint."""
    if _complete(session.adapter) and not session.is_active:
        return session.adapter
    return newest_checkpoint(session) or (session.adapter if _complete(session.adapter) else None)


def newest_checkpoint(session: Session) -> Path | None:
    events = session.events.filter(kind=Kind.CHECKPOINT, superseded=False).order_by("-seq")[:5]
    named = [session.folder / str(event.data.get("path", "")) for event in events]
    # Rotation may have removed a folder that an event names, and the recorder may be behind the disk.
    inside = session.folder.resolve()
    return next((f for f in [*named, *_saved(session)] if _complete(f) and f.resolve().is_relative_to(inside)), None)


def checkpoints(session: Session) -> list[Path]:
    """Those on the disk that an adapter can be read from, newest first."""
    return [folder for folder in _saved(session) if named(session, f"checkpoints/{folder.name}")]


def named(session: Session, name: str) -> Path | None:
    """The adapter that lies at `name` in the session's folder, if there is one."""
    folder = session.folder / name
    return folder if _complete(folder) and folder.resolve().is_relative_to(session.folder.resolve()) else None


def _complete(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file() and (folder / "adapter_model.safetensors").is_file()


def _saved(session: Session) -> list[Path]:
    """Newest first."""
    found = [path for path in (session.folder / "checkpoints").glob("*-*") if CHECKPOINT.fullmatch(path.name)]
    return sorted(found, key=_age, reverse=True)


def _age(folder: Path) -> tuple[bool, int]:
    """Those of the warm-up are older than all others."""
    kind, number = folder.name.split("-")
    return kind != "pretraining", int(number)


def has_any(session: Session) -> bool:
    """For lists: looks on disk only, no query."""
    return _complete(session.adapter) or any(_complete(folder) for folder in _saved(session))
