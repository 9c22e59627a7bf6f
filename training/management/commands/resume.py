from typing import Any

from django.core.management.base import CommandParser

from training import lifecycle
from training.management.sessions import SessionCommand


class Command(SessionCommand):
    help = "Queues a stopped or failed session again."
    verb = staticmethod(lifecycle.resume)
    done = "is queued and goes on from its newest checkpoint."
    refused = "only a stopped or failed session can be resumed."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--checkpoint", default="", help="Its name, such as training-00000020. Later ones are removed."
        )

    def more(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"checkpoint": options["checkpoint"]}
