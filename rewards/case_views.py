"""Golden cases made of any answer: the form beside it, what it adds, and the way back."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.access import current_team, teams_with
from accounts.models import AnyUser, Role
from loracraft.numbers import thousands
from rewards import cases, presets
from rewards.forms import LONGEST_TEXT
from rewards.models import RewardPreset
from rewards.registry import Markers, Sample

MOST_LISTED = 200
PROBLEMS = (cases.CaseProblem, presets.PresetChanged)


def form_context(user: AnyUser, sample: Sample, chosen: UUID | str | None = None) -> dict[str, Any]:
    """What rewards/_case_form.html shows for one answer."""
    return {**choices(user), "case": as_json(sample), "chosen": str(chosen or "")}


def choices(user: AnyUser) -> dict[str, Any]:
    """The presets that the user may add cases to. Of a shipped one, a copy gets them."""
    own = RewardPreset.objects.filter(team__in=teams_with(user, Role.MEMBER))
    shipped = RewardPreset.objects.filter(team=None) if teams_with(user, Role.MEMBER).exists() else []
    return {"own": own.only("pk", "name").order_by("name")[:MOST_LISTED], "shipped": shipped}


def as_json(sample: Sample) -> str:
    return json.dumps(
        {"instruction": sample.instruction, "response": sample.response, "reference": sample.reference,
         "columns": sample.columns, "markers": vars(sample.markers)}, default=str
    )  # fmt: skip


def sample_in(text: str, response: str | None = None) -> Sample:
    """With `response` where the answer could be changed on the page. Raises CaseProblem."""
    try:
        told = json.loads(text)
        markers = Markers(**told["markers"])
        given = told["response"] if response is None else response.replace("\r\n", "\n")
        sample = Sample(told["instruction"], given, told["reference"], told["columns"], markers)
    except (ValueError, KeyError, TypeError) as error:
        raise cases.CaseProblem("The answer did not come whole. Load the page again, then add it.") from error
    texts = [sample.instruction, sample.response, *vars(markers).values(), sample.reference or ""]
    if not all(isinstance(each, str) and len(each) <= LONGEST_TEXT for each in texts):
        raise cases.CaseProblem(f"Question and answer of a case have at most {thousands(LONGEST_TEXT)} characters.")
    return sample


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """An answer as a golden case of a preset: `case` holds it as JSON, `wanted` is high, between or low."""
    chosen = presets.readable_or_404(request.user, presets.pk_or_404(request.POST.get("preset", "")))
    if chosen.team_id is not None:
        presets.own_or_403(request.user, chosen.pk)
    team = chosen.team or current_team(request.user, Role.MEMBER)
    text, response = request.POST.get("case", ""), request.POST.get("response")
    try:
        sample = sample_in(text, response)
        added = cases.add_to(chosen, team, request.user, sample, request.POST.get("wanted", ""))
    except PROBLEMS as problem:
        return refused(request, chosen, text, f"Not added. {problem}")
    return answered(request, added.preset, as_json(sample), said_of(added))


def said_of(added: cases.Added) -> str:
    if not added.is_new:
        return f"That answer is in the golden cases of {added.preset.name} already."
    copied = "Copied to your team, and added" if added.copied else "Added"
    return f"{copied} to the golden cases of {added.preset.name}, now version {added.preset.version}."


@require_POST
def take_back(request: HttpRequest) -> HttpResponse:
    preset = presets.own_or_403(request.user, presets.pk_or_404(request.POST.get("preset", "")))
    text = request.POST.get("case", "")
    try:
        removed = cases.remove(preset, request.user, sample_in(text))
    except PROBLEMS as problem:
        return refused(request, preset, text, f"Not taken back. {problem}")
    if not getattr(request, "htmx", False):
        messages.success(request, f"Taken back: {preset.name} is version {preset.version} now.")
        return redirect("rewards:detail", preset.pk)
    said = f"Taken back, as version {preset.version}." if removed else "It was not in the golden cases any more."
    context = {**choices(request.user), "case": text, "chosen": str(preset.pk), "said": said}
    return render(request, "rewards/_case_form.html", context)


@require_POST
def drop(request: HttpRequest, pk: UUID) -> HttpResponse:
    """A whole golden case, by its place among those of the version that the page showed."""
    preset = presets.own_or_403(request.user, pk)
    place, version = request.POST.get("place", ""), request.POST.get("version", "")
    try:
        if version != str(preset.version) or not cases.drop(preset, request.user, place):
            raise presets.PresetChanged("Somebody saved another version of this preset meanwhile.")
    except presets.PresetChanged as problem:
        messages.error(request, f"Nothing was removed. {problem}")
    else:
        messages.success(request, f"The case is removed, as version {preset.version}. “Versions” brings it back.")
    return redirect("rewards:detail", preset.pk)


def answered(request: HttpRequest, preset: RewardPreset, case: str, said: str) -> HttpResponse:
    if getattr(request, "htmx", False):
        return render(request, "rewards/_case_said.html", {"preset": preset, "case": case, "said": said})
    messages.success(request, said)
    return redirect("rewards:detail", preset.pk)


def refused(request: HttpRequest, preset: RewardPreset, case: str, said: str) -> HttpResponse:
    """The form again, so that another preset can be chosen."""
    if getattr(request, "htmx", False):
        response = request.POST.get("response")
        context = {**choices(request.user), "case": case, "chosen": str(preset.pk), "problem": said}
        context |= {"is_open": response is not None, "response": response}
        return render(request, "rewards/_case_form.html", context)
    messages.error(request, said)
    return redirect("rewards:detail", preset.pk)
