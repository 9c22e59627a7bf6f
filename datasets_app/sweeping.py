"""Removes what uploads and imports left behind: of those that were given up, and of processes that were killed."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from datasets_app import parsing, uploads
from datasets_app.limits import UPLOAD_HOURS
from datasets_app.models import DatasetVersion, Import, Upload
from jobs import running
from jobs.choices import JobStatus

SWEEP_SECONDS = 3600.0
# Only what a job made, by its name: other files may belong to rows of a database that is not connected now.
OF_A_JOB = re.compile(r"([0-9a-f]{32})-\d+\.(parquet|rejected\.jsonl)")
_swept: float | None = None


def look() -> None:
    """Called by the dispatcher every two seconds; sweeps once an hour."""
    global _swept
    if _swept is None or time.monotonic() - _swept >= SWEEP_SECONDS:
        sweep()
        _swept = time.monotonic()


def sweep() -> None:
    abandoned_uploads()
    parts_without_row()
    files_without_row()
    parsing.remove_stale_folders()


def abandoned_uploads() -> None:
    in_use = Import.objects.filter(running.OPEN, upload__isnull=False).values("upload")
    done = Import.objects.filter(status=JobStatus.READY, upload__isnull=False).values("upload")
    rows = Upload.objects.exclude(pk__in=in_use)
    before = timezone.now() - timedelta(hours=UPLOAD_HOURS)
    for upload in {*rows.filter(touched_at__lt=before), *rows.filter(pk__in=done)}:
        uploads.discard(upload)


def parts_without_row() -> None:
    for file in Path(settings.UPLOADS_DIR).glob("*.part"):
        pk = as_id(file.stem)
        if is_old(file) and not (pk and Upload.objects.filter(pk=pk).exists()):
            file.unlink(missing_ok=True)


def files_without_row() -> None:
    for file in Path(settings.UPLOADS_DIR).iterdir():
        match = OF_A_JOB.fullmatch(file.name)
        if match and is_old(file) and ended(UUID(match[1])) and not is_kept(file.name):
            file.unlink(missing_ok=True)


def ended(pk: UUID) -> bool:
    return Import.objects.filter(pk=pk).exclude(running.OPEN).exists()


def is_kept(name: str) -> bool:
    of_versions = DatasetVersion.objects.filter(file=name) | DatasetVersion.objects.filter(rejected_file=name)
    return of_versions.exists()


def is_old(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_mtime > UPLOAD_HOURS * 3600
    except FileNotFoundError:
        return False


def as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
