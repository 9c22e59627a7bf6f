from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from knox.models import AuthToken

from accounts.models import Membership, Role

pytestmark = pytest.mark.django_db


def printed(*argv: str) -> str:
    out = StringIO()
    call_command(*argv, stdout=out)
    return out.getvalue()


@pytest.fixture(autouse=True)
def no_password_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LORACRAFT_PASSWORD", raising=False)


def test_create_user_prints_a_random_password_that_works() -> None:
    words = printed("create_user", "alice").split()
    assert Client().login(username="alice", password=words[-1])
    assert printed("create_user", "bob").split()[-1] != words[-1]


def test_create_user_takes_the_password_of_the_environment_and_never_prints_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LORACRAFT_PASSWORD", "from-outside")
    assert "from-outside" not in printed("create_user", "alice")
    assert Client().login(username="alice", password="from-outside")


def test_create_user_makes_the_team_and_gives_the_role() -> None:
    printed("create_user", "alice", "--team", "Research", "--role", "viewer")
    membership = Membership.objects.get(user__username="alice")
    assert (membership.team.name, membership.role) == ("Research", Role.VIEWER)


def test_create_user_twice_adds_a_team_and_keeps_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORACRAFT_PASSWORD", "from-outside")
    printed("create_user", "alice", "--team", "One")
    monkeypatch.delenv("LORACRAFT_PASSWORD")
    assert "Password" not in printed("create_user", "alice", "--team", "Two")
    assert Client().login(username="alice", password="from-outside")
    assert Membership.objects.filter(user__username="alice").count() == 2


def test_create_user_superuser_owns_the_team_and_opens_the_admin() -> None:
    printed("create_user", "root", "--superuser")
    user = User.objects.get(username="root")
    assert Membership.objects.get(user=user).role == Role.OWNER
    client = Client()
    client.force_login(user)
    for page in ("", "accounts/team/", "accounts/membership/", "knox/authtoken/"):
        assert client.get(f"/admin/{page}").status_code == 200
    assert client.get("/admin/knox/authtoken/add/").status_code == 403


@pytest.mark.parametrize("argv", [["two words"], [""], ["alice", "--role", "king"]])
def test_create_user_says_what_is_wrong_with_its_arguments(argv: list[str]) -> None:
    with pytest.raises(CommandError):
        printed("create_user", *argv)
    assert not User.objects.exists()


def test_create_api_token_prints_the_token_alone_and_stores_only_its_hash() -> None:
    User.objects.create_user("alice")
    token = printed("create_api_token", "alice").removesuffix("\n")
    assert token.isalnum() and len(token) >= 32
    stored = AuthToken.objects.get()
    assert token not in (stored.digest, stored.token_key)
    assert stored.user.username == "alice"


def test_several_tokens_of_a_user_stay_valid_together() -> None:
    User.objects.create_user("alice")
    tokens = {printed("create_api_token", "alice") for _ in range(3)}
    assert len(tokens) == AuthToken.objects.count() == 3


def test_create_api_token_for_nobody_says_how_to_make_a_user() -> None:
    with pytest.raises(CommandError, match="create_user"):
        printed("create_api_token", "nobody")
