"""The verbs that make a dataset and change what may be changed of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from django.conf import settings
from django.db import transaction

from accounts.models import AnyUser, Team
from datasets_app import columns, generation, parsing, rows, tables
from datasets_app.limits import DETECTION_ROWS, SPLIT_SEED
from datasets_app.models import Dataset, DatasetVersion, Source
from datasets_app.problems import DatasetInUse, DatasetProblem
from datasets_app.rules import RULES

NAME_LENGTH = Dataset._meta.get_field("name").max_length or 200
CHANGED_TOO_LATE = (
    "A session uses this version, so it can't change any more. Import the file again to use it differently."
)


def import_jsonl(team: Team, by: AnyUser | None, name: str, file: BinaryIO) -> DatasetVersion:
    """Stores the rows of `file` as a new dataset, with a proposed mapping and a split.

    `accepted` is False if lines were rejected: the good rows are kept, and the user decides. Raises DatasetProblem if
    nothing can be used; then nothing is stored.
    """
    return store(team, by, name, file, Source.UPLOAD, {"file_name": Path(name).name})


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
            return store(team, by, name or f"{task} ({size:,})", file, Source.REASONING_GYM, detail, {"wanted": size})


def store(
    team: Team,
    by: AnyUser | None,
    name: str,
    file: BinaryIO,
    source: str,
    detail: dict[str, Any],
    report: dict[str, Any] | None = None,
) -> DatasetVersion:
    with parsing.work_folder() as folder, disk_problems():
        parsed = parsing.parse(file, folder / "rows.parquet")
        target = Path(settings.UPLOADS_DIR) / f"{uuid4().hex}.parquet"
        os.replace(folder / "rows.parquet", target)
        sync_folder(target.parent)
    try:
        version = as_version(target, parsed, report or {})
        version.dataset = Dataset(
            team=team,
            created_by_id=by.pk if by else None,
            name=free_name(team, name),
            source=source,
            source_detail=detail,
        )
        propose_mapping(version)
        save(version)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return version


def as_version(target: Path, parsed: dict[str, Any], report: dict[str, Any]) -> DatasetVersion:
    return DatasetVersion(
        file=target.name,
        sha256=parsed["sha256"],
        row_count=parsed["row_count"],
        rejected_count=parsed["rejected_count"],
        accepted=not parsed["rejected_count"],
        columns=parsed["columns"],
        report={"rejected": parsed["rejected"], "bytes": parsed["bytes"], **report},
        split={"seed": SPLIT_SEED, "held_out": rows.default_held_out(parsed["row_count"])},
    )


@transaction.atomic
def save(version: DatasetVersion) -> None:
    version.dataset.save()
    version.dataset_id = version.dataset.pk
    version.save()


@contextmanager
def disk_problems() -> Iterator[None]:
    """A full disk is something that a user can put right; any other error of the system is not."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DatasetProblem("The disk is full, so nothing was stored. Make room and try again.") from error


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_name(team: Team, name: str) -> str:
    """`name` as a dataset can carry it, numbered if the team has one like it."""
    base = (
        Path(name.replace("\\", "/")).name.removesuffix(".jsonl").replace("\x00", "").strip()[:NAME_LENGTH] or "Dataset"
    )
    taken = set(
        Dataset.objects.filter(team=team, name__startswith=base[: NAME_LENGTH - 8]).values_list("name", flat=True)
    )
    free, number = base, 2
    while free in taken:
        free = f"{base[: NAME_LENGTH - 8]} ({number})"
        number += 1
    return free


def propose_mapping(version: DatasetVersion) -> None:
    """Fills mapping, split and report of an unsaved version, where question and answer can be told."""
    guesses = columns.detect(version.columns, tables.page(version.path, 0, DETECTION_ROWS))
    version.report["detected"] = {role: vars(guess) for role, guess in guesses.items()}
    question, answer = guesses["instruction"].column, guesses["response"].column
    if question and answer:
        version.mapping = {"instruction": question, "response": answer, "rule": rule_of(version, answer)}
        measure(version)


def rule_of(version: DatasetVersion, column: str) -> str:
    sample = tables.page(version.path, 0, DETECTION_ROWS)
    return columns.detect_rule([tables.text(row[column]) for row in sample])


