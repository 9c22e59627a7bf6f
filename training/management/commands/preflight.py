import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.choices import JobStatus
from training import preflights
from training.management.sessions import find_session
from training.readiness import NotReady


class Command(BaseCommand):
    help = "Tries a draft out here and now: answers of its base model and one largest step. Prints the result as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", help="Id, or a name that only one session has.")
        parser.add_argument("--start", action="store_true", help="Start it then, if nothing speaks against it.")

    def handle(self, *args: Any, session: str, start: bool, **options: Any) -> None:
        try:
            job = preflights.start(find_session(session), None, then_start=start)
        except NotReady as error:
            raise CommandError("\n".join(f"{p.field}: {p.message}" for p in error.problems)) from None
        except preflights.NotTried as error:
            raise CommandError(str(error)) from None
        ran = preflights.attend(str(job.pk), waits=False)
        job.refresh_from_db()
        if job.status == JobStatus.FAILED:
            raise CommandError(job.error)
        if job.status != JobStatus.READY:
            raise CommandError(job.message or ("It was cancelled." if ran else "A worker is at it already."))
        self.stdout.write(json.dumps(job.result, indent=2))
        if job.message:
            raise CommandError(job.message)
