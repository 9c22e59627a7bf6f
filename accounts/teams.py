"""Verbs on teams and users, for the command line, the admin and the demo."""

from django.contrib.auth.models import User
from django.db import transaction

from accounts.models import Membership, Role, Team

DEFAULT_TEAM = "Default team"


def ensure_team(user: User) -> Team:
    """The first team of `user`; somebody without any becomes an owner of the default team."""
    first = Membership.objects.filter(user=user).select_related("team").order_by("pk").first()
    return first.team if first else add_member(user, DEFAULT_TEAM, Role.OWNER).team


@transaction.atomic
def add_member(user: User, team_name: str, role: str = "") -> Membership:
    """Puts `user` into the team of that name, made if there is none.

    Without a role a membership stays as it is, and a new one is `owner` in a team that has none yet, else `member`.
    """
    team, _ = Team.objects.get_or_create(name=team_name)
    membership, new = Membership.objects.get_or_create(
        team=team, user=user, defaults={"role": role or first_role(team)}
    )
    if role and not new and membership.role != role:
        membership.role = role
        membership.save(update_fields=["role"])
    return membership


def first_role(team: Team) -> str:
    has_owner = team.memberships.filter(role=Role.OWNER).exists()
    return Role.MEMBER if has_owner else Role.OWNER


@transaction.atomic
def ensure_user(name: str, password: str, *, superuser: bool = False) -> tuple[User, bool]:
    """The user of that name, and whether it was made now. A given password replaces an existing one."""
    user, new = User.objects.get_or_create(username=name)
    if superuser:
        user.is_staff = user.is_superuser = True
    if password:
        user.set_password(password)
    user.save()
    return user, new
