import json
from collections.abc import Container
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import current_team, get_or_404, may, require, teams_with
from accounts.models import Role
from rewards import describe, examinations, exchange, golden, judge_costs, outside, presets
from rewards.checks import Exam
from rewards.forms import BenchForm, bench_for
from rewards.models import Examination, RewardPreset

# Versions on a preset's page, and on the page of its versions.
NEWEST, LISTED = 5, 100


@require_safe
def library(request: HttpRequest) -> HttpResponse:
    wanted = describe.Wanted.of(request.GET)
    cards = wanted.among(describe.card(preset) for preset in presets.found(request.user, wanted.text, wanted.category))
    context = {"cards": cards, "wanted": wanted, "categories": presets.categories(request.user)}
    return render(request, "rewards/list.html", context)


@require_safe
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    preset = presets.readable_or_404(request.user, pk)
    return render(request, "rewards/detail.html", _detail(request, preset, bench_for(preset)))


@require_POST
def score(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The test bench: scores one answer. htmx gets the result alone, a plain form the whole page."""
    preset = presets.readable_or_404(request.user, pk)
    form = BenchForm(request.POST)
    context = _detail(request, preset, form)
    composition = context["card"].composition
    if form.is_valid() and composition is not None:
        result = composition.score(form.sample())
        context |= {"result": result, "scores": describe.part_scores(composition, result)}
    page = "rewards/_score.html" if getattr(request, "htmx", False) else "rewards/detail.html"
    return render(request, page, context)


def _detail(request: HttpRequest, preset: RewardPreset, bench: BenchForm) -> dict[str, Any]:
    card = describe.card(preset)
    context: dict[str, Any] = {"preset": preset, "card": card, "bench": bench}
    if card.composition is not None:
        context["formula"] = describe.formula(card.composition)
        # Who opens a page has not asked for what costs money.
        context["cases"] = [] if card.composition.asks_outside else golden.run(card.composition, preset.golden)
        context |= gate_context(request, preset, Exam(card.composition, list(preset.golden)))
        team = preset.team or teams_with(request.user).first()
        context |= {"costs": judge_costs.of(team, card.composition), "costs_of": team}
    context["may_change"] = may_change(request, preset)
    context["lines"] = describe.version_lines(presets.versions_of(preset)[: NEWEST + 1])[:NEWEST]
    return context


def may_change(request: HttpRequest, preset: RewardPreset) -> bool:
    return preset.team is not None and may(request.user, preset.team, Role.MEMBER)


@require_http_methods(["GET", "HEAD", "POST"])
def examine(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The card of the launch gate on a preset's page; a POST has a worker examine it. The asker's team pays."""
    preset = presets.readable_or_404(request.user, pk)
    role = Role.MEMBER if request.method == "POST" else Role.VIEWER
    team, exam = preset.team or current_team(request.user, role), presets_exam(preset)
    if request.method == "POST" and exam is not None:
        require(request.user, team, Role.MEMBER)
        examinations.start(team, request.user, exam)
    if not getattr(request, "htmx", False):
        return redirect("rewards:detail", pk)
    return render(request, "rewards/_examined.html", {"preset": preset, **gate_context(request, preset, exam)})


def presets_exam(preset: RewardPreset) -> Exam | None:
    """With its golden cases alone. None if it can't be used any more."""
    try:
        return Exam(presets.composition_of(preset), list(preset.golden))
    except presets.PresetMissing:
        return None


def gate_context(request: HttpRequest, preset: RewardPreset, exam: Exam | None) -> dict[str, Any]:
    if exam is None:
        return {}
    team = preset.team or teams_with(request.user).first()
    state = examinations.state(team, exam)
    return {
        "state": state,
        "gate": state.report,
        "may_examine": team is not None and may(request.user, team, Role.MEMBER),
    }


@require_POST
def cancel_examination(request: HttpRequest, pk: UUID) -> HttpResponse:
    """`pk` is the examination's."""
    job = get_or_404(Examination, request.user, pk, Role.MEMBER)
    if not examinations.cancel(job):
        messages.info(request, "That examination had ended already.")
    return HttpResponse(headers={"HX-Refresh": "true"}) if getattr(request, "htmx", False) else redirect("rewards:list")


@require_POST
def copy(request: HttpRequest, pk: UUID) -> HttpResponse:
    preset = presets.readable_or_404(request.user, pk)
    copied = presets.copy(preset, current_team(request.user, Role.MEMBER), request.user)
    messages.success(request, f"Copied to {copied.team} as “{copied.slug}”. Sessions can use it by this name.")
    return redirect("rewards:edit", copied.pk)


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    preset = presets.own_or_403(request.user, pk)
    if request.method != "POST":
        return render(request, "rewards/delete.html", {"preset": preset, "uses": outside.uses(preset)})
    preset.delete()
    messages.success(request, f"“{preset.name}” is deleted.")
    return redirect("rewards:list")


@require_safe
def versions(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Every version with what it changed, and two of them side by side in words."""
    preset = presets.readable_or_404(request.user, pk)
    every = presets.versions_of(preset)
    lines = describe.version_lines(every[: LISTED + 1])[:LISTED]
    numbers = {version.number: version for version in every}
    first, second = (as_number(request.GET.get(name), numbers) for name in ("from", "to"))
    context: dict[str, Any] = {"preset": preset, "lines": lines, "every": every}
    context["may_change"] = may_change(request, preset)
    if first and second:
        changes = presets.changes(numbers[first], numbers[second])
        context |= {"first": first, "second": second, "changes": changes}
    return render(request, "rewards/versions.html", context)


def as_number(text: str | None, known: Container[int]) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 8 and int(text) in known else None


@require_POST
def restore(request: HttpRequest, pk: UUID, number: int) -> HttpResponse:
    preset = presets.own_or_403(request.user, pk)
    try:
        made = presets.restore(preset, number, request.user)
    except (presets.PresetMissing, presets.PresetChanged) as problem:
        messages.error(request, f"Nothing was restored. {problem}")
    else:
        said = f"Version {number} is back, as version {preset.version}." if made else "The preset is that already."
        messages.success(request, said)
    return redirect("rewards:versions", preset.pk)


@require_safe
def export(request: HttpRequest, pk: UUID) -> HttpResponse:
    preset = presets.readable_or_404(request.user, pk)
    text = json.dumps(exchange.exported(vars(preset)), indent=2, ensure_ascii=False)
    name = f"{preset.slug}-v{preset.version}.reward.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="application/json; charset=utf-8", headers=headers)
