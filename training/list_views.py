"""The list of sessions, and what is done to several of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_or_404
from accounts.models import Role
from training import keeping, lifecycle, overview, session_list, tags
from training.models import Session
from training.session_list import Asked

PAGE_ROWS = 50
MOST_AT_ONCE = 500
COLUMNS = [
    ("name", "Session", "cell-name"),
    ("status", "Status", ""),
    ("", "Model and data", "wide-only"),
    ("steps", "Steps", "num wide-only"),
    ("reward", "Reward", ""),
    ("", "Held-out", "num wide-only"),
    ("created", "Created", "wide-only"),
    ("duration", "Duration", "num wide-only"),
]


@require_safe
def sessions(request: HttpRequest) -> HttpResponse:
    asked = Asked.of(request.GET)
    found = session_list.matching(request.user, asked)
    shown = (
        session_list.of_status(found, asked.status).select_related("created_by").prefetch_related("tags").defer("notes")
    )
    page = Paginator(session_list.ordered(shown, asked.sort), PAGE_ROWS).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": overview.rows(page.object_list, with_scores=True, with_curves=True),
        "pages": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
        "asked": asked,
        "filters": session_list.filters(found),
        "columns": columns(asked.sort or "-created"),
    }
    if request.htmx and not request.htmx.boosted:  # type: ignore[attr-defined]
        return render(request, "training/_sessions.html", context)
    context |= {
        "owners": session_list.owners(request.user),
        "tags": session_list.tags(request.user),
        "any": bool(page.paginator.count) or Session.objects.of_user(request.user).exists(),
    }
    return render(request, "training/sessions.html", context)


def columns(sort: str) -> list[dict[str, str]]:
    """Table heads: a click sorts by one, and turns it round if it is sorted by already."""
    return [
        {
            "title": title,
            "css": css,
            "sort": f"-{key}" if key and sort == key else key,
            "direction": {key: "ascending", f"-{key}": "descending"}.get(sort, "none") if key else "",
        }
        for key, title, css in COLUMNS
    ]


@require_POST
def change_several(request: HttpRequest) -> HttpResponse:
    """`action` on each `session` of the form. A deletion is asked about on a page of its own first."""
    chosen = chosen_ones(request)
    action = request.POST.get("action", "")
    if action not in ACTIONS:
        raise BadRequest(f"action: one of {', '.join(ACTIONS)} is needed.")
    if not chosen:
        messages.info(request, "Tick some sessions first.")
        return back(request)
    return ACTIONS[action](request, chosen)


def chosen_ones(request: HttpRequest) -> QuerySet[Session]:
    """Raises Http404 for one that the user may not see, PermissionDenied for one that they may only see."""
    ids = set(request.POST.getlist("session"))
    if len(ids) > MOST_AT_ONCE:
        raise BadRequest(f"At most {MOST_AT_ONCE} sessions are changed at once.")
    try:
        wanted = [UUID(each) for each in ids]
    except ValueError:
        raise Http404("No such session.") from None
    if Session.objects.of_user(request.user).filter(pk__in=wanted).count() != len(wanted):
        raise Http404("No such session.")
    found: QuerySet[Session] = Session.objects.of_user(request.user, Role.MEMBER).filter(pk__in=wanted)
    if found.count() != len(wanted):
        raise PermissionDenied("Only members of its team change a session.")
    return found


def archive(request: HttpRequest, chosen: QuerySet[Session]) -> HttpResponse:
    done, left = keeping.archive(chosen, request.user), chosen.filter(archived_at=None).count()
    if done:
        messages.success(request, f"{counted(len(done))} archived.", extra_tags=undo("restore", done))
    if left:
        messages.warning(request, f"{counted(left)} still in the list: what runs or waits can't be archived.")
    return back(request)


def restore(request: HttpRequest, chosen: QuerySet[Session]) -> HttpResponse:
    if done := keeping.restore(chosen, request.user):
        messages.success(request, f"{counted(len(done))} back in the list.", extra_tags=undo("archive", done))
    return back(request)


def tag(request: HttpRequest, chosen: QuerySet[Session]) -> HttpResponse:
    return retagged(request, chosen, remove=False)


def untag(request: HttpRequest, chosen: QuerySet[Session]) -> HttpResponse:
    return retagged(request, chosen, remove=True)


def retagged(request: HttpRequest, chosen: QuerySet[Session], *, remove: bool) -> HttpResponse:
    try:
        names = tags.names_in(request.POST.get("tags", ""))
        (tags.remove if remove else tags.add)(chosen, request.user, names)
    except tags.BadTags as problem:
        messages.error(request, str(problem))
        return back(request)
    if names:
        what = f"“{', '.join(names)}” {'taken from' if remove else 'given to'}"
        messages.success(request, f"{what} {counted(chosen.count()).lower()}.")
    else:
        messages.info(request, "Type a tag first.")
    return back(request)


def promote(request: HttpRequest, chosen: QuerySet[Session]) -> HttpResponse:
    if done := keeping.promote(chosen, request.user):
        messages.success(request, f"{models(len(done))} promoted.", extra_tags=undo("unpromote", done))
    else:
        messages.info(request, "Promoted already, or not trained yet.")
    return back(request)


def unpromote(request: HttpRequest, chosen: QuerySet[Session]) -> HttpResponse:
    if done := keeping.unpromote(chosen, request.user):
        messages.success(request, f"{models(len(done))} not promoted any more.", extra_tags=undo("promote", done))
    return back(request)


def delete(request: HttpRequest, chosen: QuerySet[Session]) -> HttpResponse:
    """With what it costs, counted now; once that is confirmed, for good."""
    if request.POST.get("confirmed") != "yes":
        sized = [(session, keeping.bytes_on_disk(session)) for session in chosen]
        free = [(session, size) for session, size in sized if not session.is_active]
        context = {
            "sized": free,
            "total": sum(size for _, size in free),
            "busy": [session for session, _ in sized if session.is_active],
            "next": after(request, reverse("training:sessions")),
        }
        return render(request, "training/sessions_delete.html", context)
    done = sum(lifecycle.delete(session, request.user) for session in chosen)
    messages.success(request, f"{counted(done)} deleted, with all files.")
    return back(request)


ACTIONS = {
    "archive": archive,
    "restore": restore,
    "tag": tag,
    "untag": untag,
    "promote": promote,
    "unpromote": unpromote,
    "delete": delete,
}


@require_POST
def set_tags(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk, Role.MEMBER)
    try:
        tags.replace(session, request.user, tags.names_in(request.POST.get("tags", "")))
    except tags.BadTags as problem:
        messages.error(request, str(problem))
    return redirect(after(request, reverse("training:session", args=[pk])))


def counted(count: int) -> str:
    return "1 session" if count == 1 else f"{count} sessions"


def models(count: int) -> str:
    return "1 model" if count == 1 else f"{count} models"


def undo(action: str, ids: Sequence[UUID]) -> str:
    """For the toast: an action on the same sessions that takes this one back."""
    return " ".join(["undo", action, *map(str, ids)])


def after(request: HttpRequest, otherwise: str) -> str:
    """The page of this app that the form names."""
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure())
    return target if safe else otherwise


def back(request: HttpRequest) -> HttpResponse:
    return redirect(after(request, reverse("training:sessions")))
