from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Team
from datasets_app import importing, mapping
from datasets_app.models import DatasetVersion
from datasets_app.problems import DatasetProblem
from loracraft.numbers import thousands


class Command(BaseCommand):
    help = "Imports a file (JSON, JSONL, CSV, TSV, Parquet or text) as a dataset of a team and prints the dataset's id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--team", required=True, help="Name of the team.")
        parser.add_argument("--name", help="Name of the dataset. Default: the file's.")
        parser.add_argument("--question", help="Question column. Default: detected.")
        parser.add_argument("--answer", help="Answer column. Default: detected.")
        parser.add_argument("--rule", default="", help="Rule for the final answer. Default: detected.")
        parser.add_argument("--accept", action="store_true", help="Keep the good rows if lines are rejected.")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        if bool(options["question"]) != bool(options["answer"]):
            raise CommandError("Give both --question and --answer, or neither.")
        version = None
        try:
            with open(file, "rb") as source:
                version = importing.import_jsonl(
                    team_called(options["team"]), None, options["name"] or file.name, source
                )
            if options["question"]:
                mapping.map_columns(version, options["question"], options["answer"], options["rule"])
        except OSError as error:
            raise CommandError(f"{file} can't be read: {error.strerror}.") from None
        except DatasetProblem as problem:
            if version:
                importing.delete(version.dataset)
            raise CommandError(problem.message) from None
        if options["accept"]:
            importing.accept(version)
        self.report(version)

    def report(self, version: DatasetVersion) -> None:
        for line in version.report["rejected"]:
            self.stderr.write(f"line {line['line']}: {line['reason']}")
        waiting = "" if version.accepted else " Decide on its page, or import it again with --accept."
        self.stderr.write(
            f"{thousands(version.row_count)} rows kept, {thousands(version.rejected_count)} lines rejected.{waiting}"
        )
        if not version.mapping:
            self.stderr.write("Question and answer column could not be told: give --question and --answer.")
        self.stdout.write(str(version.dataset_id))


def team_called(name: str) -> Team:
    team = Team.objects.filter(name=name).first()
    if team is None:
        raise CommandError(f"There is no team “{name}”.")
    return team
