"""The list of sessions: what is found, tags, the archive, and what is done to several at once."""

from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse

from tests.training.factories import make_events, make_session
from training import lifecycle, overview, tags
from training.choices import ACTIVE, Status
from training.models import CatalogueModel, Event, Session, Tag

LIST, SEVERAL = "/sessions/", "/sessions/several/"


@pytest.fixture
def sums(team, owner):
    return make_session(team, Status.COMPLETED, by=owner, name="Sums")


@pytest.fixture
def words(team, teammate):
    config = {"model": {"name": "Qwen/Qwen3-4B"}, "dataset": {"source": "acme/poems"}}
    return make_session(team, Status.DRAFT, by=teammate, name="Words", config=config, dataset_version=None)


@pytest.fixture
def theirs(outsider):
    return make_session(outsider.teams.get(), Status.COMPLETED, by=outsider, name="Sums of others")


def names(client, **query):
    return sorted(row.session.name for row in client.get(LIST, query).context["rows"])


def send(client, action, *sessions, **more):
    return client.post(SEVERAL, {"action": action, "session": [str(s.pk) for s in sessions], **more})


def tags_of(session):
    return [tag.name for tag in session.tags.all()]


# What is found


@pytest.mark.parametrize("text", ["words", "qwen3-4b", "POEMS", "verse", "bob", "bob poems", "qwen3 4b words"])
def test_one_is_found_by_name_model_dataset_tag_and_owner(owner_client, sums, words, theirs, teammate, text):
    CatalogueModel.objects.update_or_create(hub_id="Qwen/Qwen3-4B", defaults={"name": "Qwen3 4B"})
    tags.replace(words, None, ["verse"])
    assert teammate.username == "bob"
    assert names(owner_client, q=text) == ["Words"]


def test_a_dataset_is_found_by_its_name_where_the_config_has_its_id(owner_client, sums, words):
    dataset = sums.dataset_version.dataset
    dataset.name = "Arithmetic"
    dataset.save()
    draft = make_session(sums.team, Status.DRAFT, name="New", config={"dataset": {"source": str(dataset.pk)}},
                         dataset_version=None)  # fmt: skip
    assert names(owner_client, q="arithm") == ["New", "Sums"]
    assert names(owner_client, q=str(dataset.pk)[:8]) == []
    assert draft.dataset_version is None


def test_mine_and_those_of_others(owner_client, sums, words):
    assert names(owner_client, owner="me") == ["Sums"]
    assert names(owner_client, owner="bob") == ["Words"]
    page = owner_client.get(LIST).context
    assert page["owners"] == ["bob"]


def test_by_duration(owner_client, team, sums, words):
    long = make_session(team, Status.COMPLETED, name="Long")
    Session.objects.filter(pk=long.pk).update(started_at="2020-01-01T00:00Z")
    rows = [row.session.name for row in owner_client.get(LIST, {"sort": "-duration"}).context["rows"]]
    assert rows == ["Long", "Sums", "Words"]


def test_a_curve_is_drawn_and_kept_once_the_session_ended(owner_client, team, django_assert_num_queries):
    session = make_events(make_session(team, Status.COMPLETED), 40, system=False)
    [row] = owner_client.get(LIST).context["rows"]
    assert len(row.rewards) > 20
    session.refresh_from_db()
    assert len(session.curve) == len(row.rewards)
    Event.objects.all().delete()
    assert overview.curve(session) == session.curve
    assert "Reward over the steps" in owner_client.get(LIST).content.decode()


def test_a_session_that_goes_on_gets_a_new_curve(team, owner, config, dataset):
    session = lifecycle.create_draft(team, owner, "Sums", config)
    Session.objects.filter(pk=session.pk).update(curve=[1.0, 2.0], archived_at="2026-01-01T00:00Z")
    assert lifecycle.start(session, owner)
    session.refresh_from_db()
    assert session.curve is None and session.archived_at is None


# Tags


def test_tags_are_words_in_lower_case_each_once(sums):
    tags.replace(sums, None, ["Baseline", " long   answers,#baseline,", ""])
    assert tags_of(sums) == ["baseline", "long answers"]
    tags.replace(sums, None, [])
    assert not Tag.objects.exists()


def test_limits_of_tags_are_named_and_change_nothing(sums, owner_client):
    tags.replace(sums, None, ["kept"])
    with pytest.raises(tags.BadTags, match=r"at most 30 characters; “x{30}…” has 31"):
        tags.replace(sums, None, ["x" * 31])
    with pytest.raises(tags.BadTags, match="at most 12 tags; “Sums” would have 13"):
        tags.replace(sums, None, [str(n) for n in range(13)])
    page = owner_client.post(reverse("training:tags", args=[sums.pk]), {"tags": "y" * 31}, follow=True)
    assert "at most 30 characters" in page.content.decode()
    assert tags_of(sums) == ["kept"]


def test_several_are_tagged_or_none(owner_client, sums, words):
    assert send(owner_client, "tag", sums, words, tags="night, verse").status_code == 302
    assert tags_of(sums) == tags_of(words) == ["night", "verse"]
    assert names(owner_client, tag="night") == ["Sums", "Words"]
    tags.replace(sums, None, [str(n) for n in range(12)])
    send(owner_client, "tag", sums, words, tags="one more")
    assert "one more" not in tags_of(words)
    send(owner_client, "untag", sums, words, tags="night, 0")
    assert tags_of(words) == ["verse"] and "0" not in tags_of(sums)


