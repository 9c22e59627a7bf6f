"""The verbs that make a dataset and change what may be changed of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from accounts.models import AnyUser, Team
from datasets_app import checks, generation, mapping, parsing, rows, splits
from datasets_app.limits import SPLIT_SEED
from datasets_app.models import Dataset, DatasetVersion, Import, ImportKind, Source
from datasets_app.problems import DISK_FULL, DatasetInUse, DatasetProblem, is_full_disk
from datasets_app.tables import REJECTED, ROWS
from jobs import running

NAME_LENGTH = Dataset._meta.get_field("name").max_length or 200
ENDINGS = re.compile(r"(\.(jsonl|ndjson|json|csv|tsv|parquet|txt))?(\.(gz|zst))?$", re.IGNORECASE)


def import_jsonl(team: Team, by: AnyUser | None, name: str, file: BinaryIO) -> DatasetVersion:
    """Stores the rows of `file` as a new dataset, with a proposed mapping and a split.

    `accepted` is False if lines were rejected: the good rows are kept, and the user decides. Raises DatasetProblem if
    nothing can be used; then nothing is stored.
    """
    return store(team, by, name, file, Source.UPLOAD, {"file_name": base_name(name)})


def generate(
    team: Team,
    by: AnyUser | None,
    task: str = "chain_sum",
    parameters: dict[str, Any] | None = None,
    seed: int = 42,
    size: int = 1000,
    name: str | None = None,
) -> DatasetVersion:
    """`size` different questions of a reasoning-gym task; fewer, if the task has no more (`report["wanted"]`)."""
    parameters = parameters or {}
    detail = {"task": task, "parameters": parameters, "seed": seed, "size": size}
    with parsing.work_folder() as folder:
        questions = folder / "questions.jsonl"
        generation.write(questions, task, parameters, seed, size)
        with open(questions, "rb") as file:
            known = {"instruction": "question", "response": "metadata", "rule": "whole"}
            unanswered = generation.catalogue()[task]["answers"] == "none"
            named, report = name or f"{task} ({size:,})", {"wanted": size}
            return store(team, by, named, file, Source.REASONING_GYM, detail, report, known if unanswered else None)


def store(
    team: Team,
    by: AnyUser | None,
    name: str,
    file: BinaryIO,
    source: str,
    detail: dict[str, Any],
    report: dict[str, Any] | None = None,
    known: dict[str, Any] | None = None,
) -> DatasetVersion:
    """The rows of an open file as a new dataset, while the caller waits: for small files. Big ones are import jobs."""
    with parsing.work_folder() as folder, disk_problems():
        parsed = parsing.parse(file, folder / ROWS, detail.get("file_name", ""))
        version = as_version(folder, parsed, report)
    return add_dataset(version, team, by, name, source, detail, known=known)


def as_version(
    folder: Path, parsed: dict[str, Any], report: dict[str, Any] | None = None, job: Import | None = None
) -> DatasetVersion:
    """An unsaved version without a dataset; its files are moved from `folder`, where parsing.store_file left them.

    Save it with add_dataset() or add_version(), which remove the files again if that fails.
    """
    stem = f"{job.pk.hex}-{job.attempt}" if job else uuid4().hex
    source = {"source": parsed["source"]} if "source" in parsed else {}
    return DatasetVersion(
        file=move(folder / ROWS, stem, ".parquet"),
        rejected_file=move(folder / REJECTED, stem, ".rejected.jsonl"),
        sha256=parsed["sha256"],
        row_count=parsed["row_count"],
        rejected_count=parsed["rejected_count"],
        accepted=not parsed["rejected_count"],
        columns=parsed["columns"],
        report={"rejected": parsed["rejected"], "bytes": parsed["bytes"], **source, **(report or {})},
        split={"seed": SPLIT_SEED, "held_out": rows.default_held_out(parsed["row_count"])},
    )


def move(file: Path, stem: str, ending: str) -> str:
    """The name that `file` has from now on below the uploads folder; "" if there is none."""
    if not file.exists():
        return ""
    target = Path(settings.UPLOADS_DIR) / f"{stem}{ending}"
    os.replace(file, target)
    sync_folder(target.parent)
    return target.name


def remove_stored(stem: str) -> None:
    for ending in (".parquet", ".rejected.jsonl"):
        (Path(settings.UPLOADS_DIR) / f"{stem}{ending}").unlink(missing_ok=True)


def add_dataset(
    version: DatasetVersion,
    team: Team,
    by: AnyUser | None,
    name: str,
    source: str,
    detail: dict[str, Any],
    job: Import | None = None,
    known: dict[str, Any] | None = None,
) -> DatasetVersion:
    """Saves the version of as_version() as a new dataset, with a proposed mapping, or the `known` one if it fits."""
    with files_of(version):
        version.dataset = Dataset(
            team=team,
            created_by_id=by.pk if by else None,
            name=clean_name(name),
            source=source,
            source_detail=detail,
        )
        splits.propose(version)
        mapping.propose_mapping(version, known)
        save(version, job)
    return version


def add_version(version: DatasetVersion, dataset: Dataset, job: Import | None = None) -> DatasetVersion:
    """Saves the version of as_version(), its mapping and split set by the caller, as the dataset's next."""
    with files_of(version):
        version.dataset = dataset
        save(version, job)
    return version


@contextmanager
def files_of(version: DatasetVersion) -> Iterator[None]:
    try:
        yield
    except BaseException:
        remove_stored(Path(version.file).name.partition(".")[0])
        raise


