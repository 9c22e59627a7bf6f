"""The page that compares sessions, and the small replies behind it. Reading only."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from evaluation import compare
from evaluation.compare import Selection
from evaluation.compare_charts import Drawn, charts
from evaluation.compare_csv import SessionRows, csv_lines
from evaluation.compare_scores import scores
from training.session_views import (
    CHART_POINTS,
    BadQuery,
    chosen,
    csv_response,
    json_errors,
    keys_asked,
    whole,
)
from training.streams import Range

MAX_SEARCH = 200


def selected(request: HttpRequest) -> Selection:
    return compare.select(request.user, request.GET.getlist("session"))


def selected_or_404(request: HttpRequest) -> Selection:
    """For what belongs to a page with sessions."""
    selection = selected(request)
    if not selection.entries:
        raise Http404("No such session.")
    return selection


@require_safe
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    selection = selected(request)
    context: dict[str, Any] = {
        "selection": selection,
        "most": compare.MOST,
        "choices": compare.choices(request.user, "", selection),
    }
    if selection.is_enough:
        drawn = charts(selection.entries)
        context |= {"drawn": drawn, "scores": scores(selection.entries), "data": page_data(selection, drawn)}
        context["differences"] = compare.differences(selection.sessions)
    return render(request, "evaluation/compare.html", context)


def page_data(selection: Selection, drawn: Drawn) -> dict[str, Any]:
    """What the script starts from."""
    return {
        "sessions": [
            {
                "number": entry.number,
                "id": str(entry.session.pk),
                "name": entry.session.name,
                "series": reverse("training:series", args=[entry.session.pk]),
                "active": entry.session.is_active,
            }
            for entry in selection.entries
        ],
        "charts": [chart.as_json() for chart in drawn.charts],
        "points": CHART_POINTS,
    }


@require_safe
@never_cache
def scores_part(request: HttpRequest) -> HttpResponse:
    """The scores and each session's status again, while one of them is active."""
    selection = selected_or_404(request)
    context = {"selection": selection, "scores": scores(selection.entries), "out_of_band": True}
    return render(request, "evaluation/_compare_scores.html", context)


@require_safe
@never_cache
def choices(request: HttpRequest) -> HttpResponse:
    """Sessions that can be added, by words of their names."""
    selection, search = selected(request), request.GET.get("q", "")[:MAX_SEARCH]
    context = {"choices": compare.choices(request.user, search, selection), "search": search, "selection": selection}
    return render(request, "evaluation/_compare_choices.html", context)


@require_safe
@never_cache
@json_errors
def csv(request: HttpRequest) -> HttpResponseBase:
    """Every step of a chart, one row for each session and step. `from` and `to` bound steps, or with `by=time` the
    seconds since each session's start."""
    selection, keys = selected_or_404(request), keys_asked(request)
    if not keys:
        raise BadQuery("key: name at least one.")
    by_time = chosen(request, "by", ["step", "time"]) == ["time"]
    bounds = Range(whole(request, "from"), whole(request, "to"))
    name = slugify(request.GET.get("name", ""))[:60] or "chart"
    rows = [SessionRows(entry, keys, bounds, by_time) for entry in selection.entries]
    return csv_response(csv_lines(rows, keys), f"compare-{name}.csv")