def measure(version: DatasetVersion) -> None:
    """Derives the split's default size, unless the user chose one, and counts the parts for the pages."""
    section = section_of(version)
    if not version.split.get("chosen"):
        version.split["held_out"] = rows.default_held_out(rows.parts(version, section).questions)
    version.report["parts"] = rows.parts(version, section).counts


def section_of(version: DatasetVersion) -> rows.Fields:
    """The columns of the version's own mapping. Raises DatasetProblem if there is none yet."""
    mapping = version.mapping
    if not mapping:
        raise DatasetProblem(f"{version.dataset} has no question and answer column yet. Choose them on its page.")
    return rows.Fields(mapping["instruction"], mapping["response"])


def map_columns(version: DatasetVersion, instruction: str, response: str, rule: str = "") -> None:
    """Sets question and answer column and the rule for the final answer; an empty `rule` means: detect one.

    Raises DatasetProblem for a column that does not exist, an unknown rule, columns without one usable row, and once
    a session uses the version.
    """
    rows.check_column(version, instruction, "instruction")
    rows.check_column(version, response, "response")
    if instruction == response:
        raise DatasetProblem("Question and answer can't be the same column.", field="response")
    if rule and rule not in RULES:
        raise DatasetProblem(f"There is no rule “{rule}”. Known: {', '.join(RULES)}.", field="rule")
    version.mapping = {"instruction": instruction, "response": response, "rule": rule or rule_of(version, response)}
    measure(version)
    if not version.report["parts"]["questions"]:
        raise DatasetProblem(nothing_left(version), field="rule")
    change(version)


def nothing_left(version: DatasetVersion) -> str:
    if version.report["parts"]["skipped"]["no_reference"]:
        label = RULES[version.mapping["rule"]].label
        return f"The rule “{label}” finds no final answer in any row. Choose another rule or column."
    return "No row has both a question and an answer in these columns. Choose others."


def set_split(version: DatasetVersion, held_out: int, seed: int) -> None:
    """Raises DatasetProblem for an impossible size, and once a session uses the version."""
    questions = rows.parts(version, section_of(version)).questions
    if not 1 <= held_out <= questions // 2:
        raise DatasetProblem(
            f"Between 1 and {questions // 2:,} of the {questions:,} different questions can be held out, at most half.",
            field="held_out",
        )
    version.split = {"seed": seed, "held_out": held_out, "chosen": True}
    measure(version)
    change(version)


def change(version: DatasetVersion) -> None:
    """Saves mapping and split if no session uses the version; one statement, so that none can start meanwhile."""
    free = DatasetVersion.objects.filter(pk=version.pk, sessions__isnull=True)
    if not free.update(mapping=version.mapping, split=version.split, report=version.report):
        raise DatasetProblem(CHANGED_TOO_LATE)


def accept(version: DatasetVersion) -> bool:
    """Keeps the good rows of an import with rejected lines. Returns whether this call decided it."""
    won = DatasetVersion.objects.filter(pk=version.pk, accepted=False).update(accepted=True)
    version.accepted = True
    return bool(won)


def delete(dataset: Dataset, *, confirmed: bool = False) -> None:
    """Removes rows and files. Raises DatasetInUse while a session runs on it, or ever did, unless `confirmed`."""
    with transaction.atomic():
        versions = list(dataset.versions.prefetch_related("sessions"))
        check_unused([session for version in versions for session in version.sessions.all()], confirmed)
        dataset.delete()
        transaction.on_commit(lambda: remove_files(versions))


def remove_files(versions: list[DatasetVersion]) -> None:
    for version in versions:
        version.path.unlink(missing_ok=True)


def counted(sessions: list[Any]) -> str:
    return "1 session was" if len(sessions) == 1 else f"{len(sessions)} sessions were"


def check_unused(sessions: list[Any], confirmed: bool) -> None:
    active = [session.name for session in sessions if session.is_active]
    if active:
        raise DatasetInUse(
            f"Training now: {', '.join(active[:3])}. Stop it before you delete its dataset.", certain=True
        )
    if sessions and not confirmed:
        raise DatasetInUse(
            f"{counted(sessions)} trained on this dataset. Their results stay, but they can't be resumed or"
            " repeated without it. Confirm that you want this.",
            certain=False,
        )
