"""The frame of a dataset's page: which version is shown, its tabs, and what each of them warns of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode

from accounts import access
from accounts.models import Role
from datasets_app import checks
from datasets_app.models import Dataset, DatasetVersion
from datasets_app.problems import DatasetProblem

TABS = {
    "preview": "Preview",
    "mapping": "Mapping",
    "statistics": "Statistics",
    "validation": "Validation",
    "versions": "Versions",
}


@dataclass(frozen=True)
class Tab:
    name: str
    title: str
    url: str
    count: int = 0
    tone: str = ""
    means: str = ""


def opened(request: HttpRequest, pk: UUID, role: str = Role.VIEWER) -> DatasetVersion:
    """The version that `?version=` names, else the newest, with its dataset. For every view of a dataset."""
    dataset = access.get_or_404(Dataset, request.user, pk, role)
    number = request.GET.get("version", "")
    if not number:
        return newest(dataset)
    known = number.isascii() and number.isdigit() and len(number) < 10
    version = dataset.versions.filter(number=number).first() if known else None
    if version is None:
        raise Http404("This dataset has no such version.")
    version.dataset = dataset
    return version


def newest(dataset: Dataset) -> DatasetVersion:
    if dataset.latest is None:
        raise Http404("This dataset has no version.")
    dataset.latest.dataset = dataset
    return dataset.latest


def detail_url(dataset: Dataset, tab: str = "", version: int | None = None) -> str:
    query = {name: value for name, value in (("tab", tab), ("version", version)) if value}
    address = reverse("datasets:detail", args=[dataset.pk])
    return f"{address}?{urlencode(query)}" if query else address


def tab_url(version: DatasetVersion, tab: str) -> str:
    return detail_url(version.dataset, tab, older_number(version))


def version_query(version: DatasetVersion) -> str:
    """ "?version=3" for links and forms of a page that shows an older version, else ""."""
    older = older_number(version)
    return f"?version={older}" if older else ""


def older_number(version: DatasetVersion) -> int | None:
    """Its number, which the address of every version but the newest must say."""
    newest_number = version.dataset.versions.values_list("number", flat=True).first()
    return version.number if version.number != newest_number else None


def first_error(form: Any) -> str:
    return str(next(iter(form.errors.values()))[0])


@contextmanager
def blamed(form: Any, otherwise: str | None = None) -> Iterator[None]:
    """A DatasetProblem of the block becomes an error of the form: of the field it names, or of `otherwise`."""
    try:
        yield
    except DatasetProblem as problem:
        form.add_error(problem.field if problem.field in form.fields else otherwise, problem.message)


def show(
    request: HttpRequest, version: DatasetVersion, tab: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """The page with the tab `tab` open, which is given `context` besides what every tab has."""
    return render(request, "datasets/detail.html", {**frame(request, version, tab, context), **context}, status=status)


def frame(
    request: HttpRequest, version: DatasetVersion, tab: str, known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What every tab shows; `known` is what the tab has asked for already."""
    dataset = version.dataset
    numbers = list(dataset.versions.values_list("number", flat=True))
    older = version.number if version.number != max(numbers) else None
    sessions = list(version.sessions.select_related(None).only("pk", "name", "status", "created_at"))
    check = known["newest"] if known and "newest" in known else checks.newest(version)
    return {
        "dataset": dataset,
        "version": version,
        "numbers": numbers,
        "newest_number": max(numbers),
        # "?version=3" for the links and forms of a page that shows an older version, else "".
        "of_version": f"?version={older}" if older else "",
        "tab": tab,
        "tabs": tabs(version, older, len(numbers), check),
        "check": check,
        "sessions": sessions,
        "in_use": any(session.is_active for session in sessions),
        "may_change": access.may(request.user, dataset.team, Role.MEMBER),
    }


def tabs(version: DatasetVersion, older: int | None, versions: int, check: Any) -> list[Tab]:
    counts: dict[str, dict[str, Any]] = {
        "mapping": {} if version.mapping else {"count": 1, "tone": "warn", "means": "columns to choose"},
        "validation": checks.badge(version, check),
        "versions": {"count": versions, "means": "versions"} if versions > 1 else {},
    }
    return [
        Tab(name, title, detail_url(version.dataset, name, older), **counts.get(name, {}))
        for name, title in TABS.items()
    ]
