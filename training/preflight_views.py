"""The card of the preflight on the review step."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import get_or_404
from accounts.models import Role
from training import forecast, preflights
from training.choices import Status
from training.models import Session
from training.previews import Preview
from training.readiness import NotReady


@require_http_methods(["GET", "HEAD", "POST"])
def preflight(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The card; a POST has a worker try the draft out."""
    session, refused = get_or_404(Session, request.user, pk, Role.MEMBER), ""
    if request.method == "POST":
        try:
            preflights.start(session, request.user)
        except NotReady:
            refused = "First mend what is listed above: this draft can't run yet."
        except preflights.NotTried as error:
            refused = str(error)
    return shown(request, session, refused)


@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk, Role.MEMBER)
    preflights.cancel(session)
    return shown(request, session)


def shown(request: HttpRequest, session: Session, refused: str = "") -> HttpResponse:
    if session.status != Status.DRAFT:
        response = redirect("training:session", session.pk)
        is_htmx = request.htmx  # type: ignore[attr-defined]
        return HttpResponse(headers={"HX-Redirect": response.url}) if is_htmx else response
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("training:setup", session.pk, "review")
    context = {"session": session, "refused": refused, **card(session, Preview(session))}
    return render(request, "training/new/_preflight.html", context)


def card(session: Session, preview: Preview) -> dict[str, Any]:
    """What the template needs beside the session. Nothing is tried by looking."""
    composition = preview.composition
    reward = composition.model_dump(mode="json") if composition else {}
    found = preflights.state(session, preflights.digest_of(preview.config, reward, preview.version))
    bars = found.result.get("histogram", [])
    most = max((bar["count"] for bar in bars), default=0) or 1
    return {
        "preflight": found,
        "waits": forecast.why_tried_later(found.job) if found.job else "",
        "bars": [{**bar, "share": bar["count"] / most} for bar in bars],
        "questions_asked": preflights.QUESTIONS,
        "answers_asked": preflights.answers_for(preview.config),
        "asks_outside": composition is not None and composition.asks_outside,
    }
