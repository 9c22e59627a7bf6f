from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs import running
from rewards.models import Examination


class Command(BaseCommand):
    help = "Examines one reward that a worker has claimed. Started by the worker, not by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("examination")
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        running.follow_worker()
        from rewards import examinations

        job = Examination.objects.select_related("team").get(pk=options["examination"])
        job.attempt = options["attempt"]
        examinations.perform(job)
