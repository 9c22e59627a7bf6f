"""The page of one session, and the small replies that keep it live. Reading only: verbs are in training/views.py."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from functools import wraps
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from accounts.access import get_or_404, may
from accounts.models import Role
from loracraft import spreadsheets
from rewards import case_views, presets
from rewards.registry import Markers, Sample
from training import divergence, origins, prompt_map, reward_gate, series, session_groups, signal_ledger
from training.annotations import marks
from training.charts import SYSTEM_CHARTS, TILES
from training.choices import RUNNING, Kind, Status
from training.hub import message
from training.models import Completion, Event, Session
from training.schema import SessionConfig
from training.session_page import SessionState, newest, newest_checkpoints, page, valid_config
from training.streams import READ_AT_ONCE, Range, Stream

DEFAULT_EVENTS = 200
MAX_EVENTS = 500
# A reply ends after the event that takes it past this: the rollouts of one step can be megabytes.
MAX_REPLY_BYTES = 4_000_000
LOG_KINDS = [Kind.LOG, Kind.ERROR]
LEVELS = ["info", "warning", "error"]
MAX_SEARCH = 200
CHART_POINTS = 900
ANSWERS_ON_OVERVIEW = 4

Response = TypeVar("Response", bound=HttpResponseBase)
View = Callable[..., HttpResponseBase]


class BadQuery(ValueError):
    """A parameter of the query string that can't be used; the message names it."""


def json_errors(view: View) -> View:
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except BadQuery as problem:
            return JsonResponse({"error": str(problem)}, status=400)

    return answer


def whole(
    request: HttpRequest, name: str, *, default: int | None = None, low: int = 0, high: int = 2**53
) -> int | None:
    text = request.GET.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text[:17]) <= high:
        raise BadQuery(f"{name}: a whole number from {low} to {high} is needed, not {text[:40]!r}.")
    return int(text)


def chosen(request: HttpRequest, name: str, allowed: Iterable[str]) -> list[str]:
    asked = [word for word in request.GET.get(name, "").split(",") if word]
    unknown = set(asked) - set(allowed)
    if unknown:
        raise BadQuery(f"{name}: {', '.join(sorted(unknown))[:80]} is not known. Known: {', '.join(allowed)}.")
    return asked


def visible(session: Session) -> QuerySet[Event]:
    """Without the steps that a later attempt did again. What the log said stays said."""
    return session.events.filter(Q(superseded=False) | Q(kind__in=LOG_KINDS))


@require_safe
@never_cache
def session(request: HttpRequest, pk: UUID) -> HttpResponse:
    state = SessionState(get_or_404(Session, request.user, pk), request.user)
    context = {"state": state, "session": state.session, **page(state)}
    context["system_charts"] = SYSTEM_CHARTS
    context["data"] = page_data(state, context)
    return render(request, "training/session.html", context)


def page_data(state: SessionState, context: dict[str, Any]) -> dict[str, Any]:
    """What the script starts from. Addresses come from the template's data attributes."""
    session = state.session
    return {
        "id": str(session.pk),
        "status": session.status,
        "running": session.status in RUNNING,
        "active": session.is_active,
        "lastSeq": session.last_seq,
        "totalSteps": session.total_steps,
        "attempt": session.attempt,
        "parts": context["parts"],
        "charts": [chart.as_json() for chart in context["charts"]],
        "systemCharts": [chart.as_json() for chart in SYSTEM_CHARTS],
        "tileKeys": [tile.key for tile in TILES],
        "points": CHART_POINTS,
        "values": context["values"],
        "marks": marks(session),
        "system": context["system"],
    }


