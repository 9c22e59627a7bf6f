from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_or_404, may
from accounts.models import Role
from evaluation import report, trying
from evaluation.forms import TrialForm, defaults
from evaluation.models import Trial
from training import adapters
from training.models import Session

HISTORY = 20
SHOWN_CHANGES = 50


@require_safe
@never_cache
def before_after(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Partial: both accuracies with their intervals, and the answers that changed."""
    session = get_or_404(Session, request.user, pk)
    found = report.before_after(session)
    context = {
        "session": session,
        "report": found,
        "evaluating": session.is_active and not (found and found.complete),
        "may_evaluate": may(request.user, session.team, Role.MEMBER),
    }
    if found and found.complete:
        context |= _changes(found, request.GET.get("changed", ""))
    return render(request, "evaluation/_before_after.html", context)


def _changes(found: report.Report, wanted: str) -> dict[str, Any]:
    by_filter = {"gained": found.gained, "lost": found.lost}
    changes = by_filter.get(wanted, found.changed)
    shown = wanted if wanted in by_filter else ""
    return {"filter": shown, "changes": changes[:SHOWN_CHANGES], "more": max(0, len(changes) - SHOWN_CHANGES)}


def try_model(request: HttpRequest, pk: UUID) -> HttpResponse:
    """GET: the page. POST: a new trial; htmx gets the form with its errors or the list of trials."""
    role = Role.MEMBER if request.method == "POST" else Role.VIEWER
    session = get_or_404(Session, request.user, pk, role)
    if request.method == "POST":
        return _new_trial(request, session)
    prefilled = {"prompt": request.GET.get("prompt", ""), "expected": request.GET.get("expected", "")}
    return render(
        request, "evaluation/try.html", _page(request, session, TrialForm(initial=defaults(session) | prefilled))
    )


def _new_trial(request: HttpRequest, session: Session) -> HttpResponse:
    form = TrialForm(request.POST)
    if form.is_valid():
        person = request.user if isinstance(request.user, User) else None
        try:
            trying.create(session, person, form.cleaned_data["prompt"], form.trial_settings)
        except trying.TrialProblem as problem:
            form.add_error(None, str(problem))
        else:
            if not getattr(request, "htmx", False):
                return redirect("evaluation:try", pk=session.pk)
    template = "evaluation/_try.html" if getattr(request, "htmx", False) else "evaluation/try.html"
    return render(request, template, _page(request, session, form), status=200)


def _page(request: HttpRequest, session: Session, form: TrialForm) -> dict[str, Any]:
    adapter = adapters.newest(session)
    return {
        "session": session,
        "form": form,
        "trials": session.trials.select_related("created_by")[:HISTORY],
        "examples": trying.examples(session),
        "may_change": may(request.user, session.team, Role.MEMBER),
        "has_adapter": adapter is not None,
        "checkpoint": adapter.name if adapter and adapter != session.adapter else "",
    }


@require_safe
@never_cache
def trial(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _card(request, get_or_404(Trial, request.user, pk))


@require_POST
def cancel_trial(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = get_or_404(Trial, request.user, pk, Role.MEMBER)
    trying.cancel(found)
    found.refresh_from_db()
    return _card(request, found)


def _card(request: HttpRequest, found: Trial) -> HttpResponse:
    context = {"trial": found, "may_change": may(request.user, found.team, Role.MEMBER)}
    return render(request, "evaluation/_trial.html", context)
