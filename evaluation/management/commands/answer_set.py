from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from evaluation.models import AnswerSet
from jobs import running


class Command(BaseCommand):
    help = "Answers the questions of a test bench that a worker has claimed. Started by the worker, not by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("answer_set")
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        running.follow_worker()
        from evaluation.answering import answer_all

        found = AnswerSet.objects.select_related("session").get(pk=options["answer_set"])
        found.attempt = options["attempt"]
        answer_all(found)
