"""The pages on which a dataset begins."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import access
from accounts.models import Role, Team
from datasets_app import forms, generation, importing, imports, limits, uploads
from datasets_app.limits import readable
from datasets_app.models import DatasetVersion, Source
from datasets_app.page_views import blamed, detail_url
from datasets_app.problems import DatasetProblem
from loracraft.numbers import thousands

# What one click gives to a team that has no data yet.
STARTER: dict[str, Any] = {
    "task": "chain_sum",
    "parameters": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2},
    "size": 1000,
    "name": "Starter: adding and subtracting two numbers",
}


@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """A file in one request, for small ones and browsers without JavaScript; the page's script sends pieces."""
    team = access.current_team(request.user, Role.MEMBER)
    form = forms.UploadForm(request.POST, request.FILES) if request.method == "POST" else forms.UploadForm()
    if form.is_valid():
        file = form.cleaned_data["file"]
        with blamed(form, "file"):
            version = importing.import_jsonl(team, request.user, form.cleaned_data["name"] or file.name, file)
            return redirect(detail_url(version.dataset))
    return upload_page(request, form, forms.PasteForm())


@require_POST
def paste(request: HttpRequest) -> HttpResponse:
    team = access.current_team(request.user, Role.MEMBER)
    form = forms.PasteForm(request.POST)
    if form.is_valid():
        name = form.cleaned_data["name"] or "Pasted text"
        with blamed(form, "text"):
            kept = uploads.from_bytes(team, request.user, "pasted text", form.cleaned_data["text"].encode())
            job = imports.start_upload(kept, request.user, name, Source.PASTE)
            return redirect("datasets:import", job.pk)
    return upload_page(request, forms.UploadForm(), form)


def upload_page(request: HttpRequest, form: forms.UploadForm, paste_form: forms.PasteForm) -> HttpResponse:
    context = {
        "form": form,
        "paste_form": paste_form,
        "limits": shown_limits(),
        "max_bytes": settings.MAX_UPLOAD_BYTES,
        "chunk_bytes": limits.CHUNK_BYTES,
        "direct_limit": readable(limits.DIRECT_UPLOAD_BYTES),
        "hours": limits.UPLOAD_HOURS,
    }
    return render(request, "datasets/upload.html", context, status=400 if form.errors or paste_form.errors else 200)


def shown_limits() -> list[tuple[str, str]]:
    return [
        ("Formats", "JSON, JSONL, CSV, TSV, Parquet, text, each also as .gz or .zst"),
        ("File", f"at most {readable(settings.MAX_UPLOAD_BYTES)}"),
        ("Row", f"at most {readable(limits.MAX_LINE_BYTES)}"),
        ("Rows", f"at most {thousands(limits.MAX_ROWS)}"),
        ("Columns", f"at most {limits.MAX_COLUMNS}"),
    ]


@require_http_methods(["GET", "POST"])
def generate(request: HttpRequest) -> HttpResponse:
    team = access.current_team(request.user, Role.MEMBER)
    if request.method == "POST" and "starter" in request.POST:
        return redirect(detail_url(importing.generate(team, request.user, **STARTER).dataset))
    form = forms.GenerateForm(request.POST) if request.method == "POST" else forms.GenerateForm()
    if request.method == "POST" and form.is_valid():
        with blamed(form):
            return redirect(detail_url(generated(request, team, form).dataset))
    task = request.POST.get("task") or request.GET.get("task") or "chain_sum"
    context = {
        "form": form,
        "task": task,
        "task_count": len(generation.catalogue()),
        "max_rows": limits.MAX_GENERATED_ROWS,
        **task_context(task, request.POST),
    }
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
        text = f"{chosen['task']} has only {thousands(version.row_count)} different questions with these parameters."
        messages.warning(request, f"{text} All of them were stored.")
    return version


@require_GET
def tasks(request: HttpRequest) -> HttpResponse:
    """The options of the select for what is searched, for htmx; the select then asks for the first one's parameters."""
    access.current_team(request.user, Role.MEMBER)
    context = {"groups": generation.choices(request.GET.get("find", "")), "task": request.GET.get("task", "")}
    answer = render(request, "datasets/_tasks.html", context)
    answer.headers["HX-Trigger-After-Settle"] = "tasks-found"
    return answer


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
    return {
        "parameters": forms.parameter_fields(name, data),
        "task_label": generation.label(name),
        "note": generation.note(name),
    }


def example_context(name: str, data: Any, seed: str) -> dict[str, Any]:
    try:
        number = int(seed) if seed.isdecimal() and len(seed) <= 10 else 42
        return {"examples": generation.examples(name, forms.given_parameters(name, data), number)}
    except DatasetProblem as problem:
        return {"problem": problem.message}
