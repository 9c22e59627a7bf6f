from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import OuterRef, Prefetch, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts import access
from accounts.models import AnyUser, Role, TeamQuerySet
from datasets_app import browse_views, check_views, importing, imports, mapping_views, version_views
from datasets_app.models import Dataset, DatasetVersion
from datasets_app.page_views import detail_url, opened, show
from datasets_app.problems import DatasetInUse
from loracraft.numbers import thousands

Collection = TypeVar("Collection", bound=Iterable[Any])

PAGE_ROWS = 50
SORTS = {"name": "name", "source": "source", "rows": "row_count", "created": "created_at"}


@require_GET
def list_datasets(request: HttpRequest) -> HttpResponse:
    search, sort = request.GET.get("q", "").strip(), request.GET.get("sort", "-created")
    datasets = overview(request.user)
    if search:
        datasets = datasets.filter(name__icontains=search)
    page = Paginator(sorted_by(datasets, sort), PAGE_ROWS).get_page(request.GET.get("page"))
    context = {"page": with_versions(page), "search": search, "sort": sort, "headings": headings(sort)}
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "datasets/_list.html", context)
    return render(request, "datasets/list.html", {**context, **imports.unfinished(request.user)})


def overview(user: AnyUser) -> TeamQuerySet:
    newest = DatasetVersion.objects.filter(dataset=OuterRef("pk")).order_by("-number")
    versions = DatasetVersion.objects.defer("report").order_by("-number")
    return (
        Dataset.objects.of_user(user)
        .select_related("team", "created_by")
        .annotate(row_count=Subquery(newest.values("row_count")[:1]))
        .prefetch_related(Prefetch("versions", versions, to_attr="by_number"))
    )


def sorted_by(datasets: TeamQuerySet, sort: str) -> TeamQuerySet:
    column = SORTS.get(sort.removeprefix("-"), "created_at")
    return datasets.order_by(f"-{column}" if sort.startswith("-") else column, "pk")


def with_versions(datasets: Collection) -> Collection:
    """Sets `latest` of each dataset of an overview() from what was fetched with it."""
    for dataset in datasets:
        dataset.latest = dataset.by_number[0] if dataset.by_number else None
    return datasets


def headings(sort: str) -> list[dict[str, str]]:
    """Sortable columns: the value of `sort` that a click on each asks for."""
    column, down = sort.removeprefix("-"), sort.startswith("-")
    titles = {"name": "Name", "source": "Source", "rows": "Rows", "created": "Created"}
    return [
        {
            "name": name,
            "title": title,
            "sort": name if name != column or down else f"-{name}",
            "direction": ("descending" if down else "ascending") if name == column else "none",
        }
        for name, title in titles.items()
    ]


# What each tab shows. The mapping's and the versions' own views are in their modules, with the forms that change them.
TAB_CONTEXTS = {
    "preview": browse_views.context,
    "mapping": mapping_views.context,
    "statistics": check_views.statistics_context,
    "validation": check_views.context,
    "versions": version_views.context,
}


@require_GET
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = opened(request, pk)
    tab = request.GET.get("tab", "")
    tab = tab if tab in TAB_CONTEXTS else "preview"
    return show(request, version, tab, TAB_CONTEXTS[tab](request, version))


@require_POST
def accept(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = opened(request, pk, Role.MEMBER)
    if importing.accept(version):
        messages.success(request, f"Kept {thousands(version.row_count)} rows.")
    return redirect(detail_url(version.dataset))


@require_POST
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    dataset = access.get_or_404(Dataset, request.user, pk, Role.MEMBER)
    try:
        importing.delete(dataset, confirmed=request.POST.get("confirmed") == "yes")
    except DatasetInUse as problem:
        context = {"dataset": dataset, "problem": problem}
        return render(request, "datasets/delete.html", context, status=409)
    messages.success(request, f"Deleted {dataset}.")
    return redirect("datasets:list")
