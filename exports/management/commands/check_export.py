from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from exports.models import Check
from jobs import running


class Command(BaseCommand):
    help = "Compares one export with its adapter. Started by the worker, not by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("check")
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        running.follow_worker()
        from exports.checking import check

        row = Check.objects.select_related("team", "export__session__dataset_version").get(pk=options["check"])
        row.attempt = options["attempt"]
        check(row)
