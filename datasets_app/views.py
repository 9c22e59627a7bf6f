from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import OuterRef, Prefetch, Subquery
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import access
from accounts.models import AnyUser, Role, Team, TeamQuerySet
from datasets_app import forms, generation, importing, limits, previews, rows
from datasets_app.limits import PREVIEW_ROWS, readable
from datasets_app.models import Dataset, DatasetVersion
from datasets_app.problems import DatasetInUse, DatasetProblem
from datasets_app.rules import RULES

Collection = TypeVar("Collection", bound=Iterable[Any])

PAGE_ROWS = 50
SORTS = {"name": "name", "source": "source", "rows": "row_count", "created": "created_at"}
# What one click gives to a team that has no data yet.
STARTER: dict[str, Any] = {
    "task": "chain_sum",
    "parameters": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2},
    "size": 1000,
    "name": "Starter: adding and subtracting two numbers",
}


@require_GET
def list_datasets(request: HttpRequest) -> HttpResponse:
    search, sort = request.GET.get("q", "").strip(), request.GET.get("sort", "-created")
    datasets = overview(request.user)
    if search:
        datasets = datasets.filter(name__icontains=search)
    page = Paginator(sorted_by(datasets, sort), PAGE_ROWS).get_page(request.GET.get("page"))
    context = {"page": with_versions(page), "search": search, "sort": sort, "headings": headings(sort)}
    template = "datasets/_list.html" if request.htmx else "datasets/list.html"  # type: ignore[attr-defined]
    return render(request, template, context)


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


@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    team = access.current_team(request.user, Role.MEMBER)
    posted = request.method == "POST"
    form = forms.UploadForm(request.POST, request.FILES) if posted else forms.UploadForm()
    if posted and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            version = importing.import_jsonl(team, request.user, form.cleaned_data["name"] or file.name, file)
        except DatasetProblem as problem:
            form.add_error("file", problem.message)
        else:
            return uploaded(request, version)
    if posted and not request.accepts("text/html"):
        return JsonResponse({"error": first_error(form)}, status=400)
    context = {"form": form, "limits": shown_limits(), "max_bytes": settings.MAX_UPLOAD_BYTES}
    return render(request, "datasets/upload.html", context, status=400 if form.errors else 200)


def uploaded(request: HttpRequest, version: DatasetVersion) -> HttpResponse:
    if not request.accepts("text/html"):
        return JsonResponse({"url": detail_url(version.dataset)})
    return redirect(detail_url(version.dataset))


def detail_url(dataset: Dataset) -> str:
    return reverse("datasets:detail", args=[dataset.pk])


def first_error(form: Any) -> str:
    return str(next(iter(form.errors.values()))[0])


def shown_limits() -> list[tuple[str, str]]:
    return [
        ("File", f"at most {readable(settings.MAX_UPLOAD_BYTES)}"),
        ("Line", f"at most {readable(limits.MAX_LINE_BYTES)}"),
        ("Rows", f"at most {limits.MAX_ROWS:,}"),
        ("Columns", f"at most {limits.MAX_COLUMNS}"),
        ("Text", "UTF-8, one JSON object on each line"),
    ]


@require_http_methods(["GET", "POST"])
def generate(request: HttpRequest) -> HttpResponse:
    team = access.current_team(request.user, Role.MEMBER)
    if request.method == "POST" and "starter" in request.POST:
        return redirect(detail_url(importing.generate(team, request.user, **STARTER).dataset))
    form = forms.GenerateForm(request.POST) if request.method == "POST" else forms.GenerateForm()
    if request.method == "POST" and form.is_valid():
        try:
            return redirect(detail_url(generated(request, team, form).dataset))
        except DatasetProblem as problem:
            form.add_error(problem.field if problem.field in form.fields else None, problem.message)
    task = request.POST.get("task") or request.GET.get("task") or "chain_sum"
    context = {"form": form, "task": task, "max_rows": limits.MAX_GENERATED_ROWS, **task_context(task, request.POST)}
    return render(request, "datasets/generate.html", context, status=400 if form.errors else 200)


def generated(request: HttpRequest, team: Team, form: forms.GenerateForm) -> DatasetVersion:
    chosen = form.cleaned_data
    version = importing.generate(
        team,
        request.user,
        chosen["task"],
        form.parameters(),
        chosen["seed"],
        chosen["size"],
        chosen["name"] or None,
    )
    if version.row_count < chosen["size"]:
        text = f"{chosen['task']} has only {version.row_count:,} different questions with these parameters."
        messages.warning(request, f"{text} All of them were stored.")
    return version


@require_GET
def task(request: HttpRequest) -> HttpResponse:
    """Parameters and examples of another task, for htmx."""
    access.current_team(request.user, Role.MEMBER)
    name = request.GET.get("task", "")
    if name not in generation.catalogue():
        raise Http404("No such task.")
    context = task_context(name, {})
    return render(request, "datasets/_task.html", {**context, **example_context(name, {}, "42"), "task": name})


@require_GET
def example(request: HttpRequest) -> HttpResponse:
    """Examples for the parameters typed so far, for htmx."""
    access.current_team(request.user, Role.MEMBER)
    name = request.GET.get("task", "")
    if name not in generation.catalogue():
        raise Http404("No such task.")
    return render(request, "datasets/_example.html", example_context(name, request.GET, request.GET.get("seed", "")))


