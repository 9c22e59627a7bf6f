import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import Http404

from accounts import access
from accounts.models import Membership, Role, Team
from training.models import SavedConfig


@pytest.fixture
def config(team: Team, owner: User) -> SavedConfig:
    return SavedConfig.objects.create(team=team, created_by=owner, name="a config", config={})


def test_everybody_of_the_team_sees_its_rows(config: SavedConfig, owner: User, teammate: User, viewer: User) -> None:
    for user in (owner, teammate, viewer):
        assert access.get_or_404(SavedConfig, user, config.pk) == config


def test_an_outsider_gets_404(config: SavedConfig, outsider: User) -> None:
    with pytest.raises(Http404):
        access.get_or_404(SavedConfig, outsider, config.pk)


def test_somebody_not_signed_in_gets_404(config: SavedConfig) -> None:
    with pytest.raises(Http404):
        access.get_or_404(SavedConfig, AnonymousUser(), config.pk)


def test_a_superuser_of_another_team_gets_404_like_anybody(config: SavedConfig, outsider: User) -> None:
    outsider.is_superuser = True
    outsider.save()
    with pytest.raises(Http404):
        access.get_or_404(SavedConfig, outsider, config.pk)


@pytest.mark.parametrize("pk", ["nonsense", "00000000-0000-0000-0000-000000000000", ""])
def test_an_id_that_names_nothing_gives_404(owner: User, pk: str) -> None:
    with pytest.raises(Http404):
        access.get_or_404(SavedConfig, owner, pk)


def test_a_viewer_may_not_change_what_he_sees(config: SavedConfig, viewer: User) -> None:
    with pytest.raises(PermissionDenied, match="at least member"):
        access.get_or_404(SavedConfig, viewer, config.pk, Role.MEMBER)


def test_roles_include_the_weaker_ones(team: Team, owner: User, teammate: User, viewer: User) -> None:
    allowed = {
        user.username: [role for role in Role.values if access.may(user, team, role)]
        for user in (owner, teammate, viewer)
    }
    assert allowed == {
        "charlie": ["viewer", "member", "owner"],
        "bob": ["viewer", "member"],
        "vera": ["viewer"],
    }


def test_new_rows_go_to_the_first_team_in_which_the_role_suffices(viewer: User) -> None:
    second = Team.objects.create(name="Vera's own")
    Membership.objects.create(team=second, user=viewer, role=Role.OWNER)
    assert access.current_team(viewer).name == "Charlie's team"
    assert access.current_team(viewer, Role.MEMBER) == second


def test_a_viewer_has_no_team_to_make_rows_in(viewer: User) -> None:
    with pytest.raises(PermissionDenied, match="role member"):
        access.current_team(viewer, Role.MEMBER)


def test_a_user_without_a_team_is_told_whom_to_ask(db: None) -> None:
    with pytest.raises(PermissionDenied, match="ask an owner"):
        access.current_team(User.objects.create_user("newcomer"))


def test_a_superuser_without_a_team_owns_the_default_team_from_his_first_use(db: None) -> None:
    admin = User.objects.create_superuser("admin")
    team = access.current_team(admin, Role.MEMBER)
    assert team.name == "Default team"
    assert access.may(admin, team, Role.OWNER)
    assert access.current_team(admin) == team
