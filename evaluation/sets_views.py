"""Pages of evaluation sets: the list, a new one, one of them with its rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import current_team, get_or_404, may, teams_with
from accounts.models import Role
from evaluation import candidates, sets, sets_overlap
from evaluation.evaluation_forms import SetForm
from evaluation.models import EvaluationSet
from evaluation.sets import SetProblem

LISTED = 30
PAGE_ROWS = 50


@require_safe
@never_cache
def index(request: HttpRequest) -> HttpResponse:
    found = sets.visible_to(request.user).annotate(used=Count("evaluations")).order_by("-created_at")
    page = Paginator(found.select_related("created_by"), LISTED).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "pages": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
        "lines": [(each, sets.where_from(each)) for each in page.object_list],
        "may_create": teams_with(request.user, Role.MEMBER).exists(),
    }
    return render(request, "evaluation/sets.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    current_team(request.user, Role.MEMBER)
    if request.method == "POST":
        form = SetForm(request.user, request.POST)
        if form.is_valid():
            try:
                made = sets.create(request.user, form.cleaned_data["version"], form.wanted)
                return redirect("evaluation:set", pk=made.pk)
            except SetProblem as problem:
                form.add_error(problem.field or None, problem.message)
    else:
        form = SetForm(request.user, initial={"version": request.GET.get("version", "")})
    has_versions = sets.versions_of(request.user).exists()
    return render(request, "evaluation/set_new.html", {"form": form, "has_versions": has_versions})


@require_safe
@never_cache
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = get_or_404(EvaluationSet, request.user, pk)
    text = request.GET.get("q", "")
    page = Paginator(sets.rows_with(found, text), PAGE_ROWS).get_page(request.GET.get("page"))
    context: dict[str, Any] = {
        "set": found,
        "where_from": sets.where_from(found),
        "text": text.strip(),
        "page": page,
        "pages": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
        "used_by": found.evaluations.all(),
        "may_change": may(request.user, found.team, Role.MEMBER),
    }
    part = getattr(request, "htmx", False)
    return render(request, "evaluation/_set_rows.html" if part else "evaluation/set.html", context)


@require_safe
@never_cache
def overlap(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Partial: which sessions were trained on its rows. It reads their datasets, so the page does not wait for it."""
    found = get_or_404(EvaluationSet, request.user, pk)
    sessions = sets_overlap.sessions_near(found, candidates.visible_to(request.user))
    return render(request, "evaluation/_set_overlap.html", {"set": found, "sessions": sessions})


@require_POST
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = get_or_404(EvaluationSet, request.user, pk, Role.MEMBER)
    try:
        sets.delete(found)
    except SetProblem as problem:
        messages.error(request, str(problem))
        return redirect("evaluation:set", pk=pk)
    messages.success(request, f"Evaluation set “{found.name[:60]}” was deleted.")
    return redirect("evaluation:sets")
