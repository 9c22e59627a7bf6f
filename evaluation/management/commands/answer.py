from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from evaluation.models import Trial
from jobs import running


class Command(BaseCommand):
    help = "Answers one prompt that a worker has claimed. Started by the worker, not by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("trial")
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        running.follow_worker()
        from evaluation.answering import answer

        trial = Trial.objects.select_related("session__dataset_version").get(pk=options["trial"])
        trial.attempt = options["attempt"]
        answer(trial)
