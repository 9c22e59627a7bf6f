"""The check of an export on its page, in the panel and in the API, and several exports chosen at once."""

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from django.urls import reverse

from exports import building, checks
from exports.models import Check, Export, Verdict
from jobs.choices import JobStatus
from tests.exports.test_pages import panel, ready
from tests.exports.test_parity import answers, result_of
from training.models import Session

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rung")]


@pytest.fixture
def degraded(session: Session) -> Check:
    row = checks.start(ready(session))
    result = result_of(answers(["five", "<b>six"], [True, True]), answers(["five", "<i>no"], [True, False], -3.0))
    Check.objects.filter(pk=row.pk).update(
        status=JobStatus.READY, verdict=Verdict.DEGRADED, reason="It answers nonsense.", result=result
    )
    row.refresh_from_db()
    return row


def test_the_panel_offers_no_download_of_what_is_degraded_until_it_is_signed_off(
    teammate_client: Client, session: Session, degraded: Check, teammate: User
) -> None:
    link = reverse("exports:download", args=[degraded.export_id, "model-q8_0.gguf"])
    page = panel(teammate_client, session)
    assert link not in page and "It answers nonsense." in page
    url = reverse("exports:check_sign_off", args=[degraded.export_id])
    refused = teammate_client.post(url, {"reason": " no "}).content.decode()
    assert "Say why it is good enough" in refused
    assert teammate_client.post(url, {"reason": "For a demo only."}).status_code == 302
    degraded.refresh_from_db()
    assert (degraded.signed_by, degraded.sign_reason) == (teammate, "For a demo only.")
    assert link in panel(teammate_client, session)
    shown = teammate_client.get(reverse("exports:check", args=[degraded.export_id])).content.decode()
    assert "Signed off by bob" in shown
    assert checks.start(degraded.export).signed_at is None, "another check asks again"


@pytest.mark.parametrize("name", ["model-q8_0.gguf", "zip"])
@pytest.mark.django_db(transaction=True)
def test_the_download_of_what_is_degraded_is_refused_with_what_to_do(
    degraded: Check, teammate: User, name: str
) -> None:
    client = AsyncClient()
    client.force_login(teammate)
    file = building.zip_name(degraded.export) if name == "zip" else name
    response = asyncio.run(client.get(reverse("api-export-file", args=[degraded.export_id, file])))  # type: ignore[arg-type]
    assert response.status_code == 409
    assert response.json()["sign_off"] == f"/api/exports/{degraded.export_id}/check/sign-off/".rstrip("/")


def test_the_page_shows_both_sides_their_intervals_and_what_differs(viewer_client: Client, degraded: Check) -> None:
    page = viewer_client.get(reverse("exports:check", args=[degraded.export_id])).content.decode()
    assert "Degraded" in page and "It answers nonsense." in page
    assert "Trained adapter: 100 %" in page and "This export: 50 %" in page
    assert "Answers that differ (1)" in page
    assert "&lt;i&gt;no" in page and "<i>no" not in page
    assert "<form" not in page.partition('id="check"')[2].partition("</main>")[0], "a viewer changes nothing"


def test_a_check_under_way_is_shown_and_does_not_stop_the_download(owner_client: Client, session: Session) -> None:
    row = checks.start(ready(session))
    Check.objects.filter(pk=row.pk).update(status=JobStatus.RUNNING, progress=0.5, message="Asking the export")
    page = panel(owner_client, session)
    assert "Still being checked" in page and "every 2s" in page
    assert reverse("exports:download", args=[row.export_id, "model-q8_0.gguf"]) in page
    shown = owner_client.get(reverse("exports:check", args=[row.export_id])).content.decode()
    assert "Asking the export" in shown and 'hx-trigger="every 2s"' in shown
    owner_client.post(reverse("exports:check_cancel", args=[row.export_id]))
    row.refresh_from_db()
    assert (row.status, row.verdict) == (JobStatus.CANCELLED, Verdict.NOT_CHECKED)
    owner_client.post(reverse("exports:check_start", args=[row.export_id]))
    row.refresh_from_db()
    assert row.status == JobStatus.QUEUED


