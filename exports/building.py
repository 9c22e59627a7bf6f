"""The verbs of exports. What makes the files is in artefacts.py, in a child process."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from exports.formats import CHOICES, Choice, choice, needed_space, parameters
from exports.models import Export, Format
from exports.problems import ExportProblem
from jobs import running
from jobs.choices import JobStatus
from training import adapters
from training.models import Session

ALIASES = {"huggingface": Format.ADAPTER, "lora": Format.ADAPTER, "peft": Format.ADAPTER, "safetensors": Format.MERGED}
OPEN = [JobStatus.QUEUED, JobStatus.RUNNING]


def create(session: Session, by: User | None, format: str, quantization: str = "", *, ring: bool = True) -> Export:
    """Queues an export, or returns the one that is already open or ready. Raises ExportProblem."""
    wanted = resolve(format, quantization)
    if wanted.missing:
        raise ExportProblem(wanted.missing)
    adapter = adapters.newest(session)
    if adapter is None:
        raise ExportProblem("This session has no adapter yet.", "Train it for at least one checkpoint, then export.")
    with transaction.atomic():
        # Serialises two clicks on the same button.
        Session.objects.select_for_update().get(pk=session.pk)
        same = existing(session, wanted, adapter)
        if same:
            return same
        check_space(session, wanted, adapter)
        export = Export.objects.create(
            team=session.team, created_by=by, session=session, format=wanted.format, quantization=wanted.quantization
        )
    if ring:
        _ring(export)
    return export


def resolve(format: str, quantization: str = "") -> Choice:
    name = format.strip().lower()
    quantization = quantization.strip().lower() or ("q8_0" if name == Format.GGUF else "")
    wanted = choice(ALIASES.get(name, name), quantization)
    if wanted is None:
        known = ", ".join(c.key.replace("-", " ") for c in CHOICES)
        raise ExportProblem(f"There is no export {format!r} {quantization}".strip() + ".", f"Choose one of: {known}.")
    return wanted


def existing(session: Session, wanted: Choice, adapter: Path) -> Export | None:
    """The export that a new one would only repeat: one being built, or one made after the adapter last changed."""
    rows = session.exports.filter(format=wanted.format, quantization=wanted.quantization)
    found = rows.filter(status__in=OPEN).first()
    if found:
        return found
    ready = rows.filter(status=JobStatus.READY).first()
    changed = (adapter / "adapter_model.safetensors").stat().st_mtime
    return ready if ready and ready.created_at.timestamp() >= changed else None


def check_space(session: Session, wanted: Choice, adapter: Path) -> None:
    needed = needed_space(wanted, parameters(session), adapter)
    free = shutil.disk_usage(settings.EXPORTS_DIR).free
    if free < needed:
        raise ExportProblem(
            f"Not enough disk space: {wanted.title} needs about {gigabytes(needed)} while it is built,"
            f" {gigabytes(free)} are free in the exports folder.",
            "Delete old exports or checkpoints, or choose a smaller format.",
        )


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def cancel(export: Export) -> bool:
    return running.cancel(export)


def delete(export: Export) -> None:
    """Row first, files after: a file without a row is swept, a row without its file would lie."""
    folder = artefact_folder(export)
    running.cancel(export)
    export.delete()
    shutil.rmtree(folder, ignore_errors=True)
    for part in parts(export.folder, str(export.id)):
        shutil.rmtree(part, ignore_errors=True)


def artefact_folder(export: Export) -> Path:
    """Named by the program alone: format, quantisation and the beginning of the row's id."""
    name = "-".join(filter(None, [export.format, export.quantization, str(export.id)[:8]]))
    return export.folder / name


def zip_name(export: Export) -> str:
    return f"{artefact_folder(export).name}.zip"


def part_folder(export: Export) -> Path:
    return export.folder / f".part-{export.id}-{export.attempt}"


def parts(folder: Path, pk: str) -> list[Path]:
    return list(folder.glob(f".part-{pk}-*")) if folder.is_dir() else []


def tidy(export: Export) -> None:
    """After a build has ended, however it did: its unfinished files go."""
    shutil.rmtree(part_folder(export), ignore_errors=True)
    if export.status == JobStatus.CANCELLED:
        shutil.rmtree(artefact_folder(export), ignore_errors=True)


def _ring(export: Export) -> None:
    from exports.tasks import build_export

    # robust: with the queue away the row waits for the next poll instead of failing the request.
    transaction.on_commit(lambda: build_export(str(export.id)), robust=True)
