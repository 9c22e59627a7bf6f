from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from exports import building, checks
from exports.formats import Choice
from exports.models import Check, Export
from exports.problems import ExportProblem
from exports.tasks import CHECKS, KIND
from jobs import running
from jobs.choices import JobStatus
from training.models import Session


class Command(BaseCommand):
    help = "Exports a session in this process tree and prints the artefact's path on the last line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", help="Id of the session.")
        parser.add_argument("--format", default="gguf", help="adapter, merged or gguf.")
        parser.add_argument(
            "--quantization",
            action="append",
            help="For gguf: f16, q8_0, q5_k_m, q4_k_m and others. May be given several times: one path a line.",
        )
        parser.add_argument("--no-check", action="store_true", help="Don't compare it with the trained adapter.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            session = Session.objects.select_related("team").get(pk=options["session"])
            found = building.create_all(session, None, wanted(options), ring=False, check=False)
        except (Session.DoesNotExist, ValidationError, ValueError):
            raise CommandError(f"There is no session {options['session']}.") from None
        except ExportProblem as problem:
            raise CommandError(problem.sentence) from None
        built = [export if export.status == JobStatus.READY else self.build(export) for export in found]
        if not options["no_check"]:
            for export in built:
                self.compare(export)
        for export in built:
            self.stdout.write(str(path_of(export)))

    def build(self, export: Export) -> Export:
        while running.run(KIND, str(export.pk), on_tick=self.teller(), waits=False):
            export.refresh_from_db()
        export.refresh_from_db()
        if export.status in building.OPEN:
            raise CommandError("A worker is already building this export: ask again when it is ready.")
        if export.status != JobStatus.READY:
            raise CommandError(export.error or "The export was cancelled.")
        return export

    def compare(self, export: Export) -> None:
        """Its verdict goes to standard error: what was exported is there whatever it says."""
        row = export.parity
        if row is None or not row.verdict:
            row = checks.start(export, ring=False)
            while running.run(CHECKS, str(row.pk), on_tick=self.teller(), waits=False):
                row.refresh_from_db()
            row = Check.objects.select_related("export").get(pk=row.pk)
        verdict = row.get_verdict_display() or "Not checked"
        self.stderr.write(f"{path_of(export).name}: {verdict}. {row.reason or row.error or 'A worker checks it.'}")

    def teller(self) -> Any:
        said = ""

        def show(job: Any) -> None:
            nonlocal said
            if job.message and job.message != said:
                said = job.message
                self.stderr.write(f"{job.progress:4.0%} {said}")

        return show


def wanted(options: dict[str, Any]) -> list[Choice]:
    """Raises ExportProblem."""
    return [building.resolve(options["format"], each) for each in options["quantization"] or [""]]


def path_of(export: Export) -> Path:
    return export.folder / export.file
