"""The tus protocol: every verb, what is refused, and that no byte that was acknowledged is ever lost or doubled."""

import base64
import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Team
from datasets_app import imports, limits, sweeping, uploads
from datasets_app.models import Import, Upload
from jobs.choices import JobStatus
from tests.datasets.conftest import Importer, sums

BODY = "application/offset+octet-stream"
DATA = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def no_bells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "ring", lambda job: None)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def created(client: Client, size: int = len(DATA), name: str = "sums.csv", **metadata: str) -> Any:
    pairs = {"filename": name, **metadata}
    header = ",".join(f"{key} {encoded(value)}" for key, value in pairs.items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": header}
    return client.post(reverse("api-uploads"), headers=headers)


@pytest.fixture
def place(teammate_client: Client) -> str:
    return str(created(teammate_client)["Location"])


def patch(client: Client, place: str, offset: Any, data: bytes, **headers: str) -> Any:
    # The test client leaves the content type out where there is no body.
    headers = {"Upload-Offset": str(offset), "Tus-Resumable": "1.0.0", "Content-Type": BODY, **headers}
    return client.patch(place, data, content_type=BODY, headers=headers)


def stored() -> bytes:
    return Upload.objects.get().path.read_bytes()


# The verbs


def test_options_tells_what_the_server_can(teammate_client: Client) -> None:
    answer = teammate_client.options(reverse("api-uploads"))
    assert answer.status_code == 204
    assert answer["Tus-Version"] == "1.0.0"
    assert set(answer["Tus-Extension"].split(",")) == {"creation", "termination", "checksum", "expiration"}
    assert answer["Tus-Max-Size"] == str(10 * 1024**3)
    assert answer["Tus-Checksum-Algorithm"] == "sha256"


def test_post_makes_room_and_says_where(teammate_client: Client, teammate: User, team: Team) -> None:
    answer = created(teammate_client, 700, "my sums.csv")
    upload = Upload.objects.get()
    assert (answer.status_code, answer["Location"]) == (201, reverse("api-upload", args=[upload.pk]))
    assert answer["Tus-Resumable"] == "1.0.0"
    assert (upload.file_name, upload.size, upload.received) == ("my sums.csv", 700, 0)
    assert (upload.team, upload.created_by) == (team, teammate)
    assert upload.path.read_bytes() == b""


def test_pieces_are_put_together_and_each_offset_is_told(teammate_client: Client, place: str) -> None:
    for start in range(0, len(DATA), 4000):
        answer = patch(teammate_client, place, start, DATA[start : start + 4000])
        assert answer.status_code == 204
        assert answer["Upload-Offset"] == str(min(start + 4000, len(DATA)))
        assert "Upload-Expires" in answer
    assert stored() == DATA
    assert Upload.objects.get().is_complete


def test_head_says_where_to_go_on(teammate_client: Client, place: str) -> None:
    patch(teammate_client, place, 0, DATA[:100])
    answer = teammate_client.head(place)
    assert answer.status_code == 200
    assert (answer["Upload-Offset"], answer["Upload-Length"]) == ("100", str(len(DATA)))
    assert answer["Cache-Control"] == "no-store"
    assert teammate_client.get(place).json()["received"] == 100


def test_delete_removes_row_and_file(
    teammate_client: Client, place: str, django_capture_on_commit_callbacks: Any
) -> None:
    path = Upload.objects.get().path
    with django_capture_on_commit_callbacks(execute=True):
        assert teammate_client.delete(place).status_code == 204
    assert not path.exists()
    assert teammate_client.head(place).status_code == 404
    assert patch(teammate_client, place, 0, DATA).status_code == 404


def test_a_file_that_an_import_reads_is_not_deleted(teammate_client: Client, place: str) -> None:
    patch(teammate_client, place, 0, DATA)
    teammate_client.post(f"{place}/import")
    answer = teammate_client.delete(place)
    assert answer.status_code == 409
    assert "Cancel the import first" in answer.json()["error"]
    assert stored() == DATA


# Offsets


@pytest.mark.parametrize("offset", [0, 99, 101, len(DATA), 10**17])
def test_a_wrong_offset_is_refused_and_nothing_is_lost(teammate_client: Client, place: str, offset: int) -> None:
    patch(teammate_client, place, 0, DATA[:100])
    answer = patch(teammate_client, place, offset, b"wrong")
    assert answer.status_code == 409
    assert "100 bytes have arrived" in answer.json()["error"]
    assert patch(teammate_client, place, 100, DATA[100:]).status_code == 204
    assert stored() == DATA


def test_a_piece_that_comes_twice_counts_once(teammate_client: Client, place: str) -> None:
    assert patch(teammate_client, place, 0, DATA[:100]).status_code == 204
    assert patch(teammate_client, place, 0, DATA[:100]).status_code == 409
    patch(teammate_client, place, 100, DATA[100:])
    assert stored() == DATA


@pytest.mark.parametrize("offset", ["", "-1", "1.5", "²", "x", "9" * 30])
def test_an_offset_that_is_no_number_is_a_bad_request(teammate_client: Client, place: str, offset: str) -> None:
    assert patch(teammate_client, place, offset, b"x").status_code == 400


def test_what_a_killed_process_wrote_but_never_acknowledged_is_overwritten(teammate_client: Client, place: str) -> None:
    patch(teammate_client, place, 0, DATA[:100])
    with open(Upload.objects.get().path, "ab") as file:
        file.write(b"half of a piece")
    assert teammate_client.head(place)["Upload-Offset"] == "100"
    assert patch(teammate_client, place, 100, DATA[100:110]).status_code == 204
    assert stored() == DATA[:110]


def test_bytes_that_the_disk_has_lost_are_never_replaced_by_zeros(teammate_client: Client, place: str) -> None:
    patch(teammate_client, place, 0, DATA[:100])
    Upload.objects.get().path.write_bytes(b"")
    answer = patch(teammate_client, place, 100, DATA[100:])
    assert answer.status_code == 410
    assert "Start the upload again" in answer.json()["error"]


def test_more_bytes_than_the_file_has_are_refused(teammate_client: Client, place: str) -> None:
    assert patch(teammate_client, place, 0, DATA + b"x").status_code == 413
    assert stored() == b""
    assert patch(teammate_client, place, 0, DATA).status_code == 204


def test_a_piece_that_is_too_large_is_refused_with_the_limit(
    teammate_client: Client, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(uploads, "MAX_CHUNK_BYTES", 1024)
    answer = patch(teammate_client, place, 0, DATA[:1025])
    assert answer.status_code == 413
    assert "at most 1 KB" in answer.json()["error"]
    assert stored() == b""


def test_an_empty_piece_changes_nothing(teammate_client: Client, place: str) -> None:
    assert patch(teammate_client, place, 0, b"")["Upload-Offset"] == "0"


def test_two_pieces_at_once_one_wins_and_the_other_is_told_to_wait(teammate_client: Client, place: str) -> None:
    with open(Upload.objects.get().path, "r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        answer = patch(teammate_client, place, 0, DATA)
    assert answer.status_code == 423
    assert patch(teammate_client, place, 0, DATA).status_code == 204
    assert stored() == DATA


@pytest.mark.django_db(transaction=True)
def test_of_ten_who_send_the_same_piece_one_is_acknowledged(teammate: User, teammate_client: Client) -> None:
    upload = Upload.objects.get(pk=created(teammate_client)["Location"].rsplit("/", 1)[-1])
    answers: list[int] = []
    start = threading.Barrier(10)

    def send(number: int) -> None:
        pieces = iter([bytes([number]) * 1000])
        start.wait()
        try:
            uploads.append(Upload.objects.get(pk=upload.pk), 0, lambda _: next(pieces, b""), 1000)
            answers.append(204)
        except uploads.Refused as refused:
            answers.append(refused.status)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(204) == 1
    assert set(answers) <= {204, 409, 423}
    upload.refresh_from_db()
    assert upload.received == 1000
    assert len(set(upload.path.read_bytes())) == 1, "no mix of two pieces"


# Checksums


def test_a_piece_with_its_checksum_is_taken(teammate_client: Client, place: str) -> None:
    digest = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    assert patch(teammate_client, place, 0, DATA, **{"Upload-Checksum": f"sha256 {digest}"}).status_code == 204


def test_a_damaged_piece_is_refused_and_leaves_nothing(teammate_client: Client, place: str) -> None:
    digest = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    answer = patch(teammate_client, place, 0, DATA[::-1], **{"Upload-Checksum": f"sha256 {digest}"})
    assert answer.status_code == 460
    assert stored() == b""
    assert teammate_client.head(place)["Upload-Offset"] == "0"


@pytest.mark.parametrize("checksum", ["md5 abc", "sha256 !!", "sha256 YWJj", "nonsense"])
def test_an_unknown_checksum_is_a_bad_request(teammate_client: Client, place: str, checksum: str) -> None:
    assert patch(teammate_client, place, 0, DATA, **{"Upload-Checksum": checksum}).status_code == 400


# What is refused at the start


@pytest.mark.parametrize("length", ["", "-5", "many", "0"])
def test_a_length_is_needed(teammate_client: Client, length: str) -> None:
    answer = teammate_client.post(reverse("api-uploads"), headers={"Upload-Length": length})
    assert answer.status_code == 400
    assert not Upload.objects.exists()


@pytest.mark.parametrize("metadata", ["filename %%%", "filename //79"])
def test_metadata_that_is_no_text_is_a_bad_request(teammate_client: Client, metadata: str) -> None:
    headers = {"Upload-Length": "5", "Upload-Metadata": metadata}
    assert teammate_client.post(reverse("api-uploads"), headers=headers).status_code == 400


def test_a_promised_sum_must_look_like_one(teammate_client: Client) -> None:
    assert created(teammate_client, sha256="abc").status_code == 400
    assert created(teammate_client, sha256="AB" * 32).status_code == 201
    assert Upload.objects.get().sha256 == "ab" * 32


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\data\\x.csv", "x.csv"),
        ("nul\x00.csv", "nul.csv"),
        ("", "file"),
        ("a" * 400, "a" * 255),
    ],
)
def test_a_file_name_is_never_a_path(teammate_client: Client, uploads: Path, given: str, name: str) -> None:
    created(teammate_client, 5, given)
    upload = Upload.objects.get()
    assert upload.file_name == name
    assert [file.name for file in uploads.iterdir()] == [f"{upload.pk}.part"]


def test_another_version_of_the_protocol_is_refused(teammate_client: Client) -> None:
    answer = teammate_client.post(reverse("api-uploads"), headers={"Upload-Length": "5", "Tus-Resumable": "0.2.2"})
    assert answer.status_code == 412
    assert answer["Tus-Version"] == "1.0.0"


def test_another_content_type_is_refused(teammate_client: Client, place: str) -> None:
    answer = teammate_client.patch(place, b"x", content_type="application/json", headers={"Upload-Offset": "0"})
    assert answer.status_code == 415


def test_a_file_over_the_limit_is_refused_with_the_limit(teammate_client: Client, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 1024 * 1024
    answer = created(teammate_client, 1024 * 1024 + 1)
    assert answer.status_code == 413
    assert "limit of an upload is 1 MB" in answer.json()["error"]


def test_datasets_and_open_uploads_count_for_the_team(
    teammate_client: Client, team: Team, imported: Importer, settings: Any, outsider_client: Client
) -> None:
    version = imported(*sums(40))
    stored = version.path.stat().st_size
    assert uploads.used(team) == stored
    settings.TEAM_STORAGE_BYTES = stored + 1000
    assert created(teammate_client, 600).status_code == 201
    refused = created(teammate_client, 401)
    assert refused.status_code == 507
    assert "Delete datasets or unfinished uploads" in refused.json()["error"]
    assert created(teammate_client, 400).status_code == 201
    assert created(outsider_client, 600).status_code == 201, "another team has room of its own"


def test_a_disk_without_room_is_told_before_anything_is_sent(
    teammate_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    created(teammate_client, 600)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda path: usage)
    refused = created(teammate_client, 401)
    assert refused.status_code == 507
    assert "disk has 400 bytes left" in refused.json()["error"], "what open uploads were promised is not free"
    assert created(teammate_client, 400).status_code == 201


def test_a_disk_that_fills_up_keeps_what_has_arrived(
    teammate_client: Client, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch(teammate_client, place, 0, DATA[:100])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(uploads.os, "fsync", full)
        answer = patch(teammate_client, place, 100, DATA[100:])
    assert answer.status_code == 507
    assert stored() == DATA[:100]
    assert patch(teammate_client, place, 100, DATA[100:]).status_code == 204
    assert stored() == DATA


# Who may


def verbs(client: Client, place: str) -> Iterator[tuple[str, Any]]:
    yield "head", client.head(place)
    yield "get", client.get(place)
    yield "patch", patch(client, place, 0, DATA)
    yield "import", client.post(f"{place}/import")
    yield "delete", client.delete(place)


def test_an_outsider_gets_404_for_every_verb(outsider_client: Client, place: str) -> None:
    assert {answer.status_code for _, answer in verbs(outsider_client, place)} == {404}
    assert stored() == b""


def test_a_viewer_may_not_upload(viewer_client: Client, place: str) -> None:
    assert created(viewer_client).status_code == 403
    assert {answer.status_code for _, answer in verbs(viewer_client, place)} == {403}
    assert stored() == b""


def test_a_stranger_is_told_to_sign_in(client: Client, place: str) -> None:
    assert created(client).status_code == 401
    assert {answer.status_code for _, answer in verbs(client, place)} == {401}


def test_an_unknown_upload_is_not_found(owner_client: Client, db: None) -> None:
    for pk in (uuid4(), "-" * 36):
        assert owner_client.head(f"/api/datasets/uploads/{pk}").status_code == 404


def test_a_cookie_needs_the_csrf_header(teammate: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(teammate)
    assert created(client).status_code == 403
    client.get(reverse("datasets:upload"))
    token = client.cookies["csrftoken"].value
    headers = {"Upload-Length": "5", "X-CSRFToken": token}
    answer = client.post(reverse("api-uploads"), headers=headers)
    assert answer.status_code == 201
    place = answer["Location"]
    assert patch(client, place, 0, b"12345").status_code == 403
    assert patch(client, place, 0, b"12345", **{"X-CSRFToken": token}).status_code == 204


def test_name_and_password_open_it_to_programs(teammate: User) -> None:
    client = Client(enforce_csrf_checks=True)
    basic = {"Authorization": f"Basic {encoded('bob:a long password')}"}
    place = client.post(reverse("api-uploads"), headers={"Upload-Length": "5", **basic})["Location"]
    assert patch(client, place, 0, b"12345", **basic).status_code == 204


def test_a_teammate_may_go_on_with_an_upload(owner_client: Client, place: str) -> None:
    assert patch(owner_client, place, 0, DATA).status_code == 204


# From upload to import


def test_a_finished_upload_is_imported_once(teammate_client: Client, place: str, teammate: User) -> None:
    patch(teammate_client, place, 0, DATA)
    first, second = (teammate_client.post(f"{place}/import", {"name": "My sums"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    job = Import.objects.get()
    assert (job.name, job.created_by, job.status, job.bytes_total) == ("My sums", teammate, "queued", len(DATA))
    assert first.json()["url"] == reverse("datasets:import", args=[job.pk])


def test_an_unfinished_upload_is_not_imported(teammate_client: Client, place: str) -> None:
    patch(teammate_client, place, 0, DATA[:100])
    answer = teammate_client.post(f"{place}/import")
    assert answer.status_code == 409
    assert "100 of 10240 bytes" in answer.json()["error"]
    assert not Import.objects.exists()


# What is left behind


def aged(**hours: float) -> None:
    Upload.objects.update(touched_at=timezone.now() - timedelta(**hours))


def test_an_upload_that_nobody_went_on_with_is_removed(
    teammate_client: Client, place: str, uploads: Path, django_capture_on_commit_callbacks: Any
) -> None:
    aged(hours=limits.UPLOAD_HOURS - 1)
    sweeping.sweep()
    assert Upload.objects.exists()
    aged(hours=limits.UPLOAD_HOURS + 1)
    with django_capture_on_commit_callbacks(execute=True):
        sweeping.sweep()
    assert not Upload.objects.exists()
    assert list(uploads.iterdir()) == []


def test_an_old_upload_whose_import_waits_is_kept(teammate_client: Client, place: str) -> None:
    patch(teammate_client, place, 0, DATA)
    teammate_client.post(f"{place}/import")
    aged(hours=100)
    sweeping.sweep()
    assert stored() == DATA
    Import.objects.update(status=JobStatus.FAILED)
    sweeping.sweep()
    assert not Upload.objects.exists(), "a failed import keeps its file for a day, not for ever"


def test_a_part_without_a_row_is_removed_when_it_is_old(db: None, uploads: Path) -> None:
    for name, age in ((f"{uuid4()}.part", 2), (f"{uuid4()}.part", 0), ("not an id.part", 2), ("rows.parquet", 9)):
        file = uploads / name
        file.touch()
        os.utime(file, (file.stat().st_mtime - age * 86_400,) * 2)
    sweeping.sweep()
    left = sorted(file.suffix for file in uploads.iterdir())
    assert left == [".parquet", ".part"]
