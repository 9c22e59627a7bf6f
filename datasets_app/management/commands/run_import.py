from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from datasets_app import imports
from datasets_app.models import Import
from jobs import running


class Command(BaseCommand):
    help = "Does one import that a worker has claimed. Started by the worker, not by hand (for that: import_dataset)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job")
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        running.follow_worker()
        job = Import.objects.select_related("team", "created_by", "upload", "dataset").get(pk=options["job"])
        job.attempt = options["attempt"]
        imports.perform(job)
