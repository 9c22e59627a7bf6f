"""Imports as jobs, done by the real child process: what becomes of them when it, the worker or the disk fails."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings as project
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Team
from datasets_app import forms, importing, imports, sweeping, tasks, uploads
from datasets_app.models import Dataset, DatasetVersion, Import, ImportKind, Source, Upload
from datasets_app.problems import DatasetProblem
from jobs import leases, running
from jobs.choices import JobStatus
from tests.datasets.conftest import jsonl, sums

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("real_child")]
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def uploads_folder(settings: Any) -> Iterator[Path]:
    """The child reads its settings anew, so the folder is the one of this run's own data folder."""
    folder = Path(project.DATA_DIR) / "uploads"
    settings.UPLOADS_DIR = folder
    # Other tests of this run keep their datasets.
    others = folder.rename(folder.with_name("uploads-of-others"))
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)
    others.rename(folder)


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr(tasks, "run_import", rung.append)
    return rung


@pytest.fixture(autouse=True)
def kind(rung: list[str], monkeypatch: pytest.MonkeyPatch) -> running.JobKind:
    kind = running.JobKind(Import, "run_import", rung.append, imports.tidy, tasks.KIND.at_once, tasks.KIND.if_killed)
    monkeypatch.setattr(running, "KINDS", {kind.command: kind})
    running._rung.clear()
    return kind


Queue = Callable[..., Import]


@pytest.fixture
def queued(team: Team, teammate: User) -> Queue:
    def make(raw: bytes | None = None, name: str = "sums.jsonl", by: User = teammate) -> Import:
        data = jsonl(*sums(30)) if raw is None else raw
        return imports.start_upload(uploads.from_bytes(team, by, name, data), by)

    return make


def many_rows(count: int = 150_000) -> bytes:
    return jsonl(*sums(count))


def now(job: Import) -> Import:
    return Import.objects.select_related("upload", "dataset", "version").get(pk=job.pk)


class Worker(threading.Thread):
    """One thread of the Huey consumer."""

    def __init__(self, kind: running.JobKind, job: Import) -> None:
        super().__init__(daemon=True)
        self.kind, self.pk, self.ran = kind, str(job.pk), False

    def run(self) -> None:
        self.ran = running.run(self.kind, self.pk)
        connection.close()


