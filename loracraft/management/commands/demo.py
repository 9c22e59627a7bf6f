import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from datasets_app.problems import DatasetProblem
from exports.problems import ExportProblem
from loracraft import demo
from training.choices import Status
from training.lifecycle import NotReady
from training.models import Session


class Command(BaseCommand):
    help = "Trains the demo session and follows it. Web and worker must run: `make demo` starts all three."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default="http://127.0.0.1:5000/", help="Address of the running app.")

    def handle(self, *args: Any, **options: Any) -> None:
        user, password = demo.ensure_demo_user(os.environ.get("LORACRAFT_PASSWORD", ""))
        shown = f"password {password}" if password else "the password of LORACRAFT_PASSWORD"
        self.stdout.write(f"Sign in as {user.username} with {shown}")
        session = self.started(user)
        self.stdout.write(f"Watch: {options['url'].rstrip('/')}{reverse('training:session', args=[session.pk])}")
        demo.follow(session, self.stdout.write)
        if session.status != Status.COMPLETED:
            raise CommandError(f"The demo session is {session.get_status_display().lower()}. {session.error}")
        for line in demo.result_lines(session):
            self.stdout.write(line)
        self.export(session, user)
        self.stdout.write("The demo is done. The app keeps running until Ctrl-C.")

    def started(self, user: Any) -> Session:
        try:
            return demo.session_of(user)
        except NotReady as error:
            problems = "\n".join(f"{problem.field}: {problem.message}" for problem in error.problems)
            raise CommandError(f"The demo session can't start.\n{problems}") from None
        except (DatasetProblem, OSError) as error:
            raise CommandError(f"The demo could not be prepared: {error}") from None

    def export(self, session: Session, user: Any) -> None:
        try:
            path = demo.gguf(session, user, self.stdout.write)
        except ExportProblem as problem:
            raise CommandError(f"The export to GGUF could not start: {problem.sentence}") from None
        except demo.DemoProblem as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(f"GGUF: {path}")
