from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from datasets_app.models import Check
from jobs import running


class Command(BaseCommand):
    help = "Makes one validation report that a worker has claimed. Started by the worker, not by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("check")
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        running.follow_worker()
        from datasets_app import checking

        check = Check.objects.select_related("version__dataset").get(pk=options["check"])
        check.attempt = options["attempt"]
        checking.perform(check)