def test_api_tells_the_verdict_and_takes_the_sign_off_once(teammate_client: Client, degraded: Check) -> None:
    url = f"/api/exports/{degraded.export_id}/"
    assert teammate_client.get(url).json()["check"]["needs_sign_off"] is True
    assert teammate_client.post(f"{url}check/sign-off/", {}, "application/json").status_code == 400
    body = {"reason": "Good enough for the demo."}
    response = teammate_client.post(f"{url}check/sign-off/", body, "application/json")
    assert response.json()["signed_off"]["by"] == "bob"
    assert teammate_client.post(f"{url}check/sign-off/", body, "application/json").status_code == 400
    again = teammate_client.post(f"{url}check/")
    assert (again.status_code, again.json()["status"], again.json()["signed_off"]) == (202, "queued", None)


def test_viewers_change_nothing_and_outsiders_see_nothing(
    viewer_client: Client, outsider_client: Client, degraded: Check
) -> None:
    names = ("check_start", "check_cancel", "check_sign_off")
    urls = [reverse(f"exports:{name}", args=[degraded.export_id]) for name in names]
    urls += [f"/api/exports/{degraded.export_id}/check/", f"/api/exports/{degraded.export_id}/check/sign-off/"]
    body = {"reason": "Because I say so."}
    assert [viewer_client.post(url, body).status_code for url in urls] == [403] * 5
    assert [outsider_client.post(url, body).status_code for url in urls] == [404] * 5
    page = reverse("exports:check", args=[degraded.export_id])
    assert (viewer_client.get(page).status_code, outsider_client.get(page).status_code) == (200, 404)


def test_what_was_not_checked_has_no_page(owner_client: Client, session: Session) -> None:
    export = ready(session)
    assert owner_client.get(reverse("exports:check", args=[export.pk])).status_code == 404
    assert owner_client.post(f"/api/exports/{export.pk}/check/sign-off/", {"reason": "Fine."}).status_code == 409


def test_several_are_ticked_summed_up_and_queued_at_once(
    owner_client: Client, session: Session, rung: list[str]
) -> None:
    url = reverse("exports:panel", args=[session.pk])
    assert 'value="gguf-q2_k"' not in owner_client.get(url).content.decode()
    chosen: dict[str, Any] = {"formats": ["merged", "gguf-q8_0", "gguf-q2_k"], "more": "yes"}
    page = owner_client.get(url, chosen).content.decode()
    assert page.count(" checked") == 3 and "Export 3 chosen" in page and "Together about" in page
    posted = owner_client.post(reverse("exports:create", args=[session.pk]), chosen).content.decode()
    assert Export.objects.filter(status=JobStatus.QUEUED).count() == 3
    assert "Tick what you want" in posted and "Waiting for a worker" in posted
    nothing = owner_client.post(reverse("exports:create", args=[session.pk]), {}).content.decode()
    assert "Nothing is chosen." in nothing


def test_ticked_boxes_stay_when_something_is_wrong(owner_client: Client, session: Session) -> None:
    body = {"formats": ["merged", "gguf-q99"]}
    page = owner_client.post(reverse("exports:create", args=[session.pk]), body).content.decode()
    assert "There is no export" in page and page.count(" checked") == 1
    assert not Export.objects.exists()


def test_api_queues_several(owner_client: Client, session: Session) -> None:
    body = {"session_id": str(session.pk), "formats": ["adapter", "gguf-q4_0"]}
    response = owner_client.post("/api/exports/create", body, "application/json")
    assert response.status_code == 202
    assert [export["quantization"] for export in response.json()["exports"]] == ["", "q4_0"]
    body["formats"] = ["adapter", "../../etc"]
    assert owner_client.post("/api/exports/create", body, "application/json").status_code == 400
