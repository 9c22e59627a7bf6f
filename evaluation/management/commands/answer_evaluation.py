from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from evaluation.models import Evaluation
from jobs import running


class Command(BaseCommand):
    help = "Answers the rows of an evaluation that a worker has claimed. Started by the worker, not by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("evaluation")
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        running.follow_worker()
        from evaluation.evaluation_answering import evaluate

        found = Evaluation.objects.select_related("evaluation_set", "team").get(pk=options["evaluation"])
        found.attempt = options["attempt"]
        evaluate(found)
