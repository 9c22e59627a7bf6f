"""Names of sessions, and what their files take."""

import pytest
from django.urls import reverse

from tests.training.factories import make_session
from training import keeping
from training.choices import Status


@pytest.fixture
def session(team):
    return make_session(team, Status.TRAINING, name="First try")


def renamed(client, session, name):
    reply = client.post(reverse("training:rename", args=[session.pk]), {"name": name}, follow=True)
    session.refresh_from_db()
    return reply.content.decode()


def test_a_session_is_renamed_while_it_trains(teammate_client, session):
    page = renamed(teammate_client, session, "  Sums,\n second  try ")
    assert session.name == "Sums, second try" and session.status == Status.TRAINING and session.name in page


@pytest.mark.parametrize(("name", "said"), [("  ", "needs a name"), ("x" * 201, "this one has 201")])
def test_a_bad_name_changes_nothing_and_is_explained(owner_client, session, name, said):
    assert said in renamed(owner_client, session, name) and session.name == "First try"


def test_only_members_of_its_team_rename_it(outsider_client, viewer_client, session):
    address = reverse("training:rename", args=[session.pk])
    assert outsider_client.post(address, {"name": "mine"}).status_code == 404
    assert viewer_client.post(address, {"name": "mine"}).status_code == 403
    page = viewer_client.get(reverse("training:session", args=[session.pk])).content.decode()
    assert 'data-opens="rename"' not in page


def test_what_deleting_frees_is_said_before(owner_client, team, settings, tmp_path):
    settings.OUTPUTS_DIR, settings.EXPORTS_DIR = tmp_path / "outputs", tmp_path / "exports"
    session = make_session(team, Status.COMPLETED)
    (session.folder / "checkpoints").mkdir(parents=True)
    (session.folder / "checkpoints" / "weights").write_bytes(bytes(3_000_000))
    exported = tmp_path / "exports" / str(session.pk)
    exported.mkdir(parents=True)
    (exported / "model.gguf").write_bytes(bytes(2_000_000))
    assert keeping.bytes_on_disk(session) >= 5_000_000
    page = owner_client.get(reverse("training:session", args=[session.pk])).content.decode()
    assert "are removed: 5.0 MB on disk" in page


def test_the_api_renames_and_refuses_in_the_same_words(owner_client, outsider_client, viewer_client, session):
    def patch(client, name):
        return client.patch(f"/api/training/sessions/{session.pk}", {"name": name}, content_type="application/json")

    assert patch(owner_client, "By script").json()["name"] == "By script"
    refused = patch(owner_client, " ")
    assert refused.status_code == 400 and "A session needs a name. It keeps the one it had." in refused.content.decode()
    assert patch(outsider_client, "x").status_code == 404 and patch(viewer_client, "x").status_code == 403
