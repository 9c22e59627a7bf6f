"""The verbs of evaluation sets: rows of a dataset version, frozen, so that each model answers the same ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.access import require, teams_with
from accounts.models import AnyUser, Role
from datasets_app import rows
from datasets_app.models import DatasetVersion
from datasets_app.problems import DatasetProblem
from datasets_app.rows import Fields, Row
from evaluation.models import Evaluation, EvaluationRow, EvaluationSet
from jobs.choices import JobStatus
from loracraft.numbers import thousands
from training.recorder import storable

MOST_ROWS = 10_000
# Of a set that nobody sized.
USUAL_ROWS = 200
LARGEST_SEED = 2**32 - 1
LONGEST_SEARCH = 200
WRITTEN_AT_ONCE = 500
HELD_OUT, ALL = "held_out", "all"
PARTS = {HELD_OUT: "Held-out rows", ALL: "All rows, trained ones included"}
OPEN = [JobStatus.QUEUED, JobStatus.RUNNING]


class SetProblem(Exception):
    """Why this can't be done; `field` is the field of the form that it is about, "" for none."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message, self.field = message, field


@dataclass(frozen=True)
class Wanted:
    """`sample`: so many rows at random, by `seed`; None: all of the part."""

    part: str = HELD_OUT
    sample: int | None = None
    seed: int = 0
    name: str = ""
    description: str = ""


def visible_to(user: AnyUser) -> QuerySet[EvaluationSet]:
    found: QuerySet[EvaluationSet] = EvaluationSet.objects.of_user(user)
    return found


def versions_of(user: AnyUser) -> QuerySet[DatasetVersion]:
    """What a set can be made of: the teams', newest first, but for those whose columns nobody has named."""
    mapped = ~Q(mapping__instruction=None) & ~Q(mapping__instruction="")
    found = DatasetVersion.objects.filter(mapped, accepted=True, dataset__team__in=teams_with(user, Role.MEMBER))
    return found.select_related("dataset").order_by("-dataset__created_at", "-number")


def create(user: AnyUser, version: DatasetVersion, wanted: Wanted) -> EvaluationSet:
    """Raises SetProblem, PermissionDenied."""
    require(user, version.dataset.team, Role.MEMBER)
    chosen = chosen_rows(version, wanted)
    frozen = [frozen_row(number, row) for number, row in enumerate(chosen, 1)]
    with transaction.atomic():
        made = EvaluationSet.objects.create(
            team=version.dataset.team,
            created_by_id=user.pk,
            name=wanted.name.strip() or name_of(version, wanted, len(frozen)),
            description=wanted.description.strip(),
            version=version,
            origin=origin_of(version, wanted),
            row_count=len(frozen),
            sha256=digest(frozen),
        )
        for row in frozen:
            row.evaluation_set = made
        EvaluationRow.objects.bulk_create(frozen, batch_size=WRITTEN_AT_ONCE)
    return made


def chosen_rows(version: DatasetVersion, wanted: Wanted) -> list[Row]:
    """Raises SetProblem."""
    try:
        section = section_of(version)
        numbers = numbers_of(version, section, wanted.part)
        return rows.load(version, section, picked(numbers, wanted))
    except DatasetProblem as problem:
        raise SetProblem(str(problem), "version") from None
    except OSError:
        raise SetProblem("The rows of this version are gone from the disk. Choose another one.", "version") from None


def section_of(version: DatasetVersion) -> Fields:
    """Raises SetProblem where nobody has said which columns hold question and answer."""
    mapping = version.mapping
    if not mapping.get("instruction") or not mapping.get("response"):
        raise SetProblem("Say on the dataset's page first which columns hold question and answer.", "version")
    return Fields(mapping["instruction"], mapping["response"])


def numbers_of(version: DatasetVersion, section: Fields, part: str) -> Sequence[int]:
    """Raises SetProblem if the part has no row."""
    found = rows.parts(version, section)
    numbers = found.held_out if part == HELD_OUT else sorted([*found.train, *found.validation, *found.held_out])
    if not numbers:
        raise SetProblem("No row of this part can be used: a question or an answer is missing in each.", "part")
    return numbers


def picked(numbers: Sequence[int], wanted: Wanted) -> Sequence[int]:
    """Raises SetProblem for more rows than a set may have, or than there are."""
    if wanted.sample is None and len(numbers) > MOST_ROWS:
        raise SetProblem(
            f"That are {thousands(len(numbers))} rows, and a set has {thousands(MOST_ROWS)} at most."
            " Say how many of them to draw at random.",
            "sample",
        )
    if wanted.sample is None:
        return numbers
    if wanted.sample > len(numbers):
        raise SetProblem(
            f"This part has only {thousands(len(numbers))} rows. Take all of them, or draw fewer.", "sample"
        )
    return rows.sampled(numbers, wanted.sample, wanted.seed)


def frozen_row(number: int, row: Row) -> EvaluationRow:
    # Dates and the like have no form in JSON: rewards get them as text.
    columns = storable(json.loads(json.dumps(row.columns, default=str)))
    return EvaluationRow(
        number=number,
        dataset_row=row.row,
        instruction=storable(row.instruction),
        reference=storable(row.reference),
        columns=columns,
    )


def digest(frozen: Sequence[EvaluationRow]) -> str:
    """SHA-256 over [instruction, reference, columns] of each row, as JSON with sorted keys, a line each."""
    found = sha256()
    for row in frozen:
        line = json.dumps([row.instruction, row.reference, row.columns], ensure_ascii=False, sort_keys=True)
        found.update(line.encode() + b"\n")
    return found.hexdigest()


def origin_of(version: DatasetVersion, wanted: Wanted) -> dict[str, Any]:
    return {
        "dataset": version.dataset.name,
        "dataset_id": str(version.dataset_id),
        "version": version.number,
        "sha256": version.sha256,
        "part": wanted.part,
        "sample": wanted.sample,
        "seed": wanted.seed if wanted.sample else None,
        "instruction": version.mapping["instruction"],
        "response": version.mapping["response"],
    }


def name_of(version: DatasetVersion, wanted: Wanted, count: int) -> str:
    what = "held out" if wanted.part == HELD_OUT else "of all rows"
    return f"{version.dataset.name[:150]} v{version.number}, {count} {what}"


def where_from(found: EvaluationSet) -> str:
    """In a few words."""
    origin = found.origin
    part = "held-out rows" if origin["part"] == HELD_OUT else "rows, trained ones included"
    drawn = f"{thousands(found.row_count)} at random (seed {origin['seed']}) of its " if origin["sample"] else "all "
    return f"{drawn}{part}"


def rows_with(found: EvaluationSet, text: str) -> QuerySet[EvaluationRow]:
    text = text.strip()[:LONGEST_SEARCH].replace("\x00", "")
    if not text:
        return found.rows.all()
    return found.rows.filter(Q(instruction__icontains=text) | Q(reference__icontains=text))


def delete(found: EvaluationSet) -> None:
    """With the evaluations on it. Raises SetProblem while one of them runs."""
    with transaction.atomic():
        running = Evaluation.objects.filter(evaluation_set=found, status__in=OPEN).first()
        if running:
            raise SetProblem(f"The evaluation “{running.name}” uses it and still runs. Cancel that first.")
        found.delete()
