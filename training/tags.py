"""Words of a team for its sessions. A tag that no session has any more is gone."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from accounts.models import AnyUser
from training.models import Session, Tag

LONGEST = Tag._meta.get_field("name").max_length or 0
MOST = 12


class BadTags(Exception):
    """Why these can't be the tags of a session."""


def names_in(text: str) -> list[str]:
    """Between commas, each once, in lower case. Raises BadTags."""
    names = {" ".join(word.split()).lstrip("#").strip().lower() for word in text.split(",")} - {""}
    for name in sorted(names):
        if len(name) > LONGEST:
            raise BadTags(f"A tag has at most {LONGEST} characters; “{name[:LONGEST]}…” has {len(name)}.")
    return sorted(names)


def replace(session: Session, by: AnyUser | None, names: Iterable[str]) -> None:
    """Gives the session these tags and no others. Raises BadTags, and then changes nothing."""
    wanted = names_in(",".join(names))
    check_number(session, len(wanted))
    with transaction.atomic():
        session.tags.set([tag_of(session, name) for name in wanted])
        forget_unused(session.team_id)


def add(sessions: Iterable[Session], by: AnyUser | None, names: Iterable[str]) -> None:
    """To all of them, or, with BadTags, to none."""
    wanted = names_in(",".join(names))
    with transaction.atomic():
        for session in sessions:
            check_number(session, len({*session.tags.values_list("name", flat=True), *wanted}))
            session.tags.add(*(tag_of(session, name) for name in wanted))


def remove(sessions: Iterable[Session], by: AnyUser | None, names: Iterable[str]) -> None:
    unwanted = names_in(",".join(names))
    with transaction.atomic():
        for session in sessions:
            session.tags.remove(*session.tags.filter(name__in=unwanted))
            forget_unused(session.team_id)


def check_number(session: Session, count: int) -> None:
    if count > MOST:
        raise BadTags(f"A session has at most {MOST} tags; “{session}” would have {count}.")


def tag_of(session: Session, name: str) -> Tag:
    return Tag.objects.get_or_create(team_id=session.team_id, name=name)[0]


def forget_unused(team_id: int) -> None:
    Tag.objects.filter(team=team_id, sessions=None).delete()