def test_a_copy_has_the_tags(sums, owner):
    tags.replace(sums, None, ["verse"])
    assert tags_of(lifecycle.clone(sums, owner)) == ["verse"]


def test_teams_do_not_share_tags(outsider_client, sums, theirs):
    tags.replace(sums, None, ["verse"])
    tags.replace(theirs, None, ["verse"])
    assert Tag.objects.count() == 2
    assert outsider_client.get(LIST).context["tags"] == ["verse"]
    tags.replace(theirs, None, [])
    assert outsider_client.get(LIST).context["tags"] == []


# The archive


def test_what_is_archived_leaves_the_lists_and_comes_back_by_undo(owner_client, sums, words):
    page = owner_client.post(SEVERAL, {"action": "archive", "session": str(sums.pk), "next": LIST}, follow=True)
    text = page.content.decode()
    assert "1 session archived." in text and "Undo" in text and 'value="restore"' in text
    assert names(owner_client) == ["Words"]
    assert names(owner_client, status="archived") == ["Sums"]
    assert "Sums" not in owner_client.get(reverse("training:recent")).content.decode()
    assert "Sums" not in owner_client.get(reverse("exports:models")).content.decode()
    assert "Archived" in owner_client.get(reverse("training:session", args=[sums.pk])).content.decode()
    send(owner_client, "restore", sums)
    assert names(owner_client) == ["Sums", "Words"]


def test_all_archived_is_said_with_the_way_there(owner_client, sums):
    send(owner_client, "archive", sums)
    text = owner_client.get(LIST).content.decode()
    assert "All sessions are archived" in text and "?status=archived" in text


@pytest.mark.parametrize("status", ACTIVE)
def test_what_runs_or_waits_stays(owner_client, team, status):
    session = make_session(team, status)
    text = owner_client.post(SEVERAL, {"action": "archive", "session": str(session.pk)}, follow=True).content.decode()
    assert "1 session still in the list" in text
    session.refresh_from_db()
    assert session.archived_at is None


# Deleting several


def test_deleting_says_first_how_much_and_what_stays(
    owner_client, team, sums, words, django_capture_on_commit_callbacks
):
    busy = make_session(team, Status.TRAINING, name="Busy")
    sums.folder.mkdir(parents=True)
    (sums.folder / "weights").write_bytes(bytes(3_000_000))
    text = send(owner_client, "delete", sums, words, busy).content.decode()
    assert "Delete 2 sessions?" in text and "3.0 MB" in text and "“Busy” runs or waits" in text
    assert Session.objects.count() == 3
    with django_capture_on_commit_callbacks(execute=True):
        send(owner_client, "delete", sums, words, busy, confirmed="yes")
    assert [row.name for row in Session.objects.all()] == ["Busy"]
    assert not (Path(settings.OUTPUTS_DIR) / str(sums.pk)).exists()


# Who may


@pytest.mark.parametrize("action", ["archive", "restore", "tag", "untag", "delete"])
def test_outsiders_find_nothing_and_viewers_change_nothing(outsider_client, viewer_client, sums, action):
    for data in ({}, {"confirmed": "yes", "tags": "x"}):
        assert send(outsider_client, action, sums, **data).status_code == 404
        assert send(viewer_client, action, sums, **data).status_code == 403
    assert Session.objects.filter(pk=sums.pk, archived_at=None, tags=None).exists()
    assert "data-all" not in viewer_client.get(LIST).content.decode()


def test_one_foreign_session_among_several_refuses_all(owner_client, sums, theirs):
    assert send(owner_client, "archive", sums, theirs).status_code == 404
    assert names(owner_client) == ["Sums"]


def test_tags_of_one_session_are_changed_by_members(outsider_client, viewer_client, teammate_client, sums):
    path = reverse("training:tags", args=[sums.pk])
    codes = [c.post(path, {"tags": "verse"}).status_code for c in (outsider_client, viewer_client, teammate_client)]
    assert codes == [404, 403, 302]
    assert tags_of(sums) == ["verse"]


@pytest.mark.parametrize(("data", "code"), [({"action": "burn"}, 400), ({"action": "archive", "session": "x"}, 404)])
def test_wrong_words_are_refused(owner_client, sums, data, code):
    assert owner_client.post(SEVERAL, data).status_code == code


def test_a_target_elsewhere_is_not_followed(owner_client, sums):
    assert send(owner_client, "archive", sums, next="https://example.org/").url == LIST


# Over the API


def test_the_api_finds_tags_and_archives(owner_client, viewer_client, sums, words):
    def patch(client, **data):
        return client.patch(f"/api/training/sessions/{sums.pk}", data, content_type="application/json")

    assert patch(owner_client, tags=["Verse"], archived=True).json()["archived"] is True
    listed = owner_client.get("/api/training/sessions", {"status": "archived", "tag": "verse"}).json()["sessions"]
    assert [(row["name"], row["tags"]) for row in listed] == [("Sums", ["verse"])]
    assert [row["name"] for row in owner_client.get("/api/training/sessions").json()["sessions"]] == ["Words"]
    assert patch(owner_client, name="New", tags=["x" * 31]).json()["fields"]["tags"]
    sums.refresh_from_db()
    assert sums.name == "Sums"
    assert patch(viewer_client, tags=[]).status_code == 403
    Session.objects.filter(pk=sums.pk).update(status=Status.QUEUED, archived_at=None)
    assert "stop it first" in str(patch(owner_client, archived=True).json())
