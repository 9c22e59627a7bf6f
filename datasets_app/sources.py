from __future__ import annotations

from uuid import UUID

from accounts.models import Team
from datasets_app.models import Dataset, DatasetVersion
from datasets_app.problems import DatasetProblem


def resolve(team: Team, source: str) -> DatasetVersion:
    """The newest version of the team's dataset with this id or exact name.

    Raises DatasetProblem if there is none, the name is not unique, or rejected lines wait for a decision.
    """
    dataset = find(team, source.strip())
    version = dataset.latest
    if version is None or not version.accepted:
        raise DatasetProblem(
            f"{dataset} still has rejected lines to decide on. Open it and keep the good rows or discard it.",
            field="source",
        )
    return version


def find(team: Team, source: str) -> Dataset:
    datasets = Dataset.objects.filter(team=team)
    if not source:
        raise DatasetProblem("No dataset is chosen. Choose one of the Datasets page.", field="source")
    found = list(datasets.filter(pk=source) if is_id(source) else datasets.filter(name=source)[:2])
    if len(found) > 1:
        raise DatasetProblem(f"Several datasets are called “{source}”. Use the id of the one you mean.", field="source")
    if not found:
        raise DatasetProblem(
            f"{team} has no dataset “{source}”. Upload or generate it on the Datasets page, then use its name or id.",
            field="source",
        )
    return found[0]


def is_id(source: str) -> bool:
    try:
        UUID(source)
    except ValueError:
        return False
    return True
