from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from evaluation.models import Batch
from jobs import running


class Command(BaseCommand):
    help = "Answers the prompts of a batch that a worker has claimed. Started by the worker, not by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("batch")
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        running.follow_worker()
        from evaluation.batch_answering import answer_batch

        found = Batch.objects.select_related("session", "team").get(pk=options["batch"])
        found.attempt = options["attempt"]
        answer_batch(found)
