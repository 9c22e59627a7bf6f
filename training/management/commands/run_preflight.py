from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from jobs import running
from training.models import Preflight


class Command(BaseCommand):
    help = "Does one preflight that a worker has claimed. Started by the worker, not by hand: see `preflight`."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("preflight")
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        running.follow_worker()
        from training import preflights, trainer

        # A session that trains comes before what is only tried.
        trainer.be_killed_first()
        job = Preflight.objects.select_related("team", "session", "dataset_version").get(pk=options["preflight"])
        job.attempt = options["attempt"]
        preflights.perform(job)
