from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from exports import building
from exports.models import Export
from exports.problems import ExportProblem
from exports.tasks import KIND
from jobs import running
from jobs.choices import JobStatus
from training.models import Session


class Command(BaseCommand):
    help = "Exports a session in this process tree and prints the artefact's path on the last line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", help="Id of the session.")
        parser.add_argument("--format", default="gguf", help="adapter, merged or gguf.")
        parser.add_argument("--quantization", default="", help="For gguf: f16, q8_0, q5_k_m or q4_k_m.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            session = Session.objects.select_related("team").get(pk=options["session"])
            export = building.create(session, None, options["format"], options["quantization"], ring=False)
        except (Session.DoesNotExist, ValidationError, ValueError):
            raise CommandError(f"There is no session {options['session']}.") from None
        except ExportProblem as problem:
            raise CommandError(problem.sentence) from None
        if export.status != JobStatus.READY:
            export = self.build(export)
        self.stdout.write(str(path_of(export)))

    def build(self, export: Export) -> Export:
        said = ""

        def show(job: Any) -> None:
            nonlocal said
            if job.message and job.message != said:
                said = job.message
                self.stderr.write(f"{job.progress:4.0%} {said}")

        while running.run(KIND, str(export.pk), on_tick=show, waits=False):
            export.refresh_from_db()
        export.refresh_from_db()
        if export.status in building.OPEN:
            raise CommandError("A worker is already building this export: ask again when it is ready.")
        if export.status != JobStatus.READY:
            raise CommandError(export.error or "The export was cancelled.")
        return export


def path_of(export: Export) -> Path:
    return export.folder / export.file
