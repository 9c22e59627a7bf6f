"""The detail page of a check: both sides with their intervals, and what the export answers otherwise."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_or_404, may
from accounts.models import Role
from evaluation.report import Bar, percent
from exports import checks, formats
from exports.models import Check, Export
from exports.problems import ExportProblem
from jobs.choices import JobStatus


@require_safe
@never_cache
def check(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _page(request, _checked(request, pk))


@require_POST
def start(request: HttpRequest, pk: UUID) -> HttpResponse:
    export = get_or_404(Export, request.user, pk, Role.MEMBER)
    if export.status != JobStatus.READY:
        raise Http404("This export is not ready.")
    checks.start(export)
    return redirect("exports:check", export.pk)


@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    export = _checked(request, pk, Role.MEMBER)
    checks.cancel(_row(export))
    return redirect("exports:check", export.pk)


@require_POST
def sign_off(request: HttpRequest, pk: UUID) -> HttpResponse:
    export = _checked(request, pk, Role.MEMBER)
    reason = request.POST.get("reason", "")
    try:
        checks.sign_off(_row(export), request.user if isinstance(request.user, User) else None, reason)
    except ExportProblem as problem:
        return _page(request, export, problem.sentence, reason)
    return redirect("exports:check", export.pk)


def _checked(request: HttpRequest, pk: UUID, role: str = Role.VIEWER) -> Export:
    export = get_or_404(Export, request.user, pk, role)
    if export.parity is None:
        raise Http404("This export was not checked.")
    return export


def _row(export: Export) -> Check:
    assert export.parity is not None
    return export.parity


def _page(request: HttpRequest, export: Export, problem: str = "", reason: str = "") -> HttpResponse:
    row, chosen = _row(export), formats.choice(export.format, export.quantization)
    context: dict[str, Any] = {
        "export": export,
        "check": row,
        "title": chosen.title if chosen else str(export),
        "may_change": may(request.user, export.team, Role.MEMBER),
        "problem": problem,
        "reason": reason,
        "shortest_reason": checks.SHORTEST_REASON,
        "longest_reason": checks.LONGEST_REASON,
        "plots": plots(row.result),
    }
    partial = request.headers.get("HX-Request") and not problem
    return render(request, "exports/_check.html" if partial else "exports/check.html", context)


def plots(result: dict[str, Any]) -> list[tuple[str, list[Bar]]]:
    """(what is measured, a bar of adapter and of export)."""
    found = [("Right answers", accuracy_bars(result)), ("Mean reward", reward_bars(result))]
    return [(title, bars) for title, bars in found if bars]


def _sides(result: dict[str, Any], name: str) -> list[tuple[str, str, dict[str, Any]]]:
    sides = (("Trained adapter", "base", "adapter"), ("This export", "adapter", "export"))
    return [(title, css, result[side][name]) for title, css, side in sides if result.get(side, {}).get(name)]


def accuracy_bars(result: dict[str, Any]) -> list[Bar]:
    return [
        Bar(
            title,
            f"{percent(each['share'])} ({percent(each['low'])} to {percent(each['high'])})",
            each["low"] * 100,
            each["share"] * 100,
            each["high"] * 100,
            css,
        )
        for title, css, each in _sides(result, "accuracy")
    ]


def reward_bars(result: dict[str, Any]) -> list[Bar]:
    """On one scale with 0 on it, as everywhere."""
    sides = _sides(result, "reward")
    ends = [0.0, *(each[name] for _, _, each in sides for name in ("low", "high"))]
    lowest, width = min(ends), (max(ends) - min(ends)) or 1.0

    def place(value: float) -> float:
        return (value - lowest) / width * 100

    return [
        Bar(
            title,
            f"{each['mean']:.2f} ({each['low']:.2f} to {each['high']:.2f})",
            place(each["low"]),
            place(each["mean"]),
            place(each["high"]),
            css,
        )
        for title, css, each in sides
    ]
