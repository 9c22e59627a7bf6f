"""Where the newest adapter of a session lies: what it can be tried and exported with."""

import re
from pathlib import Path

from training.choices import Kind
from training.models import Session


def newest(session: Session) -> Path | None:
    """The finished adapter; while the session runs or after it was stopped, that of its newest checkpoint."""
    if _complete(session.adapter) and not session.is_active:
        return session.adapter
    return newest_checkpoint(session) or (session.adapter if _complete(session.adapter) else None)


def newest_checkpoint(session: Session) -> Path | None:
    events = session.events.filter(kind=Kind.CHECKPOINT, superseded=False).order_by("-seq")[:5]
    named = [session.folder / str(event.data.get("path", "")) for event in events]
    # Rotation may have removed a folder that an event names, and the recorder may be behind the disk.
    found = sorted((session.folder / "checkpoints").glob("checkpoint-*"), key=_number, reverse=True)
    inside = session.folder.resolve()
    return next((f for f in [*named, *found] if _complete(f) and f.resolve().is_relative_to(inside)), None)


def checkpoints(session: Session) -> list[Path]:
    """Those on the disk that an adapter can be read from, newest first."""
    found = sorted((session.folder / "checkpoints").glob("checkpoint-*"), key=_number, reverse=True)
    return [folder for folder in found if named(session, f"checkpoints/{folder.name}")]


def named(session: Session, name: str) -> Path | None:
    """The adapter that lies at `name` in the session's folder, if there is one."""
    folder = session.folder / name
    return folder if _complete(folder) and folder.resolve().is_relative_to(session.folder.resolve()) else None


def _complete(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file() and (folder / "adapter_model.safetensors").is_file()


def _number(folder: Path) -> int:
    match = re.search(r"(\d+)$", folder.name)
    return int(match.group(1)) if match else -1


def has_any(session: Session) -> bool:
    """For lists: looks on disk only, no query."""
    return _complete(session.adapter) or any(
        _complete(f) for f in (session.folder / "checkpoints").glob("checkpoint-*")
    )
