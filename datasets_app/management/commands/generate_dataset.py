from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from datasets_app import importing
from datasets_app.management.commands.import_dataset import team_called
from datasets_app.problems import DatasetProblem
from loracraft.numbers import thousands


class Command(BaseCommand):
    help = "Generates a dataset with reasoning-gym for a team and prints the dataset's id."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--team", required=True, help="Name of the team.")
        parser.add_argument("--task", default="chain_sum", help="A task of reasoning-gym (default chain_sum).")
        parser.add_argument("--size", type=int, default=1000)
        parser.add_argument("--seed", type=int, default=42)
        parser.add_argument("--name", help="Name of the dataset. Default: the task's.")
        parser.add_argument(
            "--parameter", action="append", default=[], metavar="NAME=VALUE", help="May be given several times."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        parameters = dict(pair(text) for text in options["parameter"])
        try:
            version = importing.generate(
                team_called(options["team"]),
                None,
                options["task"],
                parameters,
                options["seed"],
                options["size"],
                options["name"],
            )
        except DatasetProblem as problem:
            raise CommandError(problem.message) from None
        self.stderr.write(f"{thousands(version.row_count)} different questions stored.")
        self.stdout.write(str(version.dataset_id))


def pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise CommandError(f"Write --parameter as NAME=VALUE, not “{text}”.")
    return name, value
