"""The one door to team-owned rows. An outsider gets 404, a viewer who wants to change something 403."""

from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404

from accounts.models import AnyUser, Membership, Role, Team, TeamOwned, roles_from

Row = TypeVar("Row", bound=TeamOwned)


def get_or_404(model: type[Row], user: AnyUser, pk: UUID | str, role: str = Role.VIEWER) -> Row:
    """The row `pk` if `user` may see it.

    Raises Http404 if it does not exist or belongs to a team the user is not in, PermissionDenied if the user's role
    in that team is below `role`.
    """
    try:
        row: Row = model.objects.of_user(user).select_related("team", "created_by").get(pk=pk)
    except (model.DoesNotExist, ValidationError, ValueError):
        raise Http404(f"No such {model._meta.verbose_name}.") from None
    require(user, row.team, role)
    return row


def require(user: AnyUser, team: Team, role: str) -> None:
    if not may(user, team, role):
        raise PermissionDenied(f"Your role in {team} does not allow this: it needs at least {role}.")


def may(user: AnyUser, team: Team, role: str) -> bool:
    return teams_with(user, role).filter(pk=team.pk).exists()


def teams_with(user: AnyUser, role: str = Role.VIEWER) -> Any:
    return Team.objects.filter(memberships__user_id=user.pk, memberships__role__in=roles_from(role)).order_by("pk")


def current_team(user: AnyUser, role: str = Role.VIEWER) -> Team:
    """The team that new rows of `user` go to: the first in which the role suffices."""
    team: Team | None = teams_with(user, role).first()
    if team is None:
        if Membership.objects.filter(user_id=user.pk).exists():
            raise PermissionDenied(f"This needs at least the role {role} in a team.")
        raise PermissionDenied("You are in no team yet: ask an owner to add you.")
    return team
