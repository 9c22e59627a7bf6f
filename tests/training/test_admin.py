import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.conftest import signed_in
from training import queue, slots
from training.models import CatalogueModel, Event, Preflight, QueuePause, SavedConfig, Session


@pytest.fixture
def operator(db):
    return signed_in(User.objects.create_superuser("ada", password="a long password"))


def act(client, action, session):
    path = "/admin/training/session/"
    return client.post(path, {"action": action, "_selected_action": [str(session.pk)]}, follow=True)


@pytest.mark.parametrize(
    "name", ["session", "event", "cataloguemodel", "savedconfig", "preflight", "worker", "queuepause"]
)
def test_every_list_opens_for_operators_only(operator, owner_client, outsider_client, queued, name):
    Event.objects.create(session=queued, seq=1, attempt=1, kind="log", created_at=timezone.now())
    SavedConfig.objects.create(team=queued.team, name="x", config={})
    Preflight.objects.create(team=queued.team, session=queued)
    slots.beat()
    queue.pause(None, None)
    path = f"/admin/training/{name}/"
    assert operator.get(path).status_code == 200
    for client in (owner_client, outsider_client, Client()):
        assert client.get(path).status_code == 302


def test_the_queue_is_paused_there_once(operator):
    replies = [operator.post("/admin/training/queuepause/add/", {"team": "", "reason": "new disk"}) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [302, 200]
    assert str(QueuePause.objects.get().by) == "ada"
    operator.post(f"/admin/training/queuepause/{QueuePause.objects.get().pk}/delete/", {"post": "yes"})
    assert not QueuePause.objects.exists()


def test_the_catalogue_is_edited_there(operator):
    row = CatalogueModel.objects.get(name="Qwen3 4B")
    form = operator.get(f"/admin/training/cataloguemodel/{row.pk}/change/")
    values = {**form.context["adminform"].form.initial, "vram_gb": 17}
    operator.post(f"/admin/training/cataloguemodel/{row.pk}/change/", values)
    row.refresh_from_db()
    assert row.vram_gb == 17


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('{"training": {"top_p": 7}}', "training.top_p: Write 1 or less."),
        ('{"training": {"topp": 0.5}}', "training.topp: There is no such setting"),
        ("[1]", "one JSON object"),
    ],
)
def test_a_saved_config_that_is_wrong_is_refused_there_too(operator, team, config, words):
    saved = SavedConfig.objects.create(team=team, name="x", config={"training": {"top_p": 0.5}})
    address = f"/admin/training/savedconfig/{saved.pk}/change/"
    values = {"team": team.pk, "name": "x", "config": config}
    assert words in operator.post(address, values).content.decode().replace("&quot;", '"')
    saved.refresh_from_db()
    assert saved.config == {"training": {"top_p": 0.5}}
    assert operator.post(address, {**values, "config": '{"training": {"top_p": 0.6}}'}).status_code == 302
    saved.refresh_from_db()
    assert saved.config == {"training": {"top_p": 0.6}}


def test_what_happened_can_only_be_read(operator, queued):
    assert operator.get("/admin/training/session/add/").status_code == 403
    page = operator.get(f"/admin/training/session/{queued.pk}/change/")
    assert page.status_code == 200 and not page.context["has_change_permission"]
    operator.post(f"/admin/training/session/{queued.pk}/change/", {"status": "completed"})
    assert operator.post(f"/admin/training/session/{queued.pk}/delete/", {"post": "yes"}).status_code == 403
    queued.refresh_from_db()
    assert queued.status == "queued"


def test_an_operator_stops_resumes_and_requeues_with_the_verbs(operator, queued):
    Session.objects.filter(pk=queued.pk).update(status="training", worker="elsewhere/1/1", attempt=1)
    assert b"asked to stop" in act(operator, "stop", queued).content
    assert b"queued again" in act(operator, "requeue", queued).content
    queued.refresh_from_db()
    assert (queued.status, queued.worker) == ("queued", "")
    assert b"it is queued" in act(operator, "resume", queued).content
    Session.objects.filter(pk=queued.pk).update(status="failed")
    assert b"resumed" in act(operator, "resume", queued).content
