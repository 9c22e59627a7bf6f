"""The notes of a session: read, previewed, and saved without losing what somebody else wrote meanwhile."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import get_or_404, may
from accounts.models import Role
from training import keeping
from training.markdown import render as markdown
from training.models import Session


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def notes(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The notes, or with ?edit their text to change. For htmx the part of the page, else a page of its own."""
    if request.method == "POST":
        return save(request, get_or_404(Session, request.user, pk, Role.MEMBER))
    session = get_or_404(Session, request.user, pk)
    editing = "edit" in request.GET and may(request.user, session.team, Role.MEMBER)
    return shown(request, session, **(form_of(session, session.notes) if editing else {}))


@require_POST
def preview(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What the text will look like. Nothing is saved."""
    get_or_404(Session, request.user, pk, Role.MEMBER)
    text = request.POST.get("notes", "")[: keeping.MOST_NOTES]
    return render(request, "training/session/_notes_text.html", {"html": markdown(text)})


def save(request: HttpRequest, session: Session) -> HttpResponse:
    text, version = request.POST.get("notes", ""), request.POST.get("version", "")
    try:
        keeping.write_notes(session, request.user, text, int(version) if version.isdecimal() else -1)
    except keeping.NotesTooLong as problem:
        return shown(request, session, 422, **form_of(session, text), problem=problem)
    except keeping.NotesChanged as problem:
        return shown(request, session, 409, **form_of(session, text), problem=problem, newer=markdown(session.notes))
    if request.htmx:  # type: ignore[attr-defined]
        return shown(request, session)
    return redirect("training:notes", session.pk)


def form_of(session: Session, text: str) -> dict[str, Any]:
    """`text` as it was typed, whatever was saved meanwhile."""
    return {"editing": True, "text": text, "preview": markdown(text[: keeping.MOST_NOTES])}


def shown(request: HttpRequest, session: Session, status: int = 200, **context: Any) -> HttpResponse:
    is_part = bool(request.htmx)  # type: ignore[attr-defined]
    context |= {
        "session": session,
        "html": markdown(session.notes),
        "can_change": may(request.user, session.team, Role.MEMBER),
        "most": keeping.MOST_NOTES,
    }
    # htmx shows nothing of a reply that is an error.
    template = "training/session/_notes.html" if is_part else "training/notes.html"
    return render(request, template, context, status=200 if is_part else status)
