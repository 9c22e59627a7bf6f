"""What the commands that act on a session share."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from training.models import Session
from training.readiness import NotReady


def find_session(text: str) -> Session:
    """By id, or by a name that only one session has."""
    try:
        return Session.objects.get(pk=text)
    except (Session.DoesNotExist, ValidationError):
        named = list(Session.objects.filter(name=text)[:2])
    if len(named) == 1:
        return named[0]
    what = "Several sessions have" if named else "There is no session with"
    raise CommandError(f"{what} the id or name {text!r}.")


class SessionCommand(BaseCommand):
    """One verb of training.lifecycle on one session."""

    verb: Callable[..., bool]
    done = ""
    refused = ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", help="Id, or a name that only one session has.")

    def handle(self, *args: Any, session: str, **options: Any) -> None:
        row = find_session(session)
        try:
            won = type(self).verb(row, None, **self.more(options))
        except NotReady as error:
            raise CommandError("\n".join(f"{p.field}: {p.message}" for p in error.problems)) from None
        if not won:
            row.refresh_from_db()
            raise CommandError(f"{row} is {row.get_status_display().lower()}: {self.refused}")
        self.stdout.write(f"{row} {self.done}")

    def more(self, options: dict[str, Any]) -> dict[str, Any]:
        """What else the verb is given."""
        return {}
