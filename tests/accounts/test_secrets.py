from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from accounts import secrets
from accounts.models import Team, TeamSecret

pytestmark = pytest.mark.django_db
TOKEN = "hf_aVerySecretTokenOf1234"


def test_a_secret_comes_back_as_it_was_and_lies_encrypted(team: Team, owner: User) -> None:
    stored = secrets.save(team, owner, secrets.HUGGINGFACE, f" {TOKEN}\n")
    assert secrets.value_of(team, secrets.HUGGINGFACE) == TOKEN
    assert TOKEN not in stored.ciphertext
    assert (stored.ending, stored.saved_by) == ("1234", owner)


def test_another_team_has_none(team: Team, outsider: User) -> None:
    secrets.save(team, None, secrets.HUGGINGFACE, TOKEN)
    assert secrets.value_of(outsider.teams.get(), secrets.HUGGINGFACE) == ""  # type: ignore[attr-defined]


def test_saving_again_replaces_it(team: Team, owner: User) -> None:
    secrets.save(team, None, secrets.HUGGINGFACE, TOKEN)
    secrets.save(team, owner, secrets.HUGGINGFACE, "hf_another5678")
    assert secrets.value_of(team, secrets.HUGGINGFACE) == "hf_another5678"
    assert TeamSecret.objects.get().saved_by == owner


@pytest.mark.parametrize("value", ["", "short", "hf_two\nlines_here", "hf_with a space", "hf_ünicode_token", "x" * 501])
def test_what_can_be_no_token_is_refused(team: Team, value: str) -> None:
    with pytest.raises(secrets.SecretProblem, match="Copy it again"):
        secrets.save(team, None, secrets.HUGGINGFACE, value)
    assert not TeamSecret.objects.exists()


def test_after_the_secret_key_changed_it_has_to_be_entered_again(team: Team, settings: Any) -> None:
    secrets.save(team, None, secrets.HUGGINGFACE, TOKEN)
    settings.SECRET_KEY = "another key"
    with pytest.raises(secrets.SecretProblem, match="enter it again"):
        secrets.value_of(team, secrets.HUGGINGFACE)
    secrets.save(team, None, secrets.HUGGINGFACE, TOKEN)
    assert secrets.value_of(team, secrets.HUGGINGFACE) == TOKEN


def test_an_owner_saves_and_removes_it_and_never_sees_it_again(owner_client: Client, team: Team) -> None:
    page = owner_client.post(reverse("team-token"), {"token": TOKEN}, follow=True).content.decode()
    assert TOKEN not in page
    assert "…1234" in page.replace("&hellip;", "…")
    assert "charlie" in page
    owner_client.post(reverse("team-token-remove"))
    assert not TeamSecret.objects.exists()


def test_a_wrong_token_is_said_on_its_field_and_not_shown(owner_client: Client) -> None:
    answer = owner_client.post(reverse("team-token"), {"token": "hf_with a space"})
    assert answer.status_code == 400
    assert "Copy it again" in answer.content.decode()
    assert "hf_with a space" not in answer.content.decode()


def test_the_page_says_when_it_can_not_be_read_any_more(owner_client: Client, team: Team) -> None:
    secrets.save(team, None, secrets.HUGGINGFACE, TOKEN)
    stored = TeamSecret.objects.get()
    stored.ciphertext = secrets.Fernet(secrets.Fernet.generate_key()).encrypt(b"x").decode()
    stored.save()
    assert "Enter it again" in owner_client.get(reverse("team")).content.decode()


@pytest.mark.parametrize("name", ["team-token", "team-token-remove"])
def test_a_member_and_a_viewer_may_not_change_it(
    teammate_client: Client, viewer_client: Client, team: Team, name: str
) -> None:
    secrets.save(team, None, secrets.HUGGINGFACE, TOKEN)
    for client in (teammate_client, viewer_client):
        assert client.post(reverse(name), {"token": "hf_mine_instead"}).status_code == 403
    assert secrets.value_of(team, secrets.HUGGINGFACE) == TOKEN


def test_a_member_and_a_viewer_see_the_page_without_the_form(teammate_client: Client, viewer_client: Client) -> None:
    for client in (teammate_client, viewer_client):
        page = client.get(reverse("team")).content.decode()
        assert "Charlie&#x27;s team" in page
        assert 'name="token"' not in page


def test_an_outsider_sees_and_changes_only_the_own_team(outsider_client: Client, team: Team) -> None:
    secrets.save(team, None, secrets.HUGGINGFACE, TOKEN)
    assert "1234" not in outsider_client.get(reverse("team")).content.decode()
    outsider_client.post(reverse("team-token-remove"))
    outsider_client.post(reverse("team-token"), {"token": "hf_of_the_others"})
    assert secrets.value_of(team, secrets.HUGGINGFACE) == TOKEN


def test_the_admin_shows_no_value(admin_client: Client, team: Team) -> None:
    stored = secrets.save(team, None, secrets.HUGGINGFACE, TOKEN)
    page = admin_client.get(reverse("admin:accounts_teamsecret_change", args=[stored.pk])).content.decode()
    assert "1234" in page
    assert stored.ciphertext not in page
    assert TOKEN not in page


def test_nobody_who_is_not_signed_in_gets_the_page(client: Client) -> None:
    assert client.get(reverse("team")).status_code == 302
