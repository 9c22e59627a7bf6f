"""Deleting a model of the registry, with what depends on it."""

from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from evaluation.models import Batch, Trial
from exports import registry
from exports.models import Export
from tests.exports.registry_models import make_export, make_model, save_checkpoint, write_adapter
from training import keeping, lifecycle
from training.choices import Status
from training.models import Session
from training.templatetags.ui import size_in_bytes

pytestmark = pytest.mark.django_db


@pytest.fixture
def model(team: Team) -> Session:
    session = make_model(team)
    write_adapter(session.adapter)
    save_checkpoint(session, 20)
    return session


def target(session: Session) -> str:
    return reverse("exports:model_delete", args=[session.pk])


def test_the_page_says_what_goes_and_what_stays(owner_client: Client, model: Session) -> None:
    make_export(model)
    Batch.objects.create(team=model.team, session=model, name="prompts.csv", base_model="x", row_count=1200)
    Trial.objects.create(team=model.team, session=model, prompt="2 + 2?")
    lifecycle.clone(model, None)
    text = " ".join(owner_client.get(target(model)).content.decode().split())
    for words in ("Export GGUF Q8_0", "5.0 MB", "prompts.csv", "1 200", "prompt tried with it", "Sums (copy)"):
        assert words in text.replace("\u202f", " ")
    assert "type its name" in text
    assert Session.objects.filter(pk=model.pk).exists(), "a look deletes nothing"


def test_a_member_deletes_it_with_its_files_and_is_told_what_is_free(
    teammate_client: Client, model: Session, django_capture_on_commit_callbacks
) -> None:
    copy = lifecycle.clone(model, None)
    folder = Path(settings.EXPORTS_DIR) / str(model.pk)
    folder.mkdir(parents=True)
    (folder / "model.gguf").write_bytes(b"0" * 50_000)
    size = keeping.bytes_on_disk(model)
    assert size > 52_000
    with django_capture_on_commit_callbacks(execute=True):
        response = teammate_client.post(target(model))
    assert response.url == reverse("exports:models")
    assert f"{size_in_bytes(size)} are free again" in teammate_client.get(response.url).content.decode()
    assert not Session.objects.filter(pk=model.pk).exists()
    assert not model.folder.exists() and not folder.exists()
    copy.refresh_from_db()
    assert copy.cloned_from_id is None


@pytest.mark.parametrize("why", ["promoted", "exported"])
def test_what_others_rely_on_is_deleted_only_by_its_name(owner_client: Client, model: Session, why: str) -> None:
    if why == "promoted":
        keeping.promote(Session.objects.filter(pk=model.pk), None)
    else:
        make_export(model)
    response = owner_client.post(target(model), {"name": "sums"})
    assert response.status_code == 200
    assert "Type its name exactly" in response.content.decode() and 'value="sums"' in response.content.decode()
    assert Session.objects.filter(pk=model.pk).exists()
    owner_client.post(target(model), {"name": " Sums "})
    assert not Session.objects.filter(pk=model.pk).exists() and not Export.objects.exists()


def test_one_that_is_being_trained_stays(owner_client: Client, team: Team) -> None:
    session = make_model(team, status=Status.TRAINING)
    save_checkpoint(session, 20)
    assert "Stop its session first" in owner_client.get(target(session)).content.decode()
    assert owner_client.post(target(session)).status_code == 200
    assert Session.objects.filter(pk=session.pk).exists()


def test_work_on_it_ends_before_its_files_go(
    owner_client: Client, model: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_export(model, status="running")
    Batch.objects.create(team=model.team, session=model, name="b", base_model="x", status="queued")
    ended: list[str] = []
    monkeypatch.setattr(registry.running, "cancel", lambda job: ended.append(type(job).__name__))
    owner_client.post(target(model))
    assert ended == ["Export", "Batch"]
    assert not Session.objects.filter(pk=model.pk).exists()
