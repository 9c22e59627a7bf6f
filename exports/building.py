"""The verbs of exports. What makes the files is in artefacts.py, in a child process."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from exports import sharing
from exports.formats import ALL, Choice, choice, needed_space, parameters
from exports.models import Export, Format
from exports.problems import ExportProblem
from jobs import running
from jobs.choices import JobStatus
from training import adapters
from training.models import Session

ALIASES = {"huggingface": Format.ADAPTER, "lora": Format.ADAPTER, "peft": Format.ADAPTER, "safetensors": Format.MERGED}
OPEN = sharing.OPEN


def create(
    session: Session, by: User | None, format: str, quantization: str = "", *, ring: bool = True, check: bool = True
) -> Export:
    """Queues an export, or returns the one that is already open or ready. Raises ExportProblem."""
    return create_all(session, by, [resolve(format, quantization)], ring=ring, check=check)[0]


def create_all(
    session: Session, by: User | None, wanted: Sequence[Choice], *, ring: bool = True, check: bool = True
) -> list[Export]:
    """All of them or none: one export for each of `wanted`, new where there is none yet. Raises ExportProblem."""
    if not wanted:
        raise ExportProblem("Nothing is chosen.", "Choose at least one format.")
    if missing := next((choice.missing for choice in wanted if choice.missing), ""):
        raise ExportProblem(missing)
    adapter = adapters.newest(session)
    if adapter is None:
        raise ExportProblem("This session has no adapter yet.", "Train it for at least one checkpoint, then export.")
    with transaction.atomic():
        # Serialises two clicks on the same button.
        Session.objects.select_for_update().get(pk=session.pk)
        found = {choice: existing(session, choice, adapter) for choice in dict.fromkeys(wanted)}
        check_space(session, [choice for choice, export in found.items() if export is None], adapter)
        for choice, export in found.items():
            found[choice] = export or _queued(session, by, choice, ring=ring, check=check)
    return [export for export in found.values() if export]


def _queued(session: Session, by: User | None, choice: Choice, *, ring: bool, check: bool) -> Export:
    export = Export.objects.create(
        team=session.team,
        created_by=by,
        session=session,
        format=choice.format,
        quantization=choice.quantization,
        wants_check=check,
    )
    if ring:
        _ring(export)
    return export


def resolve(format: str, quantization: str = "") -> Choice:
    name = format.strip().lower()
    quantization = quantization.strip().lower() or ("q8_0" if name == Format.GGUF else "")
    wanted = choice(ALIASES.get(name, name), quantization)
    if wanted is None:
        raise _unknown(f"{format!r} {quantization}".strip())
    return wanted


def keyed(key: str) -> Choice:
    """By the key that lists and forms use: adapter, gguf-q8_0. Raises ExportProblem."""
    wanted = next((choice for choice in ALL if choice.key == key.strip().lower()), None)
    if wanted is None:
        raise _unknown(repr(key))
    return wanted


def _unknown(what: str) -> ExportProblem:
    known = ", ".join(choice.key.replace("-", " ") for choice in ALL)
    return ExportProblem(f"There is no export {what[:100]}.", f"Choose one of: {known}.")


def existing(session: Session, wanted: Choice, adapter: Path) -> Export | None:
    """The export that a new one would only repeat: one being built, or one made after the adapter last changed."""
    rows = session.exports.filter(format=wanted.format, quantization=wanted.quantization)
    found = rows.filter(status__in=OPEN).first()
    if found:
        return found
    ready = rows.filter(status=JobStatus.READY).first()
    changed = (adapter / "adapter_model.safetensors").stat().st_mtime
    return ready if ready and ready.created_at.timestamp() >= changed else None


def check_space(session: Session, wanted: Sequence[Choice], adapter: Path) -> None:
    """For all of `wanted` together. Raises ExportProblem."""
    needed = needed_space(wanted, parameters(session), adapter) if wanted else 0
    free = shutil.disk_usage(settings.EXPORTS_DIR).free
    if free < needed:
        what = wanted[0].title if len(wanted) == 1 else f"these {len(wanted)} formats"
        verb = "needs" if len(wanted) == 1 else "need"
        raise ExportProblem(
            f"Not enough disk space: {what} {verb} about {gigabytes(needed)} while built,"
            f" {gigabytes(free)} are free in the exports folder.",
            "Delete old exports or checkpoints, or choose smaller formats.",
        )


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def cancel(export: Export) -> bool:
    won = running.cancel(export)
    # One that waited has nobody else who tidies up after it.
    sharing.release(export.session)
    return won


def delete(export: Export) -> None:
    """Row first, files after: a file without a row is swept, a row without its file would lie."""
    folder = artefact_folder(export)
    running.cancel(export)
    export.delete()
    shutil.rmtree(folder, ignore_errors=True)
    for part in parts(export.folder, str(export.id)):
        shutil.rmtree(part, ignore_errors=True)
    sharing.release(export.session)


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
    sharing.release(export.session)


def _ring(export: Export) -> None:
    from exports.tasks import build_export

    # robust: with the queue away the row waits for the next poll instead of failing the request.
    transaction.on_commit(lambda: build_export(str(export.id)), robust=True)
