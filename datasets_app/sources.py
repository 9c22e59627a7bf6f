from __future__ import annotations

import re
from uuid import UUID

from accounts.models import Team
from datasets_app.models import Dataset, DatasetVersion, Source
from datasets_app.problems import DatasetProblem

# A dataset of the hub, as config files name it: owner/name.
HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
PINNED = re.compile(r"(?P<name>.+)@(?P<number>[1-9]\d{0,8})", re.DOTALL | re.ASCII)


def resolve(team: Team, source: str) -> DatasetVersion:
    """The newest version of the team's dataset with this id or exact name; of `name@2` or `id@2` the version 2.
    A hub id means the newest dataset that the team imported of it.

    Raises DatasetProblem if there is none, the name is not unique, or rejected lines wait for a decision.
    """
    dataset, number = find(team, source.strip())
    version = dataset.versions.filter(number=number).first() if number else dataset.latest
    if version is None and number:
        numbers = ", ".join(str(n) for n in dataset.versions.order_by("number").values_list("number", flat=True))
        raise DatasetProblem(f"{dataset} has no version {number}. It has: {numbers or 'none'}.", field="source")
    if version is None or not version.accepted:
        raise DatasetProblem(
            f"{dataset} still has rejected lines to decide on. Open it and keep the good rows or discard it.",
            field="source",
        )
    return version


def find(team: Team, source: str) -> tuple[Dataset, int | None]:
    """The dataset and the version's number, None for the newest. A name that ends in @2 itself wins over a version."""
    if not source:
        raise DatasetProblem("No dataset is chosen. Choose one of the Datasets page.", field="source")
    found, number = named(team, source), None
    pinned = PINNED.fullmatch(source)
    if not found and pinned:
        found, number = named(team, pinned["name"]), int(pinned["number"])
    if len(found) > 1:
        raise DatasetProblem(f"Several datasets are called “{source}”. Use the id of the one you mean.", field="source")
    if not found and is_hub_id(source):
        raise DatasetProblem(
            f"{team} has not imported “{source}” yet. Import it from the hub on the Datasets page first.",
            field="source",
        )
    if not found:
        raise DatasetProblem(
            f"{team} has no dataset “{source}”. Upload or generate it on the Datasets page, then use its name or id.",
            field="source",
        )
    return found[0], number


def named(team: Team, source: str) -> list[Dataset]:
    datasets = Dataset.objects.filter(team=team)
    found = list(datasets.filter(pk=source) if is_id(source) else datasets.filter(name=source)[:2])
    if not found and is_hub_id(source):
        of_hub = datasets.filter(source=Source.HUB, source_detail__repo=source)
        found = list(of_hub.order_by("-created_at")[:1])
    return found


def is_hub_id(source: str) -> bool:
    return HUB_ID.fullmatch(source) is not None


def is_id(source: str) -> bool:
    try:
        UUID(source)
    except ValueError:
        return False
    return True
