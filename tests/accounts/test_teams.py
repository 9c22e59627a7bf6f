import pytest
from django.contrib.auth.models import User

from accounts import teams
from accounts.models import Membership, Role, Team

pytestmark = pytest.mark.django_db


def test_ensure_team_keeps_the_team_that_a_user_has(owner: User, team: Team) -> None:
    assert teams.ensure_team(owner) == team
    assert not Team.objects.filter(name=teams.DEFAULT_TEAM).exists()


def test_ensure_team_makes_the_user_an_owner_of_the_default_team() -> None:
    user = User.objects.create_user("newcomer")
    assert teams.ensure_team(user).name == teams.DEFAULT_TEAM
    assert teams.ensure_team(user).name == teams.DEFAULT_TEAM
    assert list(Membership.objects.values_list("user__username", "role")) == [("newcomer", Role.OWNER)]


def test_the_first_member_of_a_team_owns_it_and_the_next_does_not() -> None:
    first, second = User.objects.create_user("first"), User.objects.create_user("second")
    assert teams.add_member(first, "A team").role == Role.OWNER
    assert teams.add_member(second, "A team").role == Role.MEMBER


def test_adding_again_without_a_role_leaves_the_role_alone(viewer: User, team: Team) -> None:
    assert teams.add_member(viewer, team.name).role == Role.VIEWER


def test_adding_again_with_a_role_changes_it(viewer: User, team: Team) -> None:
    teams.add_member(viewer, team.name, Role.OWNER)
    assert Membership.objects.get(user=viewer).role == Role.OWNER


def test_ensure_user_replaces_a_password_only_when_one_is_given(owner: User) -> None:
    assert teams.ensure_user("charlie", "") == (owner, False)
    owner.refresh_from_db()
    assert owner.check_password("a long password")
    teams.ensure_user("charlie", "another one")
    owner.refresh_from_db()
    assert owner.check_password("another one")


def test_ensure_user_never_takes_rights_away() -> None:
    teams.ensure_user("admin", "secret", superuser=True)
    admin, _ = teams.ensure_user("admin", "")
    assert admin.is_superuser and admin.is_staff
