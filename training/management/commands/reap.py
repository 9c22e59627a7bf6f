from typing import Any

from django.core.management.base import BaseCommand

from training import lifecycle


class Command(BaseCommand):
    requires_system_checks = ()
    help = "Takes sessions away from workers that are gone. A running worker does it by itself every few seconds."

    def handle(self, *args: Any, **options: Any) -> None:
        taken = lifecycle.reap()
        for session_id in taken:
            self.stdout.write(str(session_id))
        if not taken:
            self.stderr.write("Every running session has a living worker.")