@require_safe
@never_cache
def head(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The head of the page again, after its status or phase changed."""
    state = SessionState(get_or_404(Session, request.user, pk), request.user)
    return render(request, "training/session/_head.html", {"state": state, "session": state.session})


@require_safe
@never_cache
def origin(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What it was cloned from or done again from, and what differs."""
    found = origins.origin_of(get_or_404(Session, request.user, pk), compare=True)
    return render(request, "training/session/_origin.html", {"origin": found})


@require_safe
@never_cache
def checkpoints(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk)
    context = {
        "session": session,
        "config": valid_config(session),
        "checkpoints": newest_checkpoints(session),
        "can_resume": session.is_resumable and may(request.user, session.team, Role.MEMBER),
    }
    return render(request, "training/session/_checkpoints.html", context)


@require_safe
@never_cache
@json_errors
def events(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Events in the order they happened.

    `after` goes forward from a cursor; `before`, or no cursor at all, gives the newest ones. `kinds` is a comma list,
    `limit` at most MAX_EVENTS. Of the log `level` gives that one and graver ones, and `search` the lines with these
    words. A reply may hold fewer than asked for: go on from its last event.
    """
    session = get_or_404(Session, request.user, pk)
    after, before = whole(request, "after"), whole(request, "before")
    limit = whole(request, "limit", default=DEFAULT_EVENTS, low=1, high=MAX_EVENTS)
    found = visible(session)
    if kinds := chosen(request, "kinds", Kind.values):
        found = found.filter(kind__in=kinds)
    found = found.filter(logged(request))
    if before is not None:
        found = found.filter(seq__lt=before)
    if after is not None:
        found = found.filter(seq__gt=after)
    ordered = found.order_by("-seq" if after is None else "seq")[:limit]
    lines = encoded(ordered)
    return events_reply(session, lines if after is not None else lines[::-1])


def logged(request: HttpRequest) -> Q:
    """What `level` and `search` ask for. An error event is the gravest line of a log and has no level."""
    asked = Q()
    if level := chosen(request, "level", LEVELS)[:1]:
        asked &= Q(kind=Kind.ERROR) | Q(data__level__in=LEVELS[LEVELS.index(level[0]) :])
    if words := request.GET.get("search", "")[:MAX_SEARCH]:
        asked &= Q(data__message__icontains=words) | Q(data__hint__icontains=words)
    return asked


def encoded(found: QuerySet[Event]) -> list[str]:
    lines, size = [], 0
    for event in found.iterator(50):
        lines.append(json.dumps(message(event), ensure_ascii=False))
        size += len(lines[-1])
        if size > MAX_REPLY_BYTES:
            break
    return lines


def events_reply(session: Session, lines: list[str]) -> HttpResponse:
    about = json.dumps({"last_seq": session.last_seq, "status": session.status, "attempt": session.attempt})
    return HttpResponse(f'{about[:-1]}, "events": [{",".join(lines)}]}}', content_type="application/json")


@require_safe
@never_cache
@gzip_page
@json_errors
def series_json(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Columns over the steps, thinned. `keys` is a comma list, `key` may be repeated for names with a comma in them.

    `phase` training or pretraining; or `kind=system`, over time. `from` and `to` bound the steps, or the seconds since
    1970. `seconds=1` adds how long after the session's start each step was.
    """
    session = get_or_404(Session, request.user, pk)
    keys = keys_asked(request)
    if not keys:
        raise BadQuery(f"keys: name 1 to {series.MAX_KEYS} of them.")
    points = whole(request, "points", default=600, low=series.MIN_POINTS, high=series.MAX_POINTS) or 0
    bounds = {"first": whole(request, "from"), "last": whole(request, "to")}
    if asks_for_system(request):
        return JsonResponse(series.system(session, keys, points=points, **bounds).as_json("times"))
    phase = phase_asked(request)
    found = series.metrics(session, keys, phase=phase, points=points, **bounds)
    timed = {"seconds": series.seconds_at(session, found.axis, phase)} if whole(request, "seconds", high=1) else {}
    return JsonResponse(found.as_json("steps") | timed)


@require_safe
@never_cache
def signal(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What the groups of all steps were good for, added up."""
    session = get_or_404(Session, request.user, pk)
    found = signal_ledger.ledger(session)
    older = found is None and signal_ledger.is_older(session)
    return render(request, "training/session/_ledger.html", {"session": session, "ledger": found, "older": older})


@require_safe
@never_cache
def prompts(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Which questions were answered how well in which epoch."""
    session = get_or_404(Session, request.user, pk)
    context = {"session": session, "map": prompt_map.prompt_map(session)}
    return render(request, "training/session/_prompts.html", context)


@require_safe
@never_cache
def prompts_csv(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    session = get_or_404(Session, request.user, pk)
    text = "".join(spreadsheets.csv_line(line) for line in prompt_map.table(session))
    return download(HttpResponse(text, content_type="text/csv; charset=utf-8"), f"session-{session.pk}-questions.csv")


@require_safe
@never_cache
def inspect(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Where the numbers say that somebody should look at the answers; nothing at all where they don't."""
    return inspected(request, get_or_404(Session, request.user, pk))


def inspected(request: HttpRequest, session: Session) -> HttpResponse:
    notes, dismissed = divergence.sorted_out(session)
    can_change = may(request.user, session.team, Role.MEMBER)
    context = {"session": session, "notes": notes, "dismissed": dismissed, "can_change": can_change}
    return render(request, "training/session/_inspect.html", context)


@require_safe
@never_cache
def marks_json(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk)
    return JsonResponse({"marks": [*marks(session), *divergence.marks(session)]})


def keys_asked(request: HttpRequest) -> list[str]:
    keys = list(dict.fromkeys([*request.GET.getlist("key"), *filter(None, request.GET.get("keys", "").split(","))]))
    if len(keys) > series.MAX_KEYS:
        raise BadQuery(f"keys: name 1 to {series.MAX_KEYS} of them.")
    return keys


def asks_for_system(request: HttpRequest) -> bool:
    return chosen(request, "kind", [Kind.METRICS, Kind.SYSTEM]) == [Kind.SYSTEM]


def phase_asked(request: HttpRequest) -> str:
    return (chosen(request, "phase", [Status.TRAINING, Status.PRETRAINING]) or [Status.TRAINING])[0]


def compact_groups(request: HttpRequest, session: Session) -> HttpResponse:
    """The best and the worst answers to the newest step's first prompt."""
    event = rollouts(session).order_by("-seq").first()
    context: dict[str, Any] = {"session": session, "event": event, "compact": True}
    if event is not None:
        config = valid_config(session)
        context["groups"] = session_groups.groups(
            event, config.prompt if config else None, most=ANSWERS_ON_OVERVIEW, reward=session.reward
        )[:1]
    return render(request, "training/session/_groups.html", context)


def rollouts(session: Session) -> QuerySet[Event]:
    return session.events.filter(kind=Kind.ROLLOUTS, superseded=False, step__isnull=False)


@require_safe
def completion(request: HttpRequest, pk: UUID, seq: int, group: int, index: int) -> HttpResponse:
    """The whole text of one completion."""
    session = get_or_404(Session, request.user, pk)
    _, text = completion_or_404(session, seq, group, index)
    config = valid_config(session)
    found = session_groups.segments(text, config.prompt if config else None)
    return render(request, "training/session/_text.html", {"segments": found, "whole": True})


def completion_or_404(session: Session, seq: int, group: int, index: int) -> tuple[dict[str, Any], str]:
    """(the group, the text of one of its completions)"""
    event = newest(session, Kind.ROLLOUTS, seq=seq)
    try:
        found = (event.data if event else {})["groups"][group]
        brief = session_groups.text_of(found["completions"][index].get("text"))
    except (KeyError, IndexError):
        raise Http404("There is no such completion.") from None
    kept = Completion.objects.filter(event=event, group=group, index=index).values_list("text", flat=True)
    return found, next(iter(kept), brief)


@require_safe
def case(request: HttpRequest, pk: UUID, seq: int, group: int, index: int) -> HttpResponse:
    """The form that makes a completion a golden case, with the session's preset chosen."""
    session = get_or_404(Session, request.user, pk, Role.MEMBER)
    found, text = completion_or_404(session, seq, group, index)
    config = valid_config(session)
    markers = reward_gate.markers_of(config) if config else Markers()
    reference = session_groups.text_of(found.get("reference")) or None
    sample = Sample(session_groups.text_of(found.get("question")), text, reference, {}, markers)
    context = case_views.form_context(request.user, sample, preset_of(session, config))
    return render(request, "rewards/_case_form.html", context)


def preset_of(session: Session, config: SessionConfig | None) -> Any:
    """The id of the preset that the session was started with, if the team still has one of that name."""
    named = config.reward.preset_name if config and config.reward.type == "preset" else None
    preset = presets.row_named(session.team, named) if named else None
    return preset.pk if preset else None


@require_safe
def config_json(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk)
    response = HttpResponse(json.dumps(session.config, indent=2), content_type="application/json")
    return download(response, f"session-{session.pk}.json")


def download(response: Response, name: str) -> Response:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_safe
@never_cache
@json_errors
def metrics_csv(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Every step with every value, for a spreadsheet; or, asked for as series are, the columns of a chart unthinned."""
    session = get_or_404(Session, request.user, pk)
    if keys := keys_asked(request):
        return csv_of_chart(request, session, keys)
    found = session.events.filter(kind=Kind.METRICS, superseded=False).order_by("seq")
    keys = keys_of(found)
    head = ["phase", "step", "attempt", "at", *keys]
    lines = csv_lines(head, found, lambda event: cells_before(event) + [event.data.get(key) for key in keys])
    return csv_response(lines, f"session-{session.pk}-metrics.csv")


def keys_of(found: QuerySet[Event]) -> list[str]:
    keys: dict[str, None] = {}
    for data in found.values_list("data", flat=True).iterator(READ_AT_ONCE):
        keys.update(dict.fromkeys(data))
    return list(keys)


def cells_before(event: Event) -> list[Any]:
    return [event.phase, event.step, event.attempt, event.created_at.isoformat(timespec="milliseconds")]


def csv_of_chart(request: HttpRequest, session: Session, keys: list[str]) -> HttpResponseBase:
    """In the order it happened. What evaluations measured comes last."""
    by_time = asks_for_system(request)
    stream = Stream(session.pk, Kind.SYSTEM) if by_time else Stream(session.pk, Kind.METRICS, phase_asked(request))
    within = Range(whole(request, "from"), whole(request, "to"))

    def cells(event: Event) -> list[Any]:
        values = [event.data.get(key) for key in keys]
        place = event.created_at.isoformat(timespec="milliseconds") if by_time else event.step
        return [place, *values] if any(key in event.data for key in keys) else []

    evaluated = series.evaluations(session, within) if set(keys) & set(series.EVALUATED) else []
    more = [[step, *(data.get(key) for key in keys)] for step, data in evaluated]
    found = stream.events().filter(within.of_events(by_time))
    lines = csv_lines(["time" if by_time else "step", *keys], found, cells, more)
    name = slugify(request.GET.get("name", ""))[:60] or "chart"
    return csv_response(lines, f"session-{session.pk}-{name}.csv")


def csv_response(lines: AsyncIterator[str], name: str) -> HttpResponseBase:
    return download(StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8"), name)


async def csv_lines(
    head: list[str], found: QuerySet[Event], cells: Callable[[Event], list[Any]], more: Iterable[list[Any]] = ()
) -> AsyncIterator[str]:
    """An async iterator: under ASGI a plain one is read into memory as a whole before the first byte goes out."""
    yield spreadsheets.csv_line(head)
    async for event in found.aiterator(READ_AT_ONCE):
        if line := cells(event):
            yield spreadsheets.csv_line(line)
    for line in more:
        yield spreadsheets.csv_line(line)


@require_safe
@never_cache
def log_text(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    session = get_or_404(Session, request.user, pk)
    found = session.events.filter(kind__in=LOG_KINDS).order_by("seq")
    response = StreamingHttpResponse(log_lines(found), content_type="text/plain; charset=utf-8")
    return download(response, f"session-{session.pk}.log")


async def log_lines(found: QuerySet[Event]) -> AsyncIterator[str]:
    async for event in found.aiterator(READ_AT_ONCE):
        level = event.data.get("level") or event.kind
        at = event.created_at.isoformat(timespec="milliseconds")
        yield f"{at} {level.upper():7} {event.data.get('message', '')}\n"
