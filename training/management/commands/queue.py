from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Team
from training import forecast, queue
from training.models import Session


class Command(BaseCommand):
    help = "Shows what waits, in its order, with the reason; pauses the queue, or lets it go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", nargs="?", choices=["list", "pause", "resume"], default="list")
        parser.add_argument("--team", help="Only this team's sessions; without it those of all teams.")
        parser.add_argument("--reason", default="", help="Shown to those who wait.")

    def handle(self, *args: Any, action: str, team: str | None, reason: str, **options: Any) -> None:
        row = Team.objects.filter(name=team).first() if team else None
        if team and row is None:
            raise CommandError(f"There is no team {team!r}.")
        if action == "list":
            self._list(row)
        elif action == "pause":
            self._say(queue.pause(row, None, reason), "Paused.", "It was paused already.")
        else:
            self._say(queue.go_on(row, None), "The queue goes on.", "It was not paused.")

    def _say(self, done: bool, yes: str, no: str) -> None:
        self.stdout.write(yes if done else no)

    def _list(self, team: Team | None) -> None:
        found = forecast.Forecast()
        for pause in found.pauses.values():
            self.stdout.write(forecast.told(pause))
        sessions = Session.objects.select_related("team").in_bulk([ticket.pk for ticket in found.tickets])
        for ticket in found.tickets:
            if team is None or ticket.team == team.pk:
                place, session = found.places[ticket.pk], sessions[ticket.pk]
                self.stdout.write(
                    f"{place.number}. {session} ({session.team}): {place.reason} {place.expected}".strip()
                )
        if not found.tickets:
            self.stderr.write("Nothing waits.")
