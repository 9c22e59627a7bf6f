"""What the pages of rewards are shown from above: rows of datasets as a reward gets them, and who uses a preset."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.core.exceptions import ValidationError
from django.urls import reverse

from accounts.models import AnyUser
from datasets_app.models import Dataset, DatasetVersion
from datasets_app.problems import DatasetProblem
from rewards.models import RewardPreset
from rewards.outside import RowMissing, SampleRow, Source, Use
from training.choices import Status
from training.models import SavedConfig, Session

OFFERED = 200
LISTED = 50
# A cell that is longer says nothing in a text field.
LONGEST_CELL = 20_000


def sources(user: AnyUser) -> list[Source]:
    """The versions whose columns are mapped, of the newest datasets first."""
    found = usable(user).select_related("dataset").defer("report", "columns")
    mapped = (version for version in found.order_by("-dataset__created_at", "-number") if version.mapping)
    return [
        Source(str(version.pk), f"{version.dataset.name}, version {version.number}")
        for version in islice(mapped, OFFERED)
    ]


def usable(user: AnyUser) -> Any:
    return DatasetVersion.objects.filter(dataset__in=Dataset.objects.of_user(user), accepted=True)


def row(user: AnyUser, source: str, place: int) -> SampleRow:
    """The row at `place` among the first ones that can be used. Raises RowMissing."""
    # Late: these read Parquet, and this module is imported at start.
    from datasets_app import mapping, previews

    try:
        version = usable(user).select_related("dataset").filter(pk=source).first()
    except (ValueError, ValidationError):
        version = None
    if version is None:
        raise RowMissing("That dataset is gone. Choose another one, or type a question.")
    try:
        mapped = previews.mapped(version, mapping.section_of(version), place + 2)
    except DatasetProblem as problem:
        raise RowMissing(str(problem)) from None
    except OSError:
        raise RowMissing(f"The file of {version.dataset} is gone. Choose another one, or upload it again.") from None
    found = [each.row for each in mapped if not each.missing]
    if not found:
        raise RowMissing(f"{version.dataset} has no row with question and answer. Check its mapping.")
    place = min(place, len(found) - 1)
    return as_sample(found[place], place, len(found) > place + 1)


def as_sample(found: Any, place: int, more: bool) -> SampleRow:
    columns = {name: value for name, value in found.columns.items() if len(str(value)) <= LONGEST_CELL}
    return SampleRow(found.instruction, found.reasoning, found.reference, columns, place, more)


def uses(preset: RewardPreset) -> list[Use]:
    """The sessions, drafts and saved configs of the team that name the preset."""
    named = {"team": preset.team, "config__reward__preset_name": preset.slug}
    sessions = Session.objects.filter(**named).exclude(config__reward__type="custom").only("pk", "name", "status")
    configs = SavedConfig.objects.filter(**named).only("pk", "name")
    return [
        *(use_of(session) for session in sessions[:LISTED]),
        *(Use(config.name, reverse("training:configs"), "saved config", False) for config in configs[:LISTED]),
    ]


def use_of(session: Session) -> Use:
    """A draft takes the preset only when it is started."""
    draft = session.status == Status.DRAFT
    return Use(session.name, session_url(session), "draft" if draft else "session", not draft)


def session_url(session: Session) -> str:
    if session.status == Status.DRAFT:
        return reverse("training:setup", args=[session.pk, "reward"])
    return reverse("training:session", args=[session.pk])
