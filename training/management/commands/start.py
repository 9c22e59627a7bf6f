from typing import Any

from django.core.management.base import CommandParser

from training import lifecycle
from training.management.sessions import SessionCommand


class Command(SessionCommand):
    help = "Queues a session."
    verb = staticmethod(lifecycle.start)
    done = "is queued."
    refused = "only a draft, a stopped or a failed session can be started."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--override-reward", metavar="REASON", default="", help="Start with a reward that failed its check; kept."
        )

    def more(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"reward_override": options["override_reward"]}
