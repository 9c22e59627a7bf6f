"""The queue page and the buttons on it. Access first, verb second, response third."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_or_404, require, teams_with
from accounts.models import Role, Team
from training import forecast, queue
from training.choices import Priority
from training.models import Session
from training.queue_page import QueuePage, may_pause_all

PARTS = {"waiting": "training/_queue_waiting.html", "devices": "training/_queue_devices.html"}


@require_safe
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    """The whole page, or a part of it that changes by itself."""
    found, part = QueuePage(request.user), request.GET.get("part", "")
    context = {"queue": found, "priorities": Priority.choices}
    if part not in PARTS:
        return render(request, "training/queue.html", context)
    if found.fingerprints[part] == request.GET.get("seen"):
        return HttpResponse(status=204)
    return render(request, PARTS[part], context)


@require_safe
@never_cache
def place(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Of a session that waits: the line in the head of its page. 286 ends its polling."""
    session = get_or_404(Session, request.user, pk)
    context = {"session": session, "place": forecast.place_of(session)}
    status = 200 if context["place"] else 286
    return render(request, "training/session/_place.html", context, status=status)


@require_POST
def move(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk, Role.MEMBER)
    if not queue.move(session, request.user, chosen(request, "to", ("up", "down", "front"))):
        say(request, "It is there already, or does not wait any more.")
    return changed(request)


@require_POST
def set_priority(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk, Role.MEMBER)
    priority = int(chosen(request, "priority", [str(value) for value in Priority.values]))
    require(request.user, session.team, queue.role_for(priority))
    if queue.set_priority(session, request.user, priority):
        say(request, f"The priority of {session} is {Priority(priority).label.lower()}.")
    else:
        say(request, "It does not wait any more.")
    return changed(request)


@require_POST
def pause(request: HttpRequest) -> HttpResponse:
    team = team_to_pause(request)
    if queue.pause(team, request.user, request.POST.get("reason", "")):
        messages.success(request, "Paused: what waits does not begin, what runs goes on.")
    return redirect("training:queue")


@require_POST
def go_on(request: HttpRequest) -> HttpResponse:
    if queue.go_on(team_to_pause(request), request.user):
        messages.success(request, "The queue goes on.")
    return redirect("training:queue")


def say(request: HttpRequest, text: str) -> None:
    """Where only a part is drawn again the change is seen, and the text would come with a later page."""
    if not request.htmx:  # type: ignore[attr-defined]
        messages.info(request, text)


def changed(request: HttpRequest) -> HttpResponse:
    here = reverse("training:queue")
    return redirect(f"{here}?part=waiting" if request.htmx else here)  # type: ignore[attr-defined]


def team_to_pause(request: HttpRequest) -> Team | None:
    """The team named in the form, of which the user must be an owner; None, for all, only for operators."""
    named = request.POST.get("team", "")
    if not named:
        if not may_pause_all(request.user):
            raise PermissionDenied("Only an administrator pauses the queue of all teams.")
        return None
    team = get_team_or_404(request, named)
    require(request.user, team, Role.OWNER)
    return team


def get_team_or_404(request: HttpRequest, named: str) -> Team:
    team = teams_with(request.user).filter(pk=named).first() if named.isascii() and named.isdigit() else None
    if team is None:
        raise Http404("No such team.")
    return team


def chosen(request: HttpRequest, name: str, allowed: list[str] | tuple[str, ...]) -> str:
    value = request.POST.get(name, "")
    if value not in allowed:
        raise BadRequest(f"{name}: one of {', '.join(allowed)} is needed.")
    return value