def task_context(name: str, data: Any) -> dict[str, Any]:
    return {"parameters": forms.parameter_fields(name, data), "task_label": generation.label(name)}


def example_context(name: str, data: Any, seed: str) -> dict[str, Any]:
    try:
        number = int(seed) if seed.isdecimal() and len(seed) <= 10 else 42
        return {"examples": generation.examples(name, forms.given_parameters(name, data), number)}
    except DatasetProblem as problem:
        return {"problem": problem.message}


@require_GET
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    dataset = access.get_or_404(Dataset, request.user, pk)
    version = newest(dataset)
    if request.htmx and request.GET.get("page"):  # type: ignore[attr-defined]
        return render(request, "datasets/_rows.html", rows_context(request, dataset, version))
    return render(request, "datasets/detail.html", detail_context(request, dataset, version))


def newest(dataset: Dataset) -> DatasetVersion:
    if dataset.latest is None:
        raise Http404("This dataset has no version.")
    dataset.latest.dataset = dataset
    return dataset.latest


def detail_context(request: HttpRequest, dataset: Dataset, version: DatasetVersion, **forms_: Any) -> dict[str, Any]:
    sessions = list(version.sessions.select_related(None).only("pk", "name", "status", "created_at"))
    return {
        **rows_context(request, dataset, version),
        **mapping_context(request, version, version.mapping),
        "mapping_form": forms.MappingForm(version, initial=version.mapping),
        "split_form": forms.SplitForm(initial=version.split),
        "detected": version.report.get("detected", {}),
        "parts": version.report.get("parts"),
        "most_held_out": (version.report.get("parts") or {"questions": 0})["questions"] // 2,
        "sessions": sessions,
        "in_use": any(session.is_active for session in sessions),
        "unused": [c["name"] for c in version.columns if c["name"] not in version.mapping.values()],
        "may_change": access.may(request.user, dataset.team, Role.MEMBER),
        **forms_,
    }


def rows_context(request: HttpRequest, dataset: Dataset, version: DatasetVersion) -> dict[str, Any]:
    page = Paginator(range(version.row_count), PREVIEW_ROWS).get_page(request.GET.get("page"))
    table = previews.table(version, page.start_index() - 1, PREVIEW_ROWS)
    return {"dataset": dataset, "version": version, "page": page, "table": table}


def mapping_context(request: HttpRequest, version: DatasetVersion, chosen: dict[str, str]) -> dict[str, Any]:
    """What the model would be asked and the reward would compare with, under the columns `chosen`."""
    templates = list(previews.templates_for(request.user))
    template = next((t for t in templates if str(t.pk) == chosen.get("template")), default_template(templates))
    context: dict[str, Any] = {
        "templates": templates,
        "template": template,
        "rule": RULES[chosen.get("rule") or "whole"],
    }
    if chosen.get("instruction") and chosen.get("response"):
        section = rows.Fields(chosen["instruction"], chosen["response"])
        context["mapped"] = previews.mapped(version, section, context["rule"])
    return context


def default_template(templates: list[Any]) -> Any:
    return next((t for t in templates if t.team_id is None and t.name == "GRPO default"), None)


@require_GET
def preview(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = newest(access.get_or_404(Dataset, request.user, pk))
    form = forms.MappingForm(version, request.GET)
    if not form.is_valid():
        return render(request, "datasets/_preview.html", {"problem": first_error(form)})
    chosen = {**form.cleaned_data, "template": request.GET.get("template", "")}
    chosen["rule"] = chosen["rule"] or importing.rule_of(version, chosen["response"])
    return render(request, "datasets/_preview.html", mapping_context(request, version, chosen))


@require_POST
def mapping(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = newest(access.get_or_404(Dataset, request.user, pk, Role.MEMBER))
    form = forms.MappingForm(version, request.POST)
    if form.is_valid():
        try:
            importing.map_columns(version, **form.cleaned_data)
        except DatasetProblem as problem:
            form.add_error(problem.field if problem.field in form.fields else None, problem.message)
        else:
            messages.success(request, "Columns saved.")
            return redirect(detail_url(version.dataset))
    return refused(request, pk, mapping_form=form)


@require_POST
def split(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = newest(access.get_or_404(Dataset, request.user, pk, Role.MEMBER))
    form = forms.SplitForm(request.POST)
    if form.is_valid():
        try:
            importing.set_split(version, form.cleaned_data["held_out"], form.cleaned_data["seed"])
        except DatasetProblem as problem:
            form.add_error(problem.field if problem.field in form.fields else None, problem.message)
        else:
            messages.success(request, "Split saved.")
            return redirect(detail_url(version.dataset))
    return refused(request, pk, split_form=form)


def refused(request: HttpRequest, pk: UUID, **forms_: Any) -> HttpResponse:
    """The page as it is stored, with the form that was wrong."""
    dataset = access.get_or_404(Dataset, request.user, pk)
    return render(
        request, "datasets/detail.html", detail_context(request, dataset, newest(dataset), **forms_), status=400
    )


@require_POST
def accept(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = newest(access.get_or_404(Dataset, request.user, pk, Role.MEMBER))
    if importing.accept(version):
        messages.success(request, f"Kept {version.row_count:,} rows.")
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
