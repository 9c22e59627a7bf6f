import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.choices import JobStatus
from training import forecast, preflights, slots
from training.management.sessions import find_session
from training.models import Preflight
from training.readiness import NotReady

LOOK_SECONDS = 1.0


class Command(BaseCommand):
    help = (
        "Tries a draft out as soon as a device is free: answers of its base model and one largest step. Prints what it"
        " found as JSON."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", help="Id, or a name that only one session has.")
        parser.add_argument("--start", action="store_true", help="Start it then, if nothing speaks against it.")

    def handle(self, *args: Any, session: str, start: bool, **options: Any) -> None:
        row = find_session(session)
        try:
            job = preflights.start(row, None, then_start=start)
        except NotReady as error:
            raise CommandError("\n".join(f"{p.field}: {p.message}" for p in error.problems)) from None
        except preflights.NotTried as error:
            raise CommandError(str(error)) from None
        try:
            self.follow(job)
        except KeyboardInterrupt:
            preflights.cancel(row)
            raise CommandError("It was cancelled.") from None
        if job.status == JobStatus.FAILED:
            raise CommandError(job.error)
        if job.status != JobStatus.READY:
            raise CommandError("It was cancelled.")
        self.stdout.write(json.dumps(job.result, indent=2))
        if job.message:
            raise CommandError(job.message)

    def follow(self, job: Preflight) -> None:
        """To its end, here or in a worker that was quicker; on standard error it is said what it waits for."""
        told = ""
        while job.status in preflights.OPEN:
            if not preflights.attend(str(job.pk)):
                why = forecast.why_tried_later(job, slots.of_this_machine()) or "A worker tries it out."
                if why != told:
                    self.stderr.write(told := why)
                time.sleep(LOOK_SECONDS)
            job.refresh_from_db()
