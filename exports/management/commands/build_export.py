from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from exports.models import Export
from jobs import running


class Command(BaseCommand):
    help = "Builds one export that a worker has claimed. Started by the worker, not by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("export")
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        running.follow_worker()
        from exports.artefacts import build

        export = Export.objects.select_related("session__dataset_version").get(pk=options["export"])
        export.attempt = options["attempt"]
        build(export)
