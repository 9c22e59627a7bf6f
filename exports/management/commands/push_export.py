from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from exports.models import Push
from jobs import running


class Command(BaseCommand):
    help = "Sends one export to the hub. Started by the worker, not by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("push")
        parser.add_argument("attempt", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        running.follow_worker()
        from exports.pushing import send

        push = Push.objects.select_related("team", "export__session").get(pk=options["push"])
        push.attempt = options["attempt"]
        send(push)
