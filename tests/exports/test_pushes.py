"""An export goes to the hub through huggingface_hub's own upload code, to a server on this machine."""

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from huggingface_hub.errors import HfHubHTTPError

from accounts import secrets
from exports import building, checks, pushes, pushing
from exports.models import Check, Export, Push, Verdict
from exports.problems import ExportProblem
from exports.tasks import PUSHES
from jobs import running
from jobs.choices import JobStatus
from tests.exports.test_jobs import Worker, child_of, eventually
from tests.exports.upload_server import UploadHub
from training.models import Session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("rung")]
TOKEN = "hf_of_the_team_4711"
WEIGHTS = b"weights" * 40_000


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadHub]:
    with UploadHub(TOKEN) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        # This server has no such storage; the hub says by itself which it wants.
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.setenv("HF_TOKEN", "hf_of_whoever_runs_the_server")
        yield hub


@pytest.fixture
def export(session: Session, owner: User) -> Export:
    secrets.save(session.team, owner, secrets.HUGGINGFACE, TOKEN)
    export = building.create(session, None, "adapter")
    folder = building.artefact_folder(export)
    folder.mkdir(parents=True)
    contents = {"adapter_model.safetensors": WEIGHTS, "README.md": b"# Card"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = [{"name": name, "size": len(content), "sha256": ""} for name, content in contents.items()]
    Export.objects.filter(pk=export.pk).update(
        status=JobStatus.READY, files=files, file=folder.name, size=sum(map(len, contents.values()))
    )
    export.refresh_from_db()
    return export


def pushed(push: Push) -> Push:
    assert running.run(PUSHES, str(push.pk))
    push.refresh_from_db()
    return push


def test_all_files_arrive_in_a_new_private_repository_in_one_commit(export: Export, hub: UploadHub) -> None:
    push = pushed(pushes.start(export, None, "charlie/sums", private=True))
    assert push.status == JobStatus.READY, push.error
    assert push.url == f"{hub.url}/charlie/sums"
    repo = hub.repos["charlie/sums"]
    assert repo["private"] is True
    assert repo["files"] == {"adapter_model.safetensors": WEIGHTS, "README.md": b"# Card"}
    assert hub.count("POST", "/commit/main") == 1
    written = [running.log_file(push.pk).read_text(), str(Push.objects.values().get()), str(hub.asked)]
    assert not [text for text in written if TOKEN in text], "the token is nowhere but in the header"


def test_a_killed_push_is_tried_again_and_sends_nothing_twice(export: Export, hub: UploadHub) -> None:
    push = pushes.start(export, None, "charlie/sums", private=False)
    hub.may_go_on.clear()
    worker = Worker(PUSHES, push.pk)
    worker.start()
    eventually(lambda: hub.count("PUT", "/store/"))
    child = next(each for each in [child_of_push(push)] if each)
    assert TOKEN not in " ".join(child.cmdline())
    child.kill()
    worker.join(30)
    hub.may_go_on.set()
    eventually(lambda: hub.objects)
    push.refresh_from_db()
    assert push.status == JobStatus.QUEUED
    assert pushed(push).status == JobStatus.READY, push.error
    assert hub.count("PUT", "/store/") == 1
    assert hub.repos["charlie/sums"]["private"] is False


def child_of_push(push: Push) -> Any:
    return child_of(push)  # type: ignore[arg-type]


def test_a_cancelled_push_publishes_nothing(export: Export, hub: UploadHub) -> None:
    push = pushes.start(export, None, "charlie/sums", private=True)
    hub.may_go_on.clear()
    worker = Worker(PUSHES, push.pk)
    worker.start()
    eventually(lambda: hub.count("PUT", "/store/"))
    assert pushes.cancel(push)
    worker.join(30)
    hub.may_go_on.set()
    time.sleep(0.1)
    assert not hub.repos["charlie/sums"]["files"]
    push.refresh_from_db()
    assert push.status == JobStatus.CANCELLED


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ({"name": "charlie", "auth": {"accessToken": {"role": "read"}}}, "may only read"),
        ({"name": "somebody", "orgs": [{"name": "else"}]}, "can't write to charlie. Write somebody/… or else/…."),
    ],
)
def test_a_token_that_can_not_write_there_is_told_before_anything_is_sent(account: dict[str, Any], words: str) -> None:
    with pytest.raises(ExportProblem, match=re.escape(words)):
        pushing.check_owner(account, "charlie/sums")
    pushing.check_owner({"name": "x", "orgs": [{"name": "Charlie"}]}, "charlie/sums")


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "does not know the team's token"), (403, "may not write to charlie/sums"), (500, "status 500")],
)
def test_a_refusal_of_the_hub_is_told_in_plain_words(status: int, words: str) -> None:
    response = httpx.Response(status, request=httpx.Request("POST", "http://127.0.0.1/"))
    error = RuntimeError("Error while uploading")
    error.__cause__ = HfHubHTTPError(f"secret {TOKEN}", response=response)
    told = pushing.explained(error, "charlie/sums").sentence
    assert words in told and TOKEN not in told


