"""Home, lists, help and the verbs of a session. Access first, verb second, response third."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_or_404
from accounts.models import Role
from training import lifecycle, overview
from training.choices import ACTIVE, Status
from training.context_processors import RecentSessions
from training.glossary import CONCEPTS, GLOSSARY
from training.models import CatalogueModel, SavedConfig, Session
from training.setup_views import as_file

PAGE_ROWS = 50
FILTERS = {
    "active": ("Active", ACTIVE),
    "completed": ("Completed", [Status.COMPLETED]),
    "stopped": ("Stopped", [Status.STOPPED, Status.CANCELLED]),
    "failed": ("Failed", [Status.FAILED]),
    "draft": ("Drafts", [Status.DRAFT]),
}
SORTS = {
    "name": "name",
    "status": "status",
    "steps": "step",
    "reward": "last_reward",
    "created": "created_at",
}
COLUMNS = [
    ("name", "Session", ""),
    ("status", "Status", ""),
    ("", "Model", ""),
    ("", "Dataset", ""),
    ("steps", "Steps", "num"),
    ("reward", "Reward", "num"),
    ("created", "Created", ""),
    ("", "Duration", "num"),
]


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
def sessions(request: HttpRequest) -> HttpResponse:
    search, sort = request.GET.get("q", "").strip()[:200], request.GET.get("sort", "-created")
    chosen = request.GET.get("status", "")
    mine = Session.objects.of_user(request.user)
    found = mine.filter(name__icontains=search) if search else mine
    counts = dict(found.order_by().values_list("status").annotate(Count("pk")))
    if chosen in FILTERS:
        found = found.filter(status__in=FILTERS[chosen][1])
    page = Paginator(ordered(found, sort), PAGE_ROWS).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": overview.rows(page.object_list),
        "pages": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
        "search": search,
        "chosen": chosen,
        "filters": filters(counts),
        "columns": columns(sort),
        "any": bool(page.paginator.count) or mine.exists(),
    }
    return render(request, "training/_sessions.html" if is_part(request) else "training/sessions.html", context)


def is_part(request: HttpRequest) -> bool:
    return bool(request.htmx) and not request.htmx.boosted  # type: ignore[attr-defined]


def ordered(found: QuerySet[Session], sort: str) -> QuerySet[Session]:
    column = F(SORTS.get(sort.removeprefix("-"), "created_at"))
    down = sort.startswith("-") or sort not in SORTS
    # Sessions without a value come last whichever way it is sorted; the id keeps pages apart.
    direction = column.desc(nulls_last=True) if down else column.asc(nulls_last=True)
    return found.order_by(direction, "pk")


def filters(counts: dict[str, int]) -> list[tuple[str, str, int]]:
    every = [("", "All", sum(counts.values()))]
    return every + [
        (key, title, sum(counts.get(status, 0) for status in statuses)) for key, (title, statuses) in FILTERS.items()
    ]


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


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    page = Paginator(overview.completed(request.user), PAGE_ROWS).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": overview.rows(page.object_list, with_scores=True),
        "pages": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
        "catalogue": CatalogueModel.objects.all(),
    }
    return render(request, "training/models.html", context)


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
    target = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure()):
        return redirect(target)
    return redirect("training:session", session.pk)


def resumed(session: Session, request: HttpRequest) -> bool:
    """From the newest checkpoint, or from the one whose button was pressed."""
    return lifecycle.resume(session, request.user, request.POST.get("checkpoint", ""))


stop = verb("stop", lambda session, request: lifecycle.request_stop(session, request.user))
resume = verb("resume", resumed)
cancel = verb("cancel", lambda session, request: lifecycle.cancel(session, request.user))
delete = verb("delete", lambda session, request: lifecycle.delete(session, request.user))


@require_POST
def clone(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk, Role.MEMBER)
    copy = lifecycle.clone(session, request.user)
    messages.success(request, "This is a copy: change what should differ, then start it.")
    return redirect("training:setup", copy.pk, "review")
