from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import current_team, get_or_404, may
from accounts.models import Role
from rewards import describe, golden, presets
from rewards.forms import BenchForm, PresetForm, bench_for
from rewards.models import RewardPreset


@require_safe
def library(request: HttpRequest) -> HttpResponse:
    wanted = request.GET.get("q", "").strip()
    rows = presets.visible_to(request.user)
    if wanted:
        rows = rows.filter(Q(name__icontains=wanted) | Q(description__icontains=wanted) | Q(slug__icontains=wanted))
    cards = [describe.card(preset) for preset in rows.order_by("category", "name")]
    return render(request, "rewards/list.html", {"cards": cards, "wanted": wanted})


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
        context["cases"] = golden.run(card.composition, preset.golden)
    context["may_change"] = preset.team is not None and may(request.user, preset.team, Role.MEMBER)
    return context


@require_POST
def copy(request: HttpRequest, pk: UUID) -> HttpResponse:
    preset = presets.readable_or_404(request.user, pk)
    copied = presets.copy(preset, current_team(request.user, Role.MEMBER), request.user)
    messages.success(request, f"Copied to {copied.team} as “{copied.slug}”. Sessions can use it by this name.")
    return redirect("rewards:edit", copied.pk)


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    preset = get_or_404(RewardPreset, request.user, pk, Role.MEMBER)
    problem = describe.card(preset).problem
    if problem:
        messages.error(request, f"{problem} Delete it, or correct its definition in the admin.")
        return redirect("rewards:detail", preset.pk)
    form = PresetForm(preset, request.POST if request.method == "POST" else None)
    if form.is_valid() and form.composition is not None:
        values = form.cleaned_data
        presets.update(preset, name=values["name"], description=values["description"], composition=form.composition)
        messages.success(request, "Saved. Running sessions keep the reward they started with.")
        return redirect("rewards:detail", preset.pk)
    return render(request, "rewards/edit.html", {"preset": preset, "form": form})


@require_POST
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    preset = get_or_404(RewardPreset, request.user, pk, Role.MEMBER)
    preset.delete()
    messages.success(request, f"“{preset.name}” is deleted.")
    return redirect("rewards:list")