def test_a_token_that_may_only_read_ends_the_push_with_that(export: Export, hub: UploadHub) -> None:
    hub.role = "read"
    push = pushed(pushes.start(export, None, "charlie/sums", private=True))
    assert push.status == JobStatus.FAILED and "may only read" in push.error
    assert not hub.repos


def test_a_hub_that_is_away_is_told() -> None:
    assert "can't be reached" in pushing.explained(httpx.ConnectError("refused"), "charlie/sums").sentence


@pytest.mark.parametrize(
    "name", ["", "sums", "../etc/passwd", "charlie/../x", "a/b/c", "https://example.org/a/b", "a/b c"]
)
def test_a_repository_that_is_no_name_is_refused(export: Export, name: str) -> None:
    with pytest.raises(ExportProblem, match="owner/name"):
        pushes.start(export, None, name, private=True)
    assert not Push.objects.exists()


def test_without_a_token_or_a_sign_off_nothing_is_queued(export: Export) -> None:
    row = checks.start(export)
    Check.objects.filter(pk=row.pk).update(status=JobStatus.READY, verdict=Verdict.DEGRADED)
    with pytest.raises(ExportProblem, match="degraded"):
        pushes.start(Export.objects.get(pk=export.pk), None, "charlie/sums", private=True)
    Check.objects.all().delete()
    secrets.remove(export.team, secrets.HUGGINGFACE)
    with pytest.raises(ExportProblem, match="no Hugging Face token"):
        pushes.start(Export.objects.get(pk=export.pk), None, "charlie/sums", private=True)
    assert not Push.objects.exists()


def test_a_member_pushes_from_the_page_and_cancels(teammate_client: Client, export: Export) -> None:
    page = reverse("exports:push", args=[export.pk])
    assert "Push to the hub" in teammate_client.get(page).content.decode()
    url = reverse("exports:push_start", args=[export.pk])
    refused = teammate_client.post(url, {"repository": "charlie/mine"}).content.decode()
    assert "Confirm that these files" in refused and 'value="charlie/mine"' in refused
    assert teammate_client.post(url, {"repository": "charlie/mine", "confirmed": "yes"}).status_code == 302
    push = Push.objects.get()
    assert (push.private, push.created_by.username if push.created_by else "") == (False, "bob")
    assert "charlie/mine" in teammate_client.get(page).content.decode()
    teammate_client.post(reverse("exports:push_cancel", args=[push.pk]))
    push.refresh_from_db()
    assert push.status == JobStatus.CANCELLED


def test_api_queues_shows_and_cancels_a_push(teammate_client: Client, export: Export) -> None:
    body = {"repository": "charlie/mine", "private": False}
    response = teammate_client.post(f"/api/exports/{export.pk}/push/", body, "application/json")
    assert response.status_code == 202
    url = f"/api/exports/pushes/{response.json()['id']}/"
    assert teammate_client.get(url).json()["repository"] == "charlie/mine"
    assert teammate_client.delete(url).status_code == 204
    assert teammate_client.get(url).json()["status"] == "cancelled"


def test_viewers_may_look_and_outsiders_see_nothing(
    viewer_client: Client, outsider_client: Client, export: Export
) -> None:
    push = pushes.start(export, None, "charlie/sums", private=True)
    pages = [reverse("exports:push", args=[export.pk]), f"/api/exports/pushes/{push.pk}/"]
    assert [viewer_client.get(page).status_code for page in pages] == [200, 200]
    assert [outsider_client.get(page).status_code for page in pages] == [404, 404]
    posts = [
        reverse("exports:push_start", args=[export.pk]),
        reverse("exports:push_cancel", args=[push.pk]),
        f"/api/exports/{export.pk}/push/",
    ]
    body = {"repository": "a/b", "confirmed": "yes"}
    assert [viewer_client.post(url, body).status_code for url in posts] == [403, 403, 403]
    assert [outsider_client.post(url, body).status_code for url in posts] == [404, 404, 404]
    assert viewer_client.delete(pages[1]).status_code == 403
    assert outsider_client.delete(pages[1]).status_code == 404