def eventually(met: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def family_of(job: Import) -> list[psutil.Process]:
    """The import's child, and the one that reads the file."""
    for process in psutil.Process().children():
        if str(job.pk) in " ".join(process.cmdline()):
            return [process, *process.children(recursive=True)]
    return []


def all_ended(family: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)


def begun(job: Import) -> Worker:
    worker = Worker(running.KINDS["run_import"], job)
    worker.start()
    eventually(lambda: len(family_of(job)) > 1 and now(job).progress is not None)
    return worker


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# From the file to the dataset


def test_an_upload_becomes_a_dataset_and_its_file_goes(
    queued: Queue, kind: running.JobKind, rung: list[str], uploads_folder: Path, teammate: User
) -> None:
    raw = jsonl(*sums(30))
    job = queued(raw)
    assert rung == [str(job.pk)]
    assert running.run(kind, str(job.pk))
    done = now(job)
    assert (done.status, done.progress, done.error, done.rows) == (JobStatus.READY, 1, "", 30)
    assert done.version and done.version.dataset == done.dataset
    assert done.dataset and done.dataset.name == "sums"
    assert (done.dataset.source, done.dataset.created_by) == (Source.UPLOAD, teammate)
    assert done.version.mapping["instruction"] == "question"
    sha256 = hashlib.sha256(raw).hexdigest()
    assert done.dataset.source_detail == {"file_name": "sums.jsonl", "sha256": sha256}
    assert done.version.report["source"]["sha256"] == sha256
    assert files(uploads_folder) == [done.version.file]
    assert not Upload.objects.exists()


def test_a_promised_sum_is_checked_at_the_end(team: Team, kind: running.JobKind, uploads_folder: Path) -> None:
    raw = jsonl(*sums(30))
    for promised, status in ((hashlib.sha256(raw).hexdigest(), "ready"), ("0" * 64, "failed")):
        upload = uploads.from_bytes(team, None, "sums.jsonl", raw)
        Upload.objects.filter(pk=upload.pk).update(sha256=promised)
        job = imports.start_upload(upload, None)
        running.run(kind, str(job.pk))
        assert now(job).status == status
    assert "damaged on its way" in now(job).error
    assert Dataset.objects.count() == 1


def test_a_file_that_can_not_be_used_is_told_in_words_and_leaves_nothing(
    queued: Queue, kind: running.JobKind, uploads_folder: Path
) -> None:
    job = queued(b"not json\nnor this\n", "rows.jsonl")
    running.run(kind, str(job.pk))
    failed = now(job)
    assert failed.status == JobStatus.FAILED
    assert "rejected" in failed.error and "ine 1" in failed.error
    assert not Dataset.objects.exists()
    assert failed.upload and files(uploads_folder) == [failed.upload.path.name], "kept for another try"


def test_the_line_of_a_problem_is_told() -> None:
    problem = DatasetProblem("Too many rows.", line=5_000_001)
    assert imports.sentence(problem) == "Line 5\u202f000\u202f001: Too many rows."


def test_progress_is_written_at_most_twice_a_second(queued: Queue) -> None:
    job = queued()
    job.attempt = leases.claim(Import, job.pk, running.QUEUED, status=JobStatus.RUNNING) or 0
    progress = imports.reporter(job)
    progress(1, 10, 100)
    first = now(job)
    assert (first.rows, first.bytes_read, first.bytes_total, first.progress) == (1, 10, 100, 0.1)
    for step in range(2, 50):
        progress(step, step, 100)
    assert now(job).rows == 1
    progress(60, 60, 100, "Writing")
    assert (now(job).rows, now(job).message) == (60, "Writing"), "a new message is told at once"
    time.sleep(running.REPORT_SECONDS)
    progress(70, 70, 100, "Writing")
    assert now(job).rows == 70


# When something dies


def test_a_killed_child_is_tried_again_and_leaves_one_dataset(
    queued: Queue, kind: running.JobKind, rung: list[str], uploads_folder: Path
) -> None:
    job = queued(many_rows())
    worker = begun(job)
    for process in family_of(job):
        process.kill()
    worker.join(30)
    halfway = now(job)
    assert (halfway.status, halfway.attempt) == (JobStatus.QUEUED, 1)
    assert "signal 9" in halfway.message
    assert rung.count(str(job.pk)) == 2
    assert halfway.upload and files(uploads_folder) == [halfway.upload.path.name]
    assert running.run(kind, str(job.pk))
    done = now(job)
    assert (done.status, done.attempt) == (JobStatus.READY, 2)
    version = DatasetVersion.objects.get()
    assert version.row_count == 150_000
    assert files(uploads_folder) == [version.file]


def test_an_import_of_a_dead_worker_is_done_by_another(
    queued: Queue, kind: running.JobKind, uploads_folder: Path
) -> None:
    job = queued()
    left = uploads_folder / f"importing-{job.pk.hex}-1"
    left.mkdir()
    (uploads_folder / f"{job.pk.hex}-1.parquet").write_bytes(b"moved, but its worker was killed before the row")
    long_ago = timezone.now() - timedelta(hours=1)
    Import.objects.update(status=JobStatus.RUNNING, attempt=1, worker="elsewhere/1/1.00", lease_until=long_ago)
    running.dispatch()
    assert now(job).status == JobStatus.QUEUED
    assert running.run(kind, str(job.pk))
    assert files(uploads_folder) == [DatasetVersion.objects.get().file]


# Starts the import's child as a worker does.
STAND_IN = """
import os, subprocess, sys
environment = {**os.environ, "LORACRAFT_PARENT": str(os.getpid())}
subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, env=environment, start_new_session=True).wait()
"""


def test_a_killed_worker_takes_the_reading_child_with_it(queued: Queue) -> None:
    job = queued(many_rows())
    attempt = leases.claim(Import, job.pk, running.QUEUED, status=JobStatus.RUNNING)
    command = [sys.executable, "manage.py", "run_import", str(job.pk), str(attempt)]
    with subprocess.Popen([sys.executable, "-c", STAND_IN, *command], cwd=project.BASE_DIR) as worker:
        process = psutil.Process(worker.pid)
        eventually(lambda: len(process.children(recursive=True)) > 1)
        family = process.children(recursive=True)
        worker.send_signal(signal.SIGKILL)
    eventually(lambda: all_ended(family), 20)
    assert not Dataset.objects.exists()


def test_the_last_of_three_kills_says_what_to_do(
    queued: Queue, kind: running.JobKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.children, "run_child", lambda *args, **kwargs: -signal.SIGKILL)
    job = queued()
    while running.run(kind, str(job.pk)):
        pass
    assert now(job).status == JobStatus.FAILED
    assert "split the file" in now(job).error


def test_an_attempt_that_was_taken_over_stores_nothing(queued: Queue, uploads_folder: Path) -> None:
    job = queued()
    old = leases.claim(Import, job.pk, running.QUEUED, status=JobStatus.RUNNING)
    Import.objects.update(attempt=7)
    job = now(job)
    job.attempt = old or 0
    imports.perform(job)
    assert not Dataset.objects.exists()
    assert now(job).status == JobStatus.RUNNING
    assert job.upload and files(uploads_folder) == [job.upload.path.name]


def test_a_cancel_just_before_the_end_leaves_no_dataset(
    queued: Queue, uploads_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queued()
    job.attempt = leases.claim(Import, job.pk, running.QUEUED, status=JobStatus.RUNNING) or 0
    save = importing.save

    def late(version: DatasetVersion, job: Import | None = None) -> None:
        assert job and imports.cancel(job)
        save(version, job)

    monkeypatch.setattr(importing, "save", late)
    imports.perform(now_with(job))
    assert now(job).status == JobStatus.CANCELLED
    assert not Dataset.objects.exists()
    assert job.upload and files(uploads_folder) == [job.upload.path.name]


def now_with(job: Import) -> Import:
    fresh = now(job)
    fresh.attempt = job.attempt
    return fresh


# Cancel and retry


def test_cancelling_ends_the_child_and_keeps_the_upload_for_another_try(
    queued: Queue, kind: running.JobKind, rung: list[str], uploads_folder: Path
) -> None:
    job = queued(many_rows())
    worker = begun(job)
    family = family_of(job)
    assert imports.cancel(job)
    worker.join(20)
    eventually(lambda: all_ended(family), 5)
    cancelled = now(job)
    assert (cancelled.status, cancelled.worker) == (JobStatus.CANCELLED, "")
    assert cancelled.upload and files(uploads_folder) == [cancelled.upload.path.name]
    assert not imports.cancel(job), "a second cancel changes nothing"
    assert imports.retry(cancelled)
    assert not imports.retry(now(job)), "a second retry changes nothing"
    assert running.run(kind, str(job.pk))
    assert now(job).status == JobStatus.READY
    assert DatasetVersion.objects.count() == 1


def test_a_retry_without_its_file_is_refused(queued: Queue) -> None:
    job = queued()
    imports.cancel(job)
    assert imports.can_retry(now(job))
    uploads.discard(Upload.objects.get())
    assert not imports.retry(now(job))
    assert now(job).status == JobStatus.CANCELLED


def test_after_a_failed_import_the_same_upload_can_be_imported_anew(queued: Queue, teammate: User) -> None:
    job = queued()
    assert job.upload
    assert imports.start_upload(job.upload, teammate) == job
    Import.objects.update(status=JobStatus.FAILED)
    assert imports.start_upload(job.upload, teammate) != job


def test_a_job_that_waits_has_no_child_yet_and_is_cancelled_at_once(queued: Queue, kind: running.JobKind) -> None:
    job = queued()
    assert imports.cancel(job)
    assert not running.run(kind, str(job.pk))


# Two at once


def test_two_who_import_the_same_file_at_once_get_a_dataset_each(
    queued: Queue, kind: running.JobKind, owner: User, teammate: User, uploads_folder: Path
) -> None:
    jobs = [queued(name="same.jsonl", by=user) for user in (owner, teammate)]
    workers = [Worker(kind, job) for job in jobs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert all(worker.ran for worker in workers)
    names = sorted(Dataset.objects.values_list("name", flat=True))
    assert names == ["same", "same (2)"]
    assert files(uploads_folder) == sorted(DatasetVersion.objects.values_list("file", flat=True))
    assert {now(job).dataset.created_by for job in jobs} == {owner, teammate}  # type: ignore[union-attr]


def test_a_third_import_waits_for_its_turn(queued: Queue, kind: running.JobKind) -> None:
    jobs = [queued() for _ in range(kind.at_once + 1)]
    for job in jobs[:-1]:
        leases.claim(Import, job.pk, running.QUEUED, status=JobStatus.RUNNING)
    assert not running.run(kind, str(jobs[-1].pk))
    assert now(jobs[-1]).status == JobStatus.QUEUED


# A disk that fills up

FULL = """
set -e
mount -t tmpfs -o size="$SIZE" tmpfs "$UPLOADS"
cp "$KEPT" "$PART"
"$PYTHON" manage.py run_import "$JOB" 1
ls "$UPLOADS"
"""


def test_a_disk_that_fills_up_in_the_middle_leaves_nothing_visible(
    queued: Queue, uploads_folder: Path, tmp_path: Path
) -> None:
    """A real file system of a few megabytes, in a mount namespace of its own."""
    job = queued(jsonl(*({"question": os.urandom(400).hex(), "answer": "1"} for _ in range(5_000))))
    assert job.upload
    kept = tmp_path / "kept"
    shutil.copy(job.upload.path, kept)
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", FULL]
    if shutil.which("unshare") is None or subprocess.run([*command[:3], "true"], check=False).returncode:
        pytest.skip("mount namespaces are not allowed here")
    leases.claim(Import, job.pk, running.QUEUED, status=JobStatus.RUNNING)
    environment = {
        "PART": str(job.upload.path),
        "KEPT": str(kept),
        "SIZE": str(kept.stat().st_size + 1_000_000),
        "UPLOADS": str(uploads_folder),
        "PYTHON": sys.executable,
        "JOB": str(job.pk),
    }
    done = subprocess.run(
        command,
        cwd=project.BASE_DIR,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [job.upload.path.name]
    failed = now(job)
    assert failed.status == JobStatus.FAILED
    assert "full" in failed.error.lower() or "space" in failed.error.lower(), failed.error
    assert not Dataset.objects.exists()


# What is left behind


def test_files_of_a_job_that_ended_without_a_dataset_are_swept(queued: Queue, uploads_folder: Path) -> None:
    job, other = queued(), queued()
    Import.objects.filter(pk=job.pk).update(status=JobStatus.FAILED)
    left = uploads_folder / f"{job.pk.hex}-1.parquet"
    running_now = uploads_folder / f"{other.pk.hex}-1.parquet"
    of_a_dataset = uploads_folder / f"{job.pk.hex}-2.parquet"
    unknown = uploads_folder / f"{'0' * 32}-1.parquet"
    for file in (left, running_now, of_a_dataset, unknown):
        file.touch()
        os.utime(file, (1, 1))
    dataset = Dataset.objects.create(team=job.team, name="x", source=Source.UPLOAD)
    DatasetVersion.objects.create(dataset=dataset, file=of_a_dataset.name, row_count=1)
    sweeping.sweep()
    assert not left.exists()
    assert running_now.exists() and of_a_dataset.exists() and unknown.exists()


def test_every_kind_of_import_has_a_handler() -> None:
    assert set(imports.HANDLERS) == set(ImportKind.values)
    for kind in ImportKind.values:
        assert callable(imports.handler(kind))


# Pages


def page_of(job: Import) -> str:
    return reverse("datasets:import", args=[job.pk])


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def test_pasted_text_is_imported_in_the_background(teammate_client: Client, kind: running.JobKind) -> None:
    rows = jsonl(*sums(5)).decode()
    answer = teammate_client.post(reverse("datasets:paste"), {"text": rows, "name": "From a mail"})
    job = Import.objects.get()
    assert answer["Location"] == page_of(job)
    running.run(kind, str(job.pk))
    dataset = Dataset.objects.get()
    assert (dataset.name, dataset.source) == ("From a mail", Source.PASTE)
    assert dataset.latest and dataset.latest.row_count == 5


@pytest.mark.parametrize(("given", "words"), [("", "Paste some rows"), (" \n ", "Paste some rows")])
def test_nothing_pasted_is_told_on_the_field(teammate_client: Client, given: str, words: str) -> None:
    answer = teammate_client.post(reverse("datasets:paste"), {"text": given})
    assert answer.status_code == 400
    assert words in text(answer)
    assert not Import.objects.exists()


def test_pasted_text_has_a_limit_that_is_named(teammate_client: Client) -> None:
    answer = teammate_client.post(reverse("datasets:paste"), {"text": "x" * (4 * 1024 * 1024 + 1)})
    assert answer.status_code == 400
    assert "longer than 4 MB" in text(answer)


def test_the_page_shows_how_far_it_is_and_then_goes_to_the_dataset(
    owner_client: Client, queued: Queue, kind: running.JobKind
) -> None:
    job = queued()
    page = text(owner_client.get(page_of(job)))
    assert "Waiting for a worker" in page
    assert "every 1s" in page
    half_a_minute_ago = timezone.now() - timedelta(seconds=30)
    Import.objects.update(
        status=JobStatus.RUNNING,
        progress=0.25,
        rows=120_000,
        bytes_read=25_000_000,
        bytes_total=100_000_000,
        started_at=half_a_minute_ago,
    )
    part = text(owner_client.get(page_of(job), headers=HTMX))
    assert "<html" not in part
    for words in ("120 000", "25.0 MB of 100 MB", "kB/s", "Time left", "Cancel"):
        assert words in part, words
    Import.objects.update(status=JobStatus.QUEUED)
    running.run(kind, str(job.pk))
    dataset = reverse("datasets:detail", args=[Dataset.objects.get().pk])
    assert owner_client.get(page_of(job))["Location"] == dataset
    assert owner_client.get(page_of(job), headers=HTMX)["HX-Redirect"] == dataset


def test_a_failed_import_says_why_and_offers_another_try(owner_client: Client, queued: Queue) -> None:
    job = queued()
    Import.objects.update(status=JobStatus.FAILED, error="Line 3: <b>wrong</b>.", finished_at=timezone.now())
    page = text(owner_client.get(page_of(job)))
    assert "Line 3: &lt;b&gt;wrong&lt;/b&gt;." in page
    assert "Try again" in page
    assert "every 1s" not in page
    owner_client.post(reverse("datasets:import-retry", args=[job.pk]))
    assert now(job).status == JobStatus.QUEUED


def test_the_list_shows_what_is_unfinished(owner_client: Client, queued: Queue, team: Team) -> None:
    waiting, failed = queued(name="waiting.csv"), queued(name="failed.csv")
    Import.objects.filter(pk=failed.pk).update(
        status=JobStatus.FAILED, error="It is no table.", finished_at=timezone.now()
    )
    uploads.create(team, None, "half.csv", 1000)
    page = text(owner_client.get(reverse("datasets:list")))
    for words in ("waiting.csv", "It is no table.", "half.csv", "Upload unfinished", "0 B of 1.0 kB"):
        assert words in page, words
    assert f"{reverse('datasets:imports')}?open=1" in page
    imports.cancel(waiting)
    polled = owner_client.get(reverse("datasets:imports"), {"open": 1}, headers=HTMX)
    assert polled["HX-Trigger"] == "imports-changed"
    assert "every 2s" not in text(polled)


def test_a_failed_import_can_be_taken_off_the_list(owner_client: Client, queued: Queue, uploads_folder: Path) -> None:
    job = queued()
    dismiss = reverse("datasets:import-dismiss", args=[job.pk])
    owner_client.post(dismiss)
    assert Import.objects.exists(), "not while it waits"
    imports.cancel(job)
    owner_client.post(dismiss)
    assert not Import.objects.exists()
    assert files(uploads_folder) == []


def test_a_finished_upload_can_be_imported_or_discarded_from_the_list(owner_client: Client, team: Team) -> None:
    upload = uploads.from_bytes(team, None, "sums.jsonl", jsonl(*sums(3)))
    answer = owner_client.post(reverse("datasets:upload-import", args=[upload.pk]))
    job = Import.objects.get()
    assert answer["Location"] == page_of(job)
    owner_client.post(reverse("datasets:upload-discard", args=[upload.pk]))
    assert Upload.objects.exists(), "not while it is imported"
    imports.cancel(job)
    owner_client.post(reverse("datasets:upload-discard", args=[upload.pk]))
    assert not Upload.objects.exists()


JOB_PAGES = ["import-cancel", "import-retry", "import-dismiss"]
UPLOAD_PAGES = ["upload-import", "upload-discard"]


def addresses(job: Import) -> list[str]:
    of_upload = [reverse(f"datasets:{name}", args=[job.upload_id]) for name in UPLOAD_PAGES]
    return [*(reverse(f"datasets:{name}", args=[job.pk]) for name in JOB_PAGES), *of_upload]


def test_an_outsider_gets_404_and_sees_nothing(outsider_client: Client, queued: Queue) -> None:
    job = queued(name="secret.csv")
    assert outsider_client.get(page_of(job)).status_code == 404
    assert outsider_client.get(f"/api/datasets/imports/{job.pk}").status_code == 404
    for address in [*addresses(job), *(f"/api/datasets/imports/{job.pk}/{verb}" for verb in ("cancel", "retry"))]:
        assert outsider_client.post(address).status_code == 404
    for page in ("list", "imports"):
        assert "secret" not in text(outsider_client.get(reverse(f"datasets:{page}")))
    assert now(job).status == JobStatus.QUEUED


def test_a_viewer_may_watch_but_not_change(viewer_client: Client, queued: Queue) -> None:
    job = queued()
    page = viewer_client.get(page_of(job))
    assert page.status_code == 200
    assert "Cancel" not in text(page)
    assert viewer_client.get(f"/api/datasets/imports/{job.pk}").json()["status"] == "queued"
    for address in [*addresses(job), f"/api/datasets/imports/{job.pk}/cancel"]:
        assert viewer_client.post(address).status_code == 403
    assert viewer_client.post(reverse("datasets:paste"), {"text": "x"}).status_code == 403
    assert now(job).status == JobStatus.QUEUED


def test_nothing_is_changed_by_a_get(owner_client: Client, queued: Queue) -> None:
    job = queued()
    assert {owner_client.get(address).status_code for address in addresses(job)} == {405}


def test_the_api_tells_how_an_import_stands_and_changes_it(owner_client: Client, queued: Queue) -> None:
    job = queued()
    address = f"/api/datasets/imports/{job.pk}"
    assert owner_client.get(address).json()["status"] == "queued"
    assert owner_client.post(f"{address}/cancel").json()["status"] == "cancelled"
    assert owner_client.post(f"{address}/cancel").status_code == 409
    assert owner_client.post(f"{address}/retry").json()["status"] == "queued"
    assert owner_client.post(f"{address}/retry").status_code == 409


def test_a_file_in_one_request_is_for_small_files(owner_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "DIRECT_UPLOAD_BYTES", 1024)
    answer = owner_client.post(reverse("datasets:upload"), {"file": SimpleUploadedFile("x.csv", b"x" * 1025)})
    assert answer.status_code == 400
    assert "more than 1 KB must be sent in pieces" in text(answer)