@transaction.atomic
def save(version: DatasetVersion, job: Import | None = None) -> None:
    """The version, its dataset if it is new, and the job that made them: all or none.

    Raises running.Lost if the job was cancelled or taken over.
    """
    dataset = version.dataset
    # Two who import the same file at once get different names, and two filters different numbers.
    Team.objects.select_for_update().get(pk=dataset.team_id)
    if dataset._state.adding:
        dataset.name = free_name(dataset.team, dataset.name)
        dataset.save()
    else:
        # Asked of the database: the caller may have read the dataset before another version was made or deleted.
        last = Dataset.objects.filter(pk=dataset.pk).aggregate(made=Max("versions_made"), last=Max("versions__number"))
        version.number = 1 + max(last["made"] or 1, last["last"] or 0)
        Dataset.objects.filter(pk=dataset.pk).update(versions_made=version.number)
    version.dataset_id = dataset.pk
    version.save()
    checks.start_first(version)
    if job:
        running.finish(job, dataset=dataset, version=version, rows=version.row_count + version.rejected_count)


@contextmanager
def disk_problems() -> Iterator[None]:
    """A full disk is something that a user can put right; any other error of the system is not."""
    try:
        yield
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise DatasetProblem(DISK_FULL) from error


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clean_name(name: str) -> str:
    """`name`, perhaps that of a file on somebody's machine, as a dataset can carry it."""
    return ENDINGS.sub("", base_name(name)).strip()[:NAME_LENGTH] or "Dataset"


def base_name(name: str) -> str:
    """Without folders of either kind of system, and without NUL, which PostgreSQL takes nowhere."""
    return Path(name.replace("\\", "/").replace("\x00", "")).name


def free_name(team: Team, name: str) -> str:
    """`name`, numbered if the team has a dataset like it."""
    start = name[: NAME_LENGTH - 8]
    taken = set(Dataset.objects.filter(team=team, name__startswith=start).values_list("name", flat=True))
    free, number = name, 2
    while free in taken:
        free = f"{start} ({number})"
        number += 1
    return free


def rename(dataset: Dataset, name: str) -> None:
    """Raises DatasetProblem for a name that is empty, too long or taken in the team."""
    name = name.replace("\x00", "").strip()
    if not name:
        raise DatasetProblem("Give the dataset a name, so that you find it again.", field="name")
    if len(name) > NAME_LENGTH:
        raise DatasetProblem(f"Write {NAME_LENGTH} characters at most.", field="name")
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=dataset.team_id)
        if Dataset.objects.filter(team=dataset.team_id, name=name).exclude(pk=dataset.pk).exists():
            raise DatasetProblem(f"{dataset.team} already has a dataset called “{name}”. Choose another.", field="name")
        Dataset.objects.filter(pk=dataset.pk).update(name=name)
    dataset.name = name


def accept(version: DatasetVersion) -> bool:
    """Keeps the good rows of an import with rejected lines. Returns whether this call decided it."""
    won = DatasetVersion.objects.filter(pk=version.pk, accepted=False).update(accepted=True)
    version.accepted = True
    return bool(won)


def delete(dataset: Dataset, *, confirmed: bool = False) -> None:
    """Removes rows and files. Raises DatasetInUse while a session runs on it, or ever did, unless `confirmed`."""
    with transaction.atomic():
        versions = list(dataset.versions.prefetch_related("sessions"))
        check_unused([session for version in versions for session in version.sessions.all()], "dataset", confirmed)
        dataset.delete()
        transaction.on_commit(lambda: remove_files(versions))


def delete_version(version: DatasetVersion, *, confirmed: bool = False) -> None:
    """As delete(), of one version; of the last one, the whole dataset."""
    dataset = version.dataset
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=dataset.team_id)
        if not dataset.versions.exclude(pk=version.pk).exists():
            delete(dataset, confirmed=confirmed)
            return
        check_unused(list(version.sessions.all()), "version", confirmed)
        if Import.objects.filter(running.OPEN, kind=ImportKind.FILTER, request__version=version.pk).exists():
            raise DatasetInUse("A new version is being made from this one. Wait for it, or cancel it.", certain=True)
        # Deleting empties the primary key of the object, which the caller may still show.
        DatasetVersion.objects.filter(pk=version.pk).delete()
        transaction.on_commit(lambda: remove_files([version]))


def remove_files(versions: list[DatasetVersion]) -> None:
    """But those that another version shares: one that only has another mapping."""
    for version in versions:
        for name in ("file", "rejected_file"):
            file = getattr(version, name)
            if file and not DatasetVersion.objects.filter(**{name: file}).exists():
                (Path(settings.UPLOADS_DIR) / file).unlink(missing_ok=True)


def counted(sessions: list[Any]) -> str:
    return "1 session was" if len(sessions) == 1 else f"{len(sessions)} sessions were"


def check_unused(sessions: list[Any], what: str, confirmed: bool) -> None:
    active = [session.name for session in sessions if session.is_active]
    if active:
        raise DatasetInUse(
            f"Training now: {', '.join(active[:3])}. Stop it before you delete its {what}.", certain=True
        )
    if sessions and not confirmed:
        raise DatasetInUse(
            f"{counted(sessions)} trained on this {what}. The results stay, with a note of what was trained on,"
            " but nothing can be resumed or repeated without it. Confirm that you want this.",
            certain=False,
        )
