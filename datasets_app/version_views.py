"""The Versions tab: what there is, what a filter would leave out, and deleting one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Role
from datasets_app import filters, forms, importing, page_views, previews, versions
from datasets_app.limits import DRY_RUN_ROWS
from datasets_app.models import Dataset, DatasetVersion
from datasets_app.page_views import blamed, detail_url, first_error, opened
from datasets_app.problems import DatasetInUse, DatasetProblem
from jobs.choices import JobStatus

TAB = "versions"


@dataclass(frozen=True)
class Line:
    """One version in the list."""

    version: DatasetVersion
    # How many rows fewer than in the version that it was made from.
    lost: int
    changes: list[str]
    dropped: list[tuple[str, int]]
    by: str
    sessions: list[Any]
    is_newest: bool

    @property
    def rejected(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.version.report.get("rejected", [])
        return found


def context(request: HttpRequest, version: DatasetVersion, *, filter_form: Any = None) -> dict[str, Any]:
    dataset = version.dataset
    unfinished = dataset.imports.exclude(status__in=[JobStatus.READY, JobStatus.CANCELLED]).order_by("-created_at")
    return {
        "lines": lines(dataset),
        "making": list(unfinished[:5]),
        # A finding of the validation report links here with the filter that it advises.
        "filter_form": filter_form or forms.FilterForm(initial={"seed": 42, **request.GET.dict()}),
        "choices": previews.choices(version),
        "dry_run_rows": DRY_RUN_ROWS,
    }


def lines(dataset: Dataset) -> list[Line]:
    found = list(dataset.versions.prefetch_related("sessions"))
    return [line(version, dataset, version is found[0]) for version in found]


def line(version: DatasetVersion, dataset: Dataset, is_newest: bool) -> Line:
    origin = version.origin
    dropped = origin.get("dropped", {})
    changes = filters.words(filters.Filters.of(origin.get("filters", {}))) + origin.get("mapping", [])
    first_by = str(dataset.created_by) if dataset.created_by else ""
    return Line(
        version=version,
        lost=sum(dropped.values()),
        changes=changes,
        dropped=filters.titled(dropped),
        by=origin.get("by", "") if origin else first_by,
        sessions=list(version.sessions.all()),
        is_newest=is_newest,
    )


@require_GET
def dry_run(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How many rows each filter would leave out, for htmx."""
    version = opened(request, pk)
    form = forms.FilterForm(request.GET)
    if not form.is_valid():
        return render(request, "datasets/_dry_run.html", {"problem": first_error(form)})
    if form.filters.is_empty:
        return render(request, "datasets/_dry_run.html", {})
    try:
        found = versions.dry_run(version, form.filters)
    except DatasetProblem as problem:
        return render(request, "datasets/_dry_run.html", {"problem": problem.message})
    return render(request, "datasets/_dry_run.html", {"run": found, "version": version})


@require_POST
def make(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = opened(request, pk, Role.MEMBER)
    form = forms.FilterForm(request.POST)
    if form.is_valid():
        with blamed(form):
            job = versions.start_filter(version, request.user, form.filters)
            return redirect("datasets:import", job.pk)
    return page_views.show(request, version, TAB, context(request, version, filter_form=form), status=400)


@require_POST
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The version that `?version=` names, which must be said: it is not to be the newest by oversight."""
    version = opened(request, pk, Role.MEMBER)
    dataset, number = version.dataset, version.number
    if request.GET.get("version") != str(number):
        messages.error(request, "Say which version is to be deleted.")
        return redirect(detail_url(dataset, TAB))
    try:
        importing.delete_version(version, confirmed=request.POST.get("confirmed") == "yes")
    except DatasetInUse as problem:
        found = {"dataset": dataset, "version": version, "problem": problem}
        return render(request, "datasets/delete.html", found, status=409)
    if not Dataset.objects.filter(pk=dataset.pk).exists():
        messages.success(request, f"Deleted {dataset}.")
        return redirect("datasets:list")
    messages.success(request, f"Deleted version {number} of {dataset}.")
    return redirect(detail_url(dataset, TAB))
