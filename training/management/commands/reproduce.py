import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Team
from accounts.teams import DEFAULT_TEAM
from training import lifecycle, reproduction
from training.readiness import NotReady


class Command(BaseCommand):
    help = (
        "Makes a session again from its run manifest: a draft, or with --start a queued one. What is missing or differs"
        " is named; differences of versions and hardware are warnings on standard error. Prints the session's id."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("manifest", metavar="MANIFEST.json")
        parser.add_argument("--team", default=DEFAULT_TEAM, help="Whose dataset is used and who owns the session.")
        parser.add_argument(
            "--model", default="", help="Where the base model is now: a folder, local/NAME or a hub id."
        )
        parser.add_argument("--start", action="store_true", help="Queue it at once.")
        parser.add_argument(
            "--override-reward", metavar="REASON", default="", help="Start with a reward that failed its check; kept."
        )

    def handle(self, *args: Any, manifest: str, team: str, model: str, start: bool, **options: Any) -> None:
        owner = Team.objects.filter(name=team).first()
        if owner is None:
            raise CommandError(f"There is no team {team!r}.")
        try:
            session, warnings = reproduction.reproduce(owner, None, self._read(manifest), model=model, read_all=True)
        except reproduction.NotReproducible as error:
            raise CommandError("\n".join(error.problems)) from None
        for line in warnings:
            self.stderr.write(f"Warning: {line}")
        if start:
            self._start(session, options["override_reward"])
        self.stdout.write(str(session.pk))

    def _read(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads(Path(name).read_text(encoding="utf-8"))
        except OSError as error:
            raise CommandError(f"{name} can't be read: {error.strerror}.") from None
        except ValueError as error:
            raise CommandError(f"{name} is not JSON: {error}") from None
        if not isinstance(content, dict):
            raise CommandError(f"{name} must hold one JSON object.")
        return content

    def _start(self, session: Any, reason: str) -> None:
        try:
            lifecycle.start(session, None, reason)
        except NotReady as error:
            said = "\n".join(f"{problem.field}: {problem.message}" for problem in error.problems)
            raise CommandError(f"{session} stays a draft ({session.pk}).\n{said}") from None
