import uuid
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

AnyUser: TypeAlias = "User | AnonymousUser"


class Role(models.TextChoices):
    """Weakest first."""

    VIEWER = "viewer"
    MEMBER = "member"
    OWNER = "owner"


def roles_from(role: str) -> list[str]:
    """`role` and all that may do more."""
    return Role.values[Role.values.index(role) :]


class Team(models.Model):
    name = models.CharField(max_length=120, unique=True)
    users = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="teams")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    team = models.ForeignKey(Team, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="one_membership_per_team")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team} ({self.role})"


def memberships_of(user: "AnyUser", role: str = Role.VIEWER) -> models.QuerySet[Membership]:
    """The memberships in which `user` has at least `role`; none for somebody who is not signed in."""
    if user.pk is None:
        return Membership.objects.none()
    return Membership.objects.filter(user_id=user.pk, role__in=roles_from(role))


class TeamQuerySet(models.QuerySet[Any]):
    def of_user(self, user: "AnyUser", role: str = Role.VIEWER) -> Self:
        """Rows of the teams in which `user` has at least `role`. Every query of a page or a route starts here."""
        return self.filter(team__in=memberships_of(user, role).values("team"))


class TeamOwned(models.Model):
    """A row that belongs to a team. Its id is random, so that a URL says nothing."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, models.CASCADE, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = TeamQuerySet.as_manager()

    class Meta:
        abstract = True


class TeamSecret(models.Model):
    """A token of another service. Only accounts/secrets.py opens it; `ending` is what pages may show of it."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="secrets")
    name = models.CharField(max_length=340)
    ciphertext = models.TextField(editable=False)
    ending = models.CharField(max_length=4, editable=False)
    saved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "name"], name="one_secret_of_a_name_per_team")]

    def __str__(self) -> str:
        return f"{self.name} of {self.team}"
