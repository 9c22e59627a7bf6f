"""Pages of the model registry: the list, one model, and what is deleted with it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import get_or_404, may, teams_with
from accounts.models import AnyUser, Role
from evaluation.batches import title_of_model
from evaluation.report import before_after
from exports import panel, registry
from exports.building import OPEN, zip_name
from exports.models import Export
from exports.registry import Asked, Model
from jobs.choices import JobStatus
from training import keeping
from training.models import Session
from training.session_page import newest_checkpoints, valid_config
from training.templatetags.ui import size_in_bytes

PAGE_ROWS = 50
USES_SHOWN = 10
COLUMNS = [
    ("name", "Model", "cell-name"),
    ("", "Data and reward", "wide-only"),
    ("score", "Before and after", ""),
    ("gain", "Gain", "num"),
    ("", "Exports", "wide-only"),
    ("trained", "Trained", ""),
]


@require_safe
@never_cache
def index(request: HttpRequest) -> HttpResponse:
    """The whole page, or for htmx the list."""
    asked = Asked.of(request.GET)
    found = registry.matching(request.user, asked)
    wanted = registry.shown(found, asked.show)
    page = Paginator(registry.ordered(wanted, asked.sort), PAGE_ROWS).get_page(request.GET.get("page"))
    context = {
        "asked": asked,
        "page": page,
        "pages": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
        "models": registry.described(Session.objects.all(), page.object_list, request.user),
        "filters": registry.filters(found),
        "columns": [column(asked.sort, *each) for each in COLUMNS],
        "editable": set(teams_with(request.user, Role.MEMBER).values_list("pk", flat=True)),
    }
    if request.htmx and not request.htmx.boosted:  # type: ignore[attr-defined]
        return render(request, "exports/_models.html", context)
    context |= {
        "tags": registry.tags_of(request.user),
        "any": bool(page.paginator.count) or registry.models_of(request.user).exists(),
    }
    return render(request, "exports/models.html", context)


def column(sort: str, key: str, title: str, css: str) -> dict[str, str]:
    """A table head. The first click shows what one looks for: the best score, the newest, the first name."""
    first, second = (key, f"-{key}") if key == "name" else (f"-{key}", key)
    return {
        "title": title,
        "css": css,
        "sort": (second if sort == first else first) if key else "",
        "direction": {key: "ascending", f"-{key}": "descending"}.get(sort, "none") if key else "",
    }


@require_safe
@never_cache
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    model = model_or_404(request.user, pk)
    session = model.session
    uses = registry.uses_of(session)
    context = {
        "model": model,
        "session": session,
        "report": before_after(session),
        "uses": uses,
        "batches": [(batch, title_of_model(batch)) for batch in uses.batches[:USES_SHOWN]],
        "evaluations": uses.evaluations[:USES_SHOWN],
        "artefacts": [Artefact(export) for export in model.exports],
        "unready": unready(uses.exports),
        "checkpoints": newest_checkpoints(session),
        "config": valid_config(session),
        "can_resume": False,
        "may_change": may(request.user, session.team, Role.MEMBER),
        "state": {"tags": [tag.name for tag in session.tags.all()]},
        "next": request.path,
        "longest_note": keeping.LONGEST_NOTE,
    }
    return render(request, "exports/model.html", context)


def model_or_404(user: AnyUser, pk: UUID | str, role: str = Role.VIEWER) -> Model:
    """Raises like accounts.access.get_or_404, Http404 for a session that has trained nothing, too."""
    session = get_or_404(Session, user, pk, role)
    if not registry.models_of(user).filter(pk=session.pk).exists():
        raise Http404("This session has no trained model yet.")
    return registry.described_one(session, user)


class Artefact:
    """A ready export, with what to do with it."""

    def __init__(self, export: Export) -> None:
        self.export = export
        self.title = registry.title_of(export)
        self.zip_name = zip_name(export)
        self.commands = panel.commands(export)


def unready(exports: list[Export]) -> list[tuple[str, Export]]:
    """What is being made, and the newest failure of each format that has nothing newer."""
    seen: set[str] = set()
    found = []
    for export in exports:
        title = registry.title_of(export)
        if export.status in OPEN or (export.status == JobStatus.FAILED and title not in seen):
            found.append((title, export))
        seen.add(title)
    return found


@require_POST
def note(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What the promoted model is for."""
    session = model_or_404(request.user, pk, Role.MEMBER).session
    try:
        keeping.note_promotion(session, request.user, request.POST.get("note", ""))
    except keeping.BadNote as problem:
        messages.error(request, str(problem))
    return redirect("exports:model", pk)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    """With what goes, counted now; once that is confirmed, for good."""
    model = model_or_404(request.user, pk, Role.MEMBER)
    typed, problem = request.POST.get("name", ""), ""
    if request.method == "POST":
        try:
            freed = registry.delete(model.session, request.user, typed)
        except registry.NotDeleted as error:
            problem = str(error)
        else:
            name = model.session.name[:60]
            messages.success(request, f"“{name}” was deleted: {size_in_bytes(freed)} are free again.")
            return redirect("exports:models")
    return render(request, "exports/model_delete.html", deletion(model, typed, problem))


def deletion(model: Model, typed: str, problem: str) -> dict[str, Any]:
    return {
        "model": model,
        "session": model.session,
        "uses": registry.uses_of(model.session),
        "asks_for_name": registry.asks_for_name(model.session),
        "typed": typed,
        "problem": problem,
    }
