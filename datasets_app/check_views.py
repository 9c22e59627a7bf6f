"""The Statistics and the Validation tab: what the newest check of a version found."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts import access
from accounts.models import Role
from datasets_app import chat_rendering, checks, findings, previews
from datasets_app.models import Check, DatasetVersion
from datasets_app.page_views import TABS, frame, opened, show, tab_url
from datasets_app.statistics import Picture, picture, stripes

# The most frequent values of a column are worth a table if there are so few, or one is that frequent.
FEW_VALUES = 30
OFTEN = 0.05


class CheckForm(forms.Form):
    model = forms.ChoiceField(required=False)
    system_prompt = forms.CharField(max_length=20_000, required=False, strip=False)
    max_tokens = forms.IntegerField(min_value=16, max_value=1_000_000)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model"].choices = chat_rendering.offered_models()  # type: ignore[attr-defined]


@require_POST
def check(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = opened(request, pk, Role.MEMBER)
    form = CheckForm(request.POST)
    if not form.is_valid():
        return show(request, version, "validation", context(request, version, check_form=form), status=400)
    checks.start(version, request.user, **form.cleaned_data)
    return redirect(tab_url(version, came_from(request)))


@require_POST
def recheck(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Asks again what was asked last, under the mapping and split as they are now."""
    version = opened(request, pk, Role.MEMBER)
    last = checks.newest(version)
    checks.start(version, request.user, **(last.request if last else {}))
    return redirect(tab_url(version, came_from(request)))


@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """`pk` is the check's."""
    running = access.get_or_404(Check, request.user, pk, Role.MEMBER)
    checks.cancel(running)
    return redirect(tab_url(running.version, came_from(request)))


@require_GET
@never_cache
def progress(request: HttpRequest, pk: UUID) -> HttpResponse:
    """How far the newest check is, for htmx. At its end the page is loaded again: every tab tells of the result."""
    version = opened(request, pk)
    newest = checks.newest(version)
    if newest is None or newest.status not in checks.OPEN:
        return HttpResponse(headers={"HX-Refresh": "true"})
    return render(request, "datasets/_checking.html", {**frame(request, version, came_from(request))})


def came_from(request: HttpRequest) -> str:
    """The tab whose form or partial this is."""
    tab = request.POST.get("tab") or request.GET.get("tab", "")
    return tab if tab in TABS else "validation"


def context(request: HttpRequest, version: DatasetVersion, **forms_: Any) -> dict[str, Any]:
    found = reported(version)
    last = found["newest"]
    templates = list(previews.templates_for(request.user))
    return {
        **found,
        "findings": [with_link(version, one) for one in findings.of(version, found["report"])] if found["done"] else [],
        "prompt_picture": length_picture(found["report"], "prompt"),
        "answer_picture": length_picture(found["report"], "answer"),
        "over": over(found["report"]),
        "check_form": asked_form(last),
        "models": chat_rendering.offered_models(),
        "templates": templates,
        **forms_,
    }


def reported(version: DatasetVersion) -> dict[str, Any]:
    """The last report that was finished, and whether it still answers what is asked."""
    newest, done = checks.newest(version), checks.newest_report(version)
    return {
        "newest": newest,
        "is_checking": newest is not None and newest.status in checks.OPEN,
        "done": done,
        "report": done.report if done else {},
        "outdated": done is not None and not checks.is_current(done, version),
    }


def asked_form(last: Check | None) -> CheckForm:
    initial = (
        last.request
        if last
        else {
            "model": checks.default_model(),
            "system_prompt": checks.default_prompt(),
            "max_tokens": checks.MAX_TOKENS,
        }
    )
    return CheckForm(initial=initial)


def with_link(version: DatasetVersion, finding: dict[str, Any]) -> dict[str, Any]:
    query = dict(finding["query"])
    if not query:
        return {**finding, "url": ""}
    anchor = query.pop("anchor", "filter-form" if query.get("tab") == "versions" else "")
    address = f"?{urlencode({**query, 'version': version.number})}"
    return {**finding, "url": f"{address}#{anchor}" if anchor else address}


def over(report: dict[str, Any]) -> dict[str, Any]:
    """How many prompts are over the limit, alone and with their answer, and which share that is."""
    tokens = report.get("tokens", {})
    counts, measured = tokens.get("over") or {}, tokens.get("measured") or 1
    return {**counts, **{f"{name}_share": (count or 0) / measured for name, count in counts.items()}}


def length_picture(report: dict[str, Any], name: str) -> Picture | None:
    tokens = report.get("tokens", {})
    if name not in tokens:
        return None
    limit = tokens["limit"] if name == "prompt" else None
    return picture(tokens[name]["bins"], 480, 96, limit)


def statistics_context(request: HttpRequest, version: DatasetVersion) -> dict[str, Any]:
    found = reported(version)
    report = found["report"]
    return {
        **found,
        "about": [about(version, column) for column in report.get("columns", [])],
        "stripes": part_stripes(report),
        "prompt_picture": length_picture(report, "prompt"),
        "answer_picture": length_picture(report, "answer"),
    }


def about(version: DatasetVersion, column: dict[str, Any]) -> dict[str, Any]:
    rows = version.row_count or 1
    most = column["top"][0][1] if column["top"] else 1
    return {
        **column,
        "filled": 1 - column["blank"] / rows,
        "fill_width": round(100 * (1 - column["blank"] / rows), 2),
        "picture": picture((column["values"] or column["lengths"]).get("bins", [])),
        "of_numbers": bool(column["values"]),
        "top": [
            {"value": value, "rows": count, "share": count / rows, "width": round(100 * count / most, 2)}
            for value, count in column["top"]
        ]
        if shows_top(column, rows)
        else [],
    }


def shows_top(column: dict[str, Any], rows: int) -> bool:
    """Not where nearly every row has a value of its own."""
    return bool(column["top"]) and (column["distinct"] <= FEW_VALUES or column["top"][0][1] >= rows * OFTEN)


def part_stripes(report: dict[str, Any]) -> list[Any]:
    parts = report.get("parts")
    if not parts:
        return []
    return stripes(
        [
            ("train", "Training", parts["train"]),
            ("validation", "Validation", parts["validation"]),
            ("test", "Test (held out)", parts["held_out"]),
            ("duplicates", "Left out: the question is in test or validation", parts["duplicates"]),
            ("unassigned", "Left out: in no part", parts["unassigned"]),
            ("skipped", "Left out: question or answer is missing", sum(parts["skipped"].values())),
        ]
    )
