"""The inspector of a session's answers: steps, prompts, two answers compared, and a search over all of them."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.access import get_or_404, may
from accounts.models import Role
from training import completions, inspector
from training.completion_forms import CompletionSearch
from training.kept_answers import ALWAYS, steps_of
from training.models import Completion, Session
from training.session_page import valid_config
from training.session_views import compact_groups, json_errors, preset_of, whole


@require_safe
@never_cache
@json_errors
def groups(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One prompt's answers at the newest stored step at or before `step`, or at the newest at all."""
    session = get_or_404(Session, request.user, pk)
    if request.GET.get("compact") == "1":
        return compact_groups(request, session)
    steps = steps_of(session.pk)
    step = inspector.at_or_before(steps, whole(request, "step", high=2**31 - 1))
    context: dict[str, Any] = {"session": session, "event": None}
    if step is not None:
        context |= step_context(request, session, inspector.Neighbours(step, steps))
    return render(request, "training/session/_groups.html" if step is None else "training/session/_step.html", context)


def step_context(request: HttpRequest, session: Session, around: inspector.Neighbours) -> dict[str, Any]:
    events = inspector.events_of(session, around.step)
    found = inspector.prompts(events)
    number = min(whole(request, "prompt", default=1, low=1) or 1, max(len(found), 1))
    context = {
        "around": around,
        "first": around.steps[0],
        "last": around.steps[-1],
        "prompts": found,
        "number": number,
        "stored": inspector.stored_words(session, around.steps),
        "always": ALWAYS,
        "can_edit": may(request.user, session.team, Role.MEMBER),
        "marked": whole(request, "answer", high=10**6),
    }
    return context | group_context(request, session, events, found[number - 1]) if found else context


def group_context(
    request: HttpRequest, session: Session, events: list[Any], prompt: inspector.Prompt
) -> dict[str, Any]:
    event = next(event for event in events if event.seq == prompt.seq)
    order, only = (request.GET.get(name, "") for name in ("order", "only"))
    config = valid_config(session)
    group = inspector.group(session, event, prompt.place, config.prompt if config else None, order, only)
    answers = len(event.data["groups"][prompt.place].get("completions") or [])
    return {"event": event, "group": group, "count": answers, "preset": preset_of(session, config)}


@require_safe
@never_cache
@json_errors
def difference(request: HttpRequest, pk: UUID, seq: int, group: int) -> HttpResponse:
    """Two answers of a group word by word: `first` and `second` by number, else its best against its worst."""
    session = get_or_404(Session, request.user, pk)
    rows = list(completions.of_session(session).filter(event__seq=seq, group=group).order_by("index"))
    if not rows:
        raise Http404("There is no such group.")
    ranked = sorted((row for row in rows if row.total is not None), key=lambda row: -(row.total or 0.0)) or rows
    first = chosen(rows, whole(request, "first"), ranked[0])
    second = chosen(rows, whole(request, "second"), ranked[-1])
    context = {
        "session": session,
        "seq": seq,
        "group": group,
        "rows": rows,
        "first": first,
        "second": second,
        "difference": inspector.difference(first.text, second.text),
        "compared": inspector.WORDS_COMPARED,
    }
    return render(request, "training/session/_difference.html", context)


def chosen(rows: list[Completion], number: int | None, standard: Completion) -> Completion:
    return next((row for row in rows if row.index + 1 == number), standard)


@require_safe
@never_cache
def search(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk)
    form = CompletionSearch(request.GET)
    context: dict[str, Any] = {"session": session, "form": form, "problems": form.errors}
    if form.is_valid():
        given = form.cleaned_data
        page = completions.search(session, form.filters(), given["before"], given["limit"] or completions.PAGE)
        asked = {name: value for name, value in request.GET.items() if name != "before"}
        context |= {"page": page, "found": completions.located(page.rows, given["q"])}
        context["more"] = urlencode({**asked, "before": page.cursor}) if page.cursor else ""
        context["reached"] = reached(session, page)
    return render(request, "training/session/_found.html", context)


def reached(session: Session, page: completions.Page) -> int | None:
    """The step at which time ran out."""
    if page.complete:
        return None
    left = Completion.objects.filter(session=session, id__lt=page.cursor).order_by("-id")
    return left.values_list("step", flat=True).first()
