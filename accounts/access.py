"""The one door to team-owned rows. An outsider gets 404, a viewer who wants to change something 403."""

from typing import Any, TypeVar
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404

from accounts import teams
from accounts.models import AnyUser, Role, Team, TeamOwned, memberships_of

Row = TypeVar("Row", bound=TeamOwned)


def get_or_404(model: type[Row], user: AnyUser, pk: UUID | str, role: str = Role.VIEWER) -> Row:
    """The row `pk` if `user` may see it.

    Raises Http404 if it does not exist or belongs to a team the user is not in, PermissionDenied if the user's role
    in that team is below `role`.
    """
    try:
        rows: Any = model.objects.of_user(user).select_related("team", "created_by")
        row: Row = rows.get(pk=pk)
    except (model.DoesNotExist, ValidationError, ValueError):
        raise Http404(f"No such {model._meta.verbose_name}.") from None
    require(user, row.team, role)
    return row


def require(user: AnyUser, team: Team, role: str) -> None:
    if not may(user, team, role):
        raise PermissionDenied(f"Your role in {team} does not allow this: it needs at least {role}.")


def may(user: AnyUser, team: Team, role: str) -> bool:
    return teams_with(user, role).filter(pk=team.pk).exists()


def teams_with(user: AnyUser, role: str = Role.VIEWER) -> QuerySet[Team]:
    return Team.objects.filter(pk__in=memberships_of(user, role).values("team")).order_by("pk")


def current_team(user: AnyUser, role: str = Role.VIEWER) -> Team:
    """The team that new rows of `user` go to: the first in which the role suffices.

    A superuser without a team (one of `manage.py createsuperuser`) gets one here.
    """
    team = teams_with(user, role).first()
    if team is not None:
        return team
    if memberships_of(user).exists():
        raise PermissionDenied(f"This needs at least the role {role} in a team.")
    if isinstance(user, User) and user.is_superuser:
        return teams.ensure_team(user)
    raise PermissionDenied("You are in no team yet: ask an owner to add you.")


def home_team(user: AnyUser) -> Team:
    """The team whose pages `user` sees: where new rows go, or for somebody who may only look the first one."""
    editable = teams_with(user, Role.MEMBER).exists()
    return current_team(user, Role.MEMBER if editable else Role.VIEWER)
