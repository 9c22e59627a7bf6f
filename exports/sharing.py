"""What several GGUF files of one adapter are made of: the F16 file and its Modelfile, made once and kept while any of
them waits. An F16 export that is ready serves as well."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from django.db.models import QuerySet

from exports.models import Export, Format
from jobs.choices import JobStatus
from training.models import Session

OPEN = [JobStatus.QUEUED, JobStatus.RUNNING]
F16_NAME = "model-f16.gguf"


def source(export: Export) -> Path | None:
    """A folder with F16 file and Modelfile of the same adapter."""
    kept = _folder(export)
    if kept.is_dir():
        return kept
    ready = _ggufs(export.session).filter(
        quantization="f16", status=JobStatus.READY, adapter_sha256=export.adapter_sha256
    )
    folders = ((found.folder / found.file).parent for found in ready)
    return next((folder for folder in folders if (folder / F16_NAME).is_file()), None)


def is_wanted(export: Export) -> bool:
    """Whether others would be made of the same F16 file."""
    return _ggufs(export.session).filter(status__in=OPEN).exclude(pk=export.pk).exists()


def keep(export: Export, made: Path) -> Path:
    """`made` is a finished folder on the same disk. If somebody was quicker, theirs serves."""
    try:
        os.replace(made, _folder(export))
    except OSError:
        if not _folder(export).is_dir():
            raise
    return _folder(export)


def release(session: Session) -> None:
    """Removes it when nobody waits for it any more."""
    if not _ggufs(session).filter(status__in=OPEN).exists():
        for folder in Export(session=session).folder.glob(".shared-*"):
            shutil.rmtree(folder, ignore_errors=True)


def _ggufs(session: Session) -> QuerySet[Export]:
    return Export.objects.filter(session=session, format=Format.GGUF)


def _folder(export: Export) -> Path:
    return export.folder / f".shared-{export.adapter_sha256[:16]}"
