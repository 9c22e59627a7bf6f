"""Home, lists, help and the verbs of a session. Access first, verb second, response third."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_or_404
from accounts.models import Role
from training import divergence, keeping, lifecycle, list_views, overview, session_views
from training.context_processors import RecentSessions
from training.glossary import CONCEPTS, GLOSSARY
from training.models import CatalogueModel, SavedConfig, Session
from training.setup_views import as_file

PAGE_ROWS = 50


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "training/home.html", {"home": overview.Home(request.user)})


@require_safe
@never_cache
def now(request: HttpRequest) -> HttpResponse:
    """The part of home that changes by itself."""
    found = overview.Now(request.user)
    if found.fingerprint == request.GET.get("seen"):
        return HttpResponse(status=204)
    return render(request, "training/_now.html", {"now": found})


@require_safe
def help_page(request: HttpRequest) -> HttpResponse:
    entries = sorted(GLOSSARY.items(), key=lambda pair: pair[1].title.lower())
    return render(request, "training/help.html", {"glossary": entries, "concepts": CONCEPTS})


@require_safe
@never_cache
def recent(request: HttpRequest) -> HttpResponse:
    """The side bar's list. 204 says that nothing changed since `seen`."""
    here = request.htmx.current_url_abs_path or ""  # type: ignore[attr-defined]
    found = RecentSessions(request.user, here.split("?")[0])
    if found.fingerprint == request.GET.get("seen"):
        return HttpResponse(status=204)
    return render(request, "_recent_sessions.html", {"recent_sessions": found})


@require_safe
def base_models(request: HttpRequest) -> HttpResponse:
    return render(request, "training/base_models.html", {"catalogue": CatalogueModel.objects.all()})


@require_safe
def configs(request: HttpRequest) -> HttpResponse:
    found = SavedConfig.objects.of_user(request.user).select_related("created_by", "team").order_by("-updated_at")
    page = Paginator(found, PAGE_ROWS).get_page(request.GET.get("page"))
    return render(request, "training/configs.html", {"page": page})


@require_safe
def config_file(request: HttpRequest, pk: UUID) -> HttpResponse:
    saved = get_or_404(SavedConfig, request.user, pk)
    return as_file({"name": saved.name, **saved.config}, str(saved.pk)[:8])


@require_POST
def config_delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    saved = get_or_404(SavedConfig, request.user, pk, Role.MEMBER)
    name = saved.name
    saved.delete()
    messages.success(request, f"Deleted the config “{name}”.")
    return redirect("training:configs")


# Verbs of a session. Each is one call of training.lifecycle; what it says depends on whether the call won.

SAID = {
    "stop": ("Stopping: it saves a checkpoint first.", "It is not running any more."),
    "resume": (
        "It is back in the queue and goes on from its last checkpoint.",
        "Only a stopped or failed session can go on.",
    ),
    "cancel": ("Taken out of the queue.", "It is not waiting any more."),
    "delete": ("Deleted, with all its files.", "It is running or waiting: stop it first, then delete it."),
}


def verb(name: str, change: Callable[[Session, HttpRequest], bool]) -> Callable[..., HttpResponse]:
    @require_POST
    def view(request: HttpRequest, pk: UUID) -> HttpResponse:
        session = get_or_404(Session, request.user, pk, Role.MEMBER)
        try:
            won = change(session, request)
        except lifecycle.NotReady as error:
            messages.error(request, f"It can't go on: {error.problems[0].message}")
            return back(request, session)
        done, refused = SAID[name]
        (messages.success if won else messages.warning)(request, done if won else refused)
        return redirect("training:sessions") if won and name == "delete" else back(request, session)

    view.__name__ = name
    return view


def back(request: HttpRequest, session: Session) -> HttpResponse:
    """To the page that the button is on, if it says which."""
    return redirect(list_views.after(request, reverse("training:session", args=[session.pk])))


def resumed(session: Session, request: HttpRequest) -> bool:
    """From the newest checkpoint, or from the one whose button was pressed."""
    return lifecycle.resume(session, request.user, request.POST.get("checkpoint", ""))


stop = verb("stop", lambda session, request: lifecycle.request_stop(session, request.user))
resume = verb("resume", resumed)
cancel = verb("cancel", lambda session, request: lifecycle.cancel(session, request.user))
delete = verb("delete", lambda session, request: lifecycle.delete(session, request.user))


@require_POST
def rename(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk, Role.MEMBER)
    try:
        keeping.rename(session, request.user, request.POST.get("name", ""))
    except keeping.BadName as problem:
        messages.error(request, str(problem))
    return back(request, session)


@require_POST
def dismiss(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Puts a note away; with `back` it is brought back."""
    session = get_or_404(Session, request.user, pk, Role.MEMBER)
    kind = request.POST.get("kind", "")
    if kind not in divergence.KINDS:
        raise BadRequest(f"kind: one of {', '.join(divergence.KINDS)} is needed.")
    if "back" in request.POST:
        divergence.bring_back(session, kind)
    else:
        divergence.dismiss(session, request.user, kind)
    return session_views.inspected(request, session)


@require_POST
def clone(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk, Role.MEMBER)
    copy = lifecycle.clone(session, request.user)
    messages.success(request, "This is a copy: change what should differ, then start it.")
    return redirect("training:setup", copy.pk, "review")
