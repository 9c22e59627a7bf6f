"""The team's keys for judge models: saved by owners, seen by their ending, one for each address."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import secrets
from accounts.models import Team, TeamSecret

pytestmark = pytest.mark.django_db
KEY, API = "sk-aVerySecretKeyOf1234", "/api/team/judge-keys"
ENDPOINT, NAME = "https://judge.example.org/v1", "judge https://judge.example.org"
SAVE, REMOVE = "team-judge-key", "team-judge-key-remove"


@pytest.fixture
def stored(team: Team, owner: User) -> TeamSecret:
    return secrets.save(team, owner, secrets.judge_key(ENDPOINT), KEY)


def put(client: Client, endpoint: Any = ENDPOINT, key: Any = KEY) -> Any:
    return client.put(API, {"endpoint": endpoint, "key": key}, content_type="application/json")


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("https://judge.example.org/v1/chat/completions", NAME),
        ("HTTPS://JUDGE.example.org:443", NAME),
        ("https://judge.example.org:8443/v1", f"{NAME}:8443"),
        ("http://judge.example.org/v1", "judge http://judge.example.org"),
        ("http://127.0.0.1:11434/v1", "judge http://127.0.0.1:11434"),
    ],
)
def test_a_key_belongs_to_scheme_host_and_port(endpoint: str, name: str) -> None:
    assert secrets.judge_key(endpoint) == name


def test_keys_of_different_hosts_do_not_replace_each_other(team: Team, stored: TeamSecret) -> None:
    secrets.save(team, None, secrets.judge_key("https://other.example.org"), "sk-another-one")
    secrets.save(team, None, secrets.HUGGINGFACE, "hf_and_a_token")
    assert secrets.value_of(team, NAME) == KEY
    assert [key.name for key in secrets.judge_keys(team)] == [NAME, "judge https://other.example.org"]


@pytest.mark.parametrize(
    "name", ["judge", "judge ", "judge https://a.example/path", "judge HTTPS://a.example", "other"]
)
def test_only_names_of_addresses_are_names_of_keys(team: Team, name: str) -> None:
    with pytest.raises(secrets.SecretProblem):
        secrets.save(team, None, name, KEY)


def test_a_team_has_only_so_many(team: Team, monkeypatch: pytest.MonkeyPatch, stored: TeamSecret) -> None:
    monkeypatch.setattr(secrets, "MOST_JUDGES", 1)
    with pytest.raises(secrets.SecretProblem, match="at most 1 keys"):
        secrets.save(team, None, secrets.judge_key("https://other.example.org"), KEY)
    secrets.save(team, None, NAME, "sk-in-its-place")


def test_a_key_that_can_not_be_read_any_more_names_its_host(team: Team, stored: TeamSecret, settings: Any) -> None:
    settings.SECRET_KEY = "another key"
    with pytest.raises(secrets.SecretProblem, match=r"The key for https://judge\.example\.org of Charlie"):
        secrets.value_of(team, NAME)


# The page


def test_an_owner_saves_and_removes_a_key_and_never_sees_it_again(owner_client: Client, team: Team) -> None:
    form = {"endpoint": ENDPOINT, "key": f" {KEY}\n"}
    page = owner_client.post(reverse(SAVE), form, follow=True).content.decode()
    assert KEY not in page
    assert "https://judge.example.org" in page and "…1234" in page and "charlie" in page
    assert secrets.value_of(team, NAME) == KEY
    owner_client.post(reverse(REMOVE), {"endpoint": "https://judge.example.org"})
    assert not TeamSecret.objects.exists()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"endpoint": ENDPOINT, "key": "with a space"}, "Copy it again"),
        ({"endpoint": ENDPOINT, "key": "short"}, "8 to 500 characters"),
        ({"endpoint": ENDPOINT}, "8 to 500 characters"),
        ({"endpoint": "example.org", "key": KEY}, "https://host/path"),
        ({"endpoint": "https://me:hidden-pass@example.org", "key": KEY}, "Leave name and password out"),
        ({"key": KEY}, "https://host/path"),
    ],
)
def test_a_mistake_is_said_and_no_secret_is_shown_again(
    owner_client: Client, form: dict[str, str], message: str
) -> None:
    answer = owner_client.post(reverse(SAVE), form)
    page = answer.content.decode()
    assert answer.status_code == 400
    assert message in page
    assert KEY not in page and "hidden-pass" not in page and "with a space" not in page
    assert not TeamSecret.objects.exists()


def test_removing_what_is_no_address_is_said(owner_client: Client) -> None:
    assert owner_client.post(reverse(REMOVE), {"endpoint": "x y"}).status_code == 400
    assert owner_client.post(reverse(REMOVE), {"endpoint": ENDPOINT}).status_code == 302


def test_the_page_says_which_key_can_not_be_read_any_more(owner_client: Client, stored: TeamSecret) -> None:
    stored.ciphertext = secrets.Fernet(secrets.Fernet.generate_key()).encrypt(b"x").decode()
    stored.save()
    assert "It can't be read any more" in owner_client.get(reverse("team")).content.decode()


@pytest.mark.parametrize("name", [SAVE, REMOVE])
def test_a_member_and_a_viewer_may_not_change_it(
    teammate_client: Client, viewer_client: Client, stored: TeamSecret, team: Team, name: str
) -> None:
    for client in (teammate_client, viewer_client):
        assert client.post(reverse(name), {"endpoint": ENDPOINT, "key": "sk-mine-instead"}).status_code == 403
    assert secrets.value_of(team, NAME) == KEY


def test_a_member_and_a_viewer_see_it_without_the_form(
    teammate_client: Client, viewer_client: Client, stored: TeamSecret
) -> None:
    for client in (teammate_client, viewer_client):
        page = client.get(reverse("team")).content.decode()
        assert "https://judge.example.org" in page
        assert 'name="key"' not in page and reverse(REMOVE) not in page


def test_an_outsider_sees_and_changes_only_the_own_team(
    outsider_client: Client, stored: TeamSecret, team: Team
) -> None:
    assert "judge.example.org" not in outsider_client.get(reverse("team")).content.decode()
    outsider_client.post(reverse(REMOVE), {"endpoint": ENDPOINT})
    outsider_client.post(reverse(SAVE), {"endpoint": ENDPOINT, "key": "sk-of-the-others"})
    assert secrets.value_of(team, NAME) == KEY


def test_the_page_asks_the_database_as_often_for_many_keys(
    owner_client: Client, team: Team, stored: TeamSecret
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            owner_client.get(reverse("team"))
        return len(asked)

    before = queries()
    for number in range(9):
        secrets.save(team, None, secrets.judge_key(f"https://{number}.example.org"), KEY)
    assert queries() == before


def test_the_admin_shows_no_value(admin_client: Client, stored: TeamSecret) -> None:
    page = admin_client.get(reverse("admin:accounts_teamsecret_change", args=[stored.pk])).content.decode()
    assert NAME in page
    assert stored.ciphertext not in page and KEY not in page


@pytest.mark.parametrize("name", [SAVE, REMOVE])
def test_nobody_who_is_not_signed_in_changes_it(client: Client, stored: TeamSecret, name: str) -> None:
    assert client.post(reverse(name), {"endpoint": ENDPOINT, "key": KEY}).status_code == 302
    assert TeamSecret.objects.count() == 1


# The API


def test_over_the_api_a_key_is_saved_listed_by_its_ending_and_removed(
    owner_client: Client, viewer_client: Client
) -> None:
    assert owner_client.get(API).json() == {"team": "Charlie's team", "keys": []}
    for answer in (put(owner_client, key=f" {KEY}\n"), owner_client.get(API), viewer_client.get(API)):
        assert KEY not in answer.content.decode()
        (found,) = answer.json()["keys"]
        assert (found["endpoint"], found["ending"], found["saved_by"]) == (
            "https://judge.example.org",
            "1234",
            "charlie",
        )
        assert found["readable"] is True
    for _ in range(2):
        assert owner_client.delete(f"{API}?endpoint={ENDPOINT}").status_code == 204
    assert owner_client.get(API).json()["keys"] == []


@pytest.mark.parametrize(
    ("endpoint", "key", "field"),
    [
        (ENDPOINT, "", "key"),
        (ENDPOINT, None, "key"),
        (ENDPOINT, "with space in it", "key"),
        (ENDPOINT, {"a": 1}, "key"),
        ("", KEY, "endpoint"),
        (None, KEY, "endpoint"),
        (["x"], KEY, "endpoint"),
        ("https://me:pass@example.org", KEY, "endpoint"),
    ],
)
def test_over_the_api_a_mistake_names_its_field_and_repeats_nothing(
    owner_client: Client, endpoint: Any, key: Any, field: str
) -> None:
    response = put(owner_client, endpoint, key)
    assert response.status_code == 400
    assert list(response.json()["fields"]) == [field]
    assert KEY not in response.content.decode() and "pass@" not in response.content.decode()
    assert not TeamSecret.objects.exists()


def test_over_the_api_a_removal_needs_an_address(owner_client: Client) -> None:
    assert list(owner_client.delete(API).json()["fields"]) == ["endpoint"]


def test_over_the_api_only_an_owner_changes_keys(
    teammate_client: Client, viewer_client: Client, stored: TeamSecret
) -> None:
    for client in (teammate_client, viewer_client):
        assert put(client, key="sk-mine-instead").status_code == 403
        assert client.delete(f"{API}?endpoint={ENDPOINT}").status_code == 403


def test_over_the_api_an_outsider_has_keys_of_the_own_team(
    outsider_client: Client, stored: TeamSecret, team: Team
) -> None:
    assert outsider_client.get(API).json()["keys"] == []
    put(outsider_client, key="sk-of-the-others")
    outsider_client.delete(f"{API}?endpoint={ENDPOINT}")
    assert secrets.value_of(team, NAME) == KEY
