"""The page on which an export is sent to the hub, and watched on its way."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import secrets
from accounts.access import get_or_404, may
from accounts.models import Role
from exports import checks, formats, pushes
from exports.models import Export, Push
from exports.problems import ExportProblem
from jobs.choices import JobStatus

SHOWN = 5


@require_safe
@never_cache
def pushed(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _page(request, _ready(request, pk))


@require_POST
def start(request: HttpRequest, pk: UUID) -> HttpResponse:
    export = _ready(request, pk, Role.MEMBER)
    person = request.user if isinstance(request.user, User) else None
    try:
        if "confirmed" not in request.POST:
            raise ExportProblem("Confirm that these files may leave this server.")
        pushes.start(export, person, request.POST.get("repository", ""), private="private" in request.POST)
    except ExportProblem as problem:
        return _page(request, export, problem.sentence)
    return redirect("exports:push", export.pk)


@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    push = get_or_404(Push, request.user, pk, Role.MEMBER)
    pushes.cancel(push)
    return redirect("exports:push", push.export_id)


def _ready(request: HttpRequest, pk: UUID, role: str = Role.VIEWER) -> Export:
    export = get_or_404(Export, request.user, pk, role)
    if export.status != JobStatus.READY:
        raise Http404("This export is not ready.")
    return export


def _page(request: HttpRequest, export: Export, problem: str = "") -> HttpResponse:
    chosen = formats.choice(export.format, export.quantization)
    found = list(export.pushes.select_related("created_by")[:SHOWN])
    context: dict[str, Any] = {
        "export": export,
        "title": chosen.title if chosen else str(export),
        "pushes": found,
        "polling": any(push.is_open for push in found),
        "may_change": may(request.user, export.team, Role.MEMBER),
        "has_token": secrets.find(export.team, secrets.HUGGINGFACE) is not None,
        "needs_sign_off": checks.needs_sign_off(export),
        "problem": problem,
        "typed": request.POST if problem else None,
    }
    partial = request.headers.get("HX-Request") and not problem
    return render(request, "exports/_pushes.html" if partial else "exports/push.html", context)
