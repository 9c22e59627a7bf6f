import os
import secrets
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts import teams
from accounts.models import Role


class Command(BaseCommand):
    help = "Makes a user and a team as needed. The password comes from LORACRAFT_PASSWORD or is random and printed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--team", help=f"Name of the team (default: {teams.DEFAULT_TEAM}).")
        parser.add_argument("--role", choices=Role.values, default="", help="Default: owner if new, else member.")
        parser.add_argument("--superuser", action="store_true", help="May use the admin, and owns the team.")

    def handle(self, *args: Any, **options: Any) -> None:
        name = valid_name(options["name"])
        team = options["team"] or teams.DEFAULT_TEAM
        given = os.environ.get("LORACRAFT_PASSWORD", "")
        known = User.objects.filter(username=name).exists()
        password = given or ("" if known else secrets.token_urlsafe(12))
        user, _ = teams.ensure_user(name, password, superuser=options["superuser"])
        role = options["role"] or (Role.OWNER if options["superuser"] else "")
        membership = teams.add_member(user, team, role)
        self.stdout.write(f"{'Changed' if known else 'Made'} user {name}, {membership.role} of {membership.team}.")
        if password and not given:
            self.stdout.write(f"Password: {password}")


def valid_name(name: str) -> str:
    try:
        User(username=name).clean_fields(exclude={"password"})
    except ValidationError as error:
        raise CommandError(f"{name!r} can't be a user name: {' '.join(error.messages)}") from None
    return name
