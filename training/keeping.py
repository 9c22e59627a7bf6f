"""What people do with a session that has nothing to do with its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from accounts.models import AnyUser
from loracraft.numbers import thousands
from training import adapters
from training.choices import ACTIVE
from training.models import Session

MOST_NOTES = 20_000
LONGEST_NAME = Session._meta.get_field("name").max_length or 0
LONGEST_NOTE = Session._meta.get_field("promotion_note").max_length or 0


class BadName(Exception):
    """Why a session can't be called that."""


def rename(session: Session, by: AnyUser | None, name: str) -> None:
    """In any state: nothing depends on the name. Raises BadName."""
    name = " ".join(name.split())
    if not name:
        raise BadName("A session needs a name. It keeps the one it had.")
    if len(name) > LONGEST_NAME:
        raise BadName(f"A name has at most {LONGEST_NAME} characters; this one has {len(name)}.")
    session.name = name
    session.save(update_fields=["name"])


def archive(sessions: QuerySet[Session], by: AnyUser | None) -> list[UUID]:
    """Takes those that neither run nor wait out of the lists. Returns the ids of those that are archived now."""
    found = sessions.filter(archived_at=None).exclude(status__in=ACTIVE)
    return _updated(found, archived_at=Now())


def restore(sessions: QuerySet[Session], by: AnyUser | None) -> list[UUID]:
    return _updated(sessions.exclude(archived_at=None), archived_at=None)


class BadNote(Exception):
    """Why that can't be said about a promoted model."""


def promote(sessions: QuerySet[Session], by: AnyUser | None) -> list[UUID]:
    """Marks their models as ones to use. Returns the ids of those that are marked now: who did it before stays."""
    found = adapters.trained(sessions).filter(promoted_at=None)
    return _updated(found, promoted_at=Now(), promoted_by_id=by.pk if by is not None else None)


def unpromote(sessions: QuerySet[Session], by: AnyUser | None) -> list[UUID]:
    """The note stays, so that a click that is taken back loses nothing."""
    return _updated(sessions.exclude(promoted_at=None), promoted_at=None, promoted_by_id=None)


def note_promotion(session: Session, by: AnyUser | None, note: str) -> None:
    """What a promoted model is for. Raises BadNote."""
    note = " ".join(note.split())
    if len(note) > LONGEST_NOTE:
        raise BadNote(f"Say it in at most {LONGEST_NOTE} characters; these are {len(note)}. The notes take more.")
    session.promotion_note = note
    session.save(update_fields=["promotion_note"])


def _updated(found: QuerySet[Session], **changes: Any) -> list[UUID]:
    with transaction.atomic():
        ids = list(found.select_for_update().values_list("pk", flat=True))
        Session.objects.filter(pk__in=ids).update(**changes)
    return ids


class NotesTooLong(Exception):
    """How much too long; nothing was saved."""


class NotesChanged(Exception):
    """Somebody saved another text since the one that was edited. The session has been read again."""


def write_notes(session: Session, by: AnyUser | None, text: str, version: int) -> None:
    """In any state. `version`: the `notes_version` that was read before writing. Raises NotesTooLong, NotesChanged."""
    text = text.replace("\r\n", "\n").replace("\x00", "")
    if len(text) > MOST_NOTES:
        raise NotesTooLong(
            f"Notes have at most {thousands(MOST_NOTES)} characters; these have {thousands(len(text))}. Shorten them."
        )
    author = by.pk if by is not None and by.is_authenticated else None
    changes = {"notes": text, "notes_version": F("notes_version") + 1, "notes_at": Now(), "notes_by_id": author}
    won = Session.objects.filter(pk=session.pk, notes_version=version).exclude(notes=text).update(**changes)
    session.refresh_from_db()
    # The same text again is no conflict: a click that was repeated.
    if not won and session.notes != text:
        raise NotesChanged(f"{session.notes_by or 'Somebody'} saved another text while this one was written.")


def bytes_on_disk(session: Session) -> int:
    """Of all that goes when the session is deleted: checkpoints, adapter, log and exports."""
    return sum(bytes_of(folder) for folder in (session.folder, Path(settings.EXPORTS_DIR) / str(session.pk)))


def bytes_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        try:
            total += path.lstat().st_size
        except OSError:
            # Rotated away meanwhile, or of somebody else: what can't be seen can't be counted.
            continue
    return total
