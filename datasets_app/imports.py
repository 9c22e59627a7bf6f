"""The verbs of an import job, and what its child process does. A kind of import is a handler in HANDLERS."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.module_loading import import_string

from accounts.models import AnyUser, Team
from datasets_app import importing, parsing, uploads
from datasets_app.limits import UPLOAD_HOURS
from datasets_app.models import Dataset, DatasetVersion, Import, ImportKind, Source, Upload
from datasets_app.parsing import Progress
from datasets_app.problems import DatasetProblem
from jobs import running
from jobs.choices import JobStatus
from loracraft.numbers import thousands

NAME_LENGTH = Import._meta.get_field("name").max_length or 200
ENDED = Q(status__in=[JobStatus.FAILED, JobStatus.CANCELLED])


# (the job, an empty folder on the uploads disk that is removed afterwards, progress) -> the version, saved by
# importing.save(version, job): rows and job in one transaction, so that a job that is done again after a kill never
# leaves two datasets. It raises DatasetProblem; what progress raises when the job is cancelled it lets through.
Handler = Callable[[Import, Path, Progress], DatasetVersion]
# Named, not imported: the web process starts imports, and the child alone does them.
HANDLERS: dict[str, str] = {
    ImportKind.UPLOAD: "datasets_app.imports.import_upload",
    ImportKind.HUB: "datasets_app.hub.import_rows",
    ImportKind.FILTER: "datasets_app.versions.write_filtered",
}


# What pages, API and commands call.


def start(
    team: Team,
    by: AnyUser | None,
    kind: str,
    name: str,
    *,
    request: dict[str, Any] | None = None,
    upload: Upload | None = None,
    dataset: Dataset | None = None,
) -> Import:
    """Queues the job and rings for a worker. `dataset`: the one that gets a further version."""
    job: Import = Import.objects.create(
        team=team,
        created_by_id=by.pk if by else None,
        kind=kind,
        name=name[:NAME_LENGTH],
        request=request or {},
        upload=upload,
        dataset=dataset,
        bytes_total=upload.size if upload else 0,
    )
    ring(job)
    return job


def start_upload(upload: Upload, by: AnyUser | None, name: str = "", source: str = Source.UPLOAD) -> Import:
    """The import of a finished upload: the one that there is, unless it has failed. Raises DatasetProblem."""
    with transaction.atomic():
        # Two clicks on the button start one import.
        current = Upload.objects.select_for_update().filter(pk=upload.pk).first()
        if current is None:
            raise uploads.gone()
        if not current.is_complete:
            raise uploads.Refused(409, f"{current.received} of {current.size} bytes have arrived. Send the rest first.")
        known: Import | None = current.imports.exclude(ENDED).first()
        if known:
            return known
        uploads.touch(current)
        request = {"source": source}
        return start(current.team, by, ImportKind.UPLOAD, name or current.file_name, request=request, upload=current)


def discard_upload(upload: Upload) -> None:
    """Removes an uploaded file that no import needs. Raises DatasetProblem."""
    with transaction.atomic():
        Upload.objects.select_for_update().filter(pk=upload.pk).first()
        if Import.objects.filter(running.OPEN, upload=upload).exists():
            raise uploads.Refused(409, "This file is being imported. Cancel the import first.")
        uploads.discard(upload)


def cancel(job: Import) -> bool:
    """True if it was still open. Its worker ends the child within a second and removes its files."""
    return running.cancel(job)


def retry(job: Import) -> bool:
    """Queues a failed or cancelled job again. False if it is neither, or if its uploaded file is gone."""
    if not can_retry(job):
        return False
    fresh: dict[str, Any] = {"progress": 0, "message": "", "error": "", "rows": 0, "bytes_read": 0}
    rows = Import.objects.filter(ENDED, pk=job.pk)
    if not rows.update(status=JobStatus.QUEUED, worker="", lease_until=None, finished_at=None, **fresh):
        return False
    if job.upload:
        uploads.touch(job.upload)
    ring(job)
    return True


def can_retry(job: Import) -> bool:
    if job.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
        return False
    return job.kind != ImportKind.UPLOAD or bool(job.upload and job.upload.path.is_file())


def dismiss(job: Import) -> bool:
    """Takes an import that has ended off the list, with its uploaded file. False while it is open."""
    if not Import.objects.filter(ENDED, pk=job.pk).delete()[0]:
        return False
    if job.upload and not job.upload.imports.filter(running.OPEN).exists():
        uploads.discard(job.upload)
    return True


def ring(job: Import) -> None:
    from datasets_app.tasks import run_import

    # robust: with the queue away the row waits for the next poll instead of failing the request.
    transaction.on_commit(lambda: run_import(str(job.pk)), robust=True)


def unfinished(user: AnyUser) -> dict[str, Any]:
    """For the list of datasets: imports that run, wait or failed of late, and uploads that none of them is about."""
    of_late = timezone.now() - timedelta(hours=UPLOAD_HOURS)
    failed = Q(status=JobStatus.FAILED, finished_at__gte=of_late)
    jobs = list(Import.objects.of_user(user).filter(running.OPEN | failed).select_related("upload"))
    used = Import.objects.filter(upload__isnull=False).exclude(status=JobStatus.CANCELLED).values("upload")
    rest = list(Upload.objects.of_user(user).exclude(pk__in=used).select_related("created_by"))
    return {"imports": jobs, "uploads": rest, "open_imports": sum(job.status != JobStatus.FAILED for job in jobs)}


# What the child does.


def perform(job: Import) -> None:
    folder = work_folder(job)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        with importing.disk_problems():
            folder.mkdir(parents=True)
            version = handler(job.kind)(job, folder, reporter(job))
            check_saved(job, version)
    except running.Lost:
        return
    except DatasetProblem as problem:
        running.fail(job, sentence(problem))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def handler(kind: str) -> Handler:
    found: Handler = import_string(HANDLERS[kind])
    return found


def check_saved(job: Import, version: DatasetVersion) -> None:
    done = Import.objects.filter(pk=job.pk, status=JobStatus.READY, version=version.pk)
    if not done.exists():
        raise RuntimeError(f"The handler of {job.kind!r} did not save its version with importing.save(version, job).")


def sentence(problem: DatasetProblem) -> str:
    return f"Line {thousands(problem.line)}: {problem.message}" if problem.line else problem.message


def reporter(job: Import) -> Progress:
    tell = running.reporter(job)

    def progress(rows: int, bytes_read: int, bytes_total: int, message: str = "") -> None:
        share = bytes_read / bytes_total if bytes_total else 0.0
        tell(share, message, rows=rows, bytes_read=bytes_read, bytes_total=bytes_total)

    return progress


def import_upload(job: Import, folder: Path, progress: Progress) -> DatasetVersion:
    upload = job.upload
    if upload is None or not upload.path.is_file():
        raise DatasetProblem("The uploaded file is not there any more. Upload it again.")
    uploads.check_sum(upload, progress)
    parsed = parsing.store_file(upload.path, folder, upload.file_name, progress)
    version = importing.as_version(folder, parsed, job=job)
    source = job.request.get("source", Source.UPLOAD)
    detail = {"file_name": upload.file_name, "sha256": parsed.get("source", {}).get("sha256", "")}
    return importing.add_dataset(version, job.team, job.created_by, job.name, source, detail, job)


# What is left behind.


def work_folder(job: Import) -> Path:
    return Path(settings.UPLOADS_DIR) / f"{parsing.PREFIX}{stem(job)}"


def stem(job: Import) -> str:
    """What the files of this attempt are called, so that those of ended ones can be told from them."""
    return f"{job.pk.hex}-{job.attempt}"


def tidy(job: Import) -> None:
    """After an attempt has ended, however it did: what it and older ones left goes, and the file if it is imported."""
    kept = stem_of_result(job)
    for attempt in range(1, job.attempt + 1):
        name = f"{job.pk.hex}-{attempt}"
        shutil.rmtree(Path(settings.UPLOADS_DIR) / f"{parsing.PREFIX}{name}", ignore_errors=True)
        if name != kept:
            importing.remove_stored(name)
    if job.status == JobStatus.READY and job.upload:
        uploads.discard(job.upload)


def stem_of_result(job: Import) -> str:
    return Path(job.version.file).name.partition(".")[0] if job.version else ""
