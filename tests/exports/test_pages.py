"""The exports panel and the API calls of exports (S11, S15.9)."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from exports import building, formats
from exports.models import Export
from jobs.choices import JobStatus
from tests.exports.fixtures import MakeSession
from training.choices import Status
from training.models import Session

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


def panel(client: Client, session: Session) -> str:
    response = client.get(reverse("exports:panel", args=[session.pk]))
    assert response.status_code == 200
    return response.content.decode()


def ready(session: Session, format: str = "gguf", quantization: str = "q8_0", **fields: Any) -> Export:
    export = building.create(session, None, format, quantization)
    folder = building.artefact_folder(export)
    folder.mkdir(parents=True)
    (folder / "model-q8_0.gguf").write_bytes(b"GGUF")
    Export.objects.filter(pk=export.pk).update(
        status=JobStatus.READY,
        file=f"{folder.name}/model-q8_0.gguf",
        size=4,
        sha256="ab" * 32,
        files=[{"name": "model-q8_0.gguf", "size": 4, "sha256": "ab" * 32}],
        **fields,
    )
    export.refresh_from_db()
    return export


def test_panel_offers_every_format_with_its_size(owner_client: Client, session: Session) -> None:
    page = panel(owner_client, session)
    for choice in formats.CHOICES:
        assert choice.title in page
    weights = formats.parameters(session)
    assert weights and 1_000_000 < weights < 2_000_000
    assert f"about {weights * 2 / 1e6:.1f} MB" in page
    assert "every 2s" not in page, "nothing to wait for"


def test_panel_of_a_ready_export_has_checksum_download_and_commands(owner_client: Client, session: Session) -> None:
    export = ready(session)
    page = panel(owner_client, session)
    assert reverse("exports:download", args=[export.pk, "model-q8_0.gguf"]) in page
    assert 'data-copy="' + "ab" * 32 in page
    assert "ollama create loracraft-" in page
    assert "llama-cli -m" in page
    assert "lms import" in page
    assert "hx-confirm" in page


def test_panel_polls_while_something_is_built_and_shows_how_far(owner_client: Client, session: Session) -> None:
    export = building.create(session, None, "merged")
    Export.objects.filter(pk=export.pk).update(status=JobStatus.RUNNING, progress=0.4, message="Merging")
    page = panel(owner_client, session)
    assert 'hx-trigger="every 2s"' in page
    assert 'value="0.400"' in page
    assert "Merging…" in page
    assert reverse("exports:cancel", args=[export.pk]) in page


def test_panel_says_what_is_missing_instead_of_offering_it(
    owner_client: Client, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "has_library", lambda: False)
    page = panel(owner_client, session)
    assert page.count("llama-cpp-python) is not installed") == 2
    assert 'value="q8_0"' in page
    assert 'value="q4_k_m"' not in page
    assert 'value="q5_k_m"' not in page


def test_panel_shows_why_an_export_failed_and_offers_it_again(owner_client: Client, session: Session) -> None:
    building.create(session, None, "merged")
    Export.objects.update(status=JobStatus.FAILED, error="The disk is full. <b>")
    page = panel(owner_client, session)
    assert "The disk is full. &lt;b&gt;" in page
    assert 'value="merged"' in page


def test_panel_of_a_session_without_adapter_says_so(owner_client: Client, make_trained: MakeSession) -> None:
    assert "Nothing to export yet" in panel(owner_client, make_trained(adapter=False))


def test_panel_offers_an_export_again_after_the_adapter_changed(owner_client: Client, session: Session) -> None:
    import os
    import time

    ready(session)
    assert "Export again" not in panel(owner_client, session)
    os.utime(session.adapter / "adapter_model.safetensors", (time.time() + 60,) * 2)
    assert "Export again" in panel(owner_client, session)


def test_viewer_sees_but_can_not_change(viewer_client: Client, session: Session) -> None:
    export = ready(session)
    page = panel(viewer_client, session)
    assert "model-q8_0.gguf" in page
    assert "hx-post" not in page
    for url in (
        reverse("exports:create", args=[session.pk]),
        reverse("exports:cancel", args=[export.pk]),
        reverse("exports:delete", args=[export.pk]),
    ):
        assert viewer_client.post(url, {"format": "adapter"}).status_code == 403
    assert (
        viewer_client.post("/api/exports/create", {"session_id": str(session.pk), "format": "gguf"}).status_code == 403
    )


def test_outsider_gets_404_everywhere(outsider_client: Client, session: Session) -> None:
    export = ready(session)
    assert outsider_client.get(reverse("exports:panel", args=[session.pk])).status_code == 404
    for name, pk in (("create", session.pk), ("cancel", export.pk), ("delete", export.pk)):
        assert outsider_client.post(reverse(f"exports:{name}", args=[pk]), {"format": "adapter"}).status_code == 404
    assert outsider_client.get(f"/api/exports/{export.pk}/").status_code == 404
    assert outsider_client.delete(f"/api/exports/{export.pk}/").status_code == 404
    body = {"session_id": str(session.pk), "format": "gguf"}
    assert outsider_client.post("/api/exports/create", body, "application/json").status_code == 404
    assert Export.objects.count() == 1


def test_create_cancel_and_delete_from_the_panel(teammate_client: Client, session: Session, rung: list[str]) -> None:
    body = {"format": "gguf", "quantization": "f16"}
    page = teammate_client.post(reverse("exports:create", args=[session.pk]), body).content.decode()
    export = Export.objects.get()
    assert "Waiting for a worker" in page
    assert export.created_by and export.created_by.username == "bob"
    teammate_client.post(reverse("exports:cancel", args=[export.pk]))
    export.refresh_from_db()
    assert export.status == JobStatus.CANCELLED
    teammate_client.post(reverse("exports:delete", args=[export.pk]))
    assert not Export.objects.exists()


def test_a_problem_is_shown_in_the_panel(owner_client: Client, session: Session) -> None:
    page = owner_client.post(reverse("exports:create", args=[session.pk]), {"format": "onnx"}).content.decode()
    assert "There is no export" in page


@pytest.mark.parametrize("slash", ["", "/"])
def test_api_creates_an_export_and_says_how_far_it_is(owner_client: Client, session: Session, slash: str) -> None:
    body = {"session_id": str(session.pk), "format": "gguf", "quantization": "Q8_0"}
    response = owner_client.post(f"/api/exports/create{slash}", body, "application/json")
    assert response.status_code == 202
    found = owner_client.get(f"/api/exports/{response.json()['id']}{slash}").json()
    assert (found["format"], found["quantization"], found["status"]) == ("gguf", "q8_0", "queued")


def test_api_takes_the_readme_s_huggingface_for_the_adapter(owner_client: Client, session: Session) -> None:
    body = {"session_id": str(session.pk), "format": "huggingface", "quantization": None}
    assert owner_client.post("/api/exports/create", body, "application/json").json()["format"] == "adapter"


def test_api_gives_path_checksum_and_addresses_of_a_ready_export(owner_client: Client, session: Session) -> None:
    export = ready(session)
    found = owner_client.get(f"/api/exports/{export.pk}").json()
    assert found["path"] == f"exports/{session.pk}/{export.file}"
    assert found["sha256"] == "ab" * 32
    assert found["files"][0]["url"] == f"/api/exports/{export.pk}/download/model-q8_0.gguf"
    body = {"session_id": str(session.pk), "format": "gguf", "quantization": "q8_0"}
    assert owner_client.post("/api/exports/create", body, "application/json").status_code == 200
    assert owner_client.delete(f"/api/exports/{export.pk}").status_code == 204
    assert not Path(building.artefact_folder(export)).exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"format": "gguf"}, "session_id"),
        ({"session_id": "x", "format": "gguf"}, "session_id"),
        ({"session_id": None, "format": "onnx"}, "There is no export"),
    ],
)
def test_api_explains_a_wrong_body(owner_client: Client, session: Session, body: dict[str, Any], words: str) -> None:
    if body.get("session_id", "") is None:
        body = {**body, "session_id": str(session.pk)}
    response = owner_client.post("/api/exports/create", body, "application/json")
    assert response.status_code == 400
    assert words in response.content.decode()


def test_api_needs_a_sign_in_and_knows_no_other_ids(owner_client: Client, session: Session) -> None:
    assert Client().post("/api/exports/create", {}).status_code == 401
    assert owner_client.get(f"/api/exports/{uuid4()}/").status_code == 404
    body = {"session_id": str(uuid4()), "format": "gguf"}
    assert owner_client.post("/api/exports/create", body, "application/json").status_code == 404


def test_panel_needs_few_queries_however_many_exports(
    owner_client: Client, session: Session, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        Export.objects.create(team=session.team, session=session, format="merged", status=JobStatus.FAILED, error="x")
    ready(session)
    with django_assert_max_num_queries(14):
        panel(owner_client, session)


def test_a_running_session_is_exported_from_its_newest_checkpoint(
    owner_client: Client, make_trained: MakeSession, tiny_adapter: Path
) -> None:
    import shutil

    session = make_trained(Status.TRAINING, adapter=False)
    shutil.copytree(tiny_adapter, session.folder / "checkpoints" / "checkpoint-9")
    shutil.copytree(tiny_adapter, session.folder / "checkpoints" / "checkpoint-10")
    from training import adapters

    assert adapters.newest(session) == session.folder / "checkpoints" / "checkpoint-10"
    assert "newest checkpoint" in panel(owner_client, session)
