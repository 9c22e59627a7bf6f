"""The composer: parts, weights, gates and formula without code, with a row scored beside it while one types."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from accounts.access import current_team
from accounts.models import Role
from rewards import describe, exchange, outside, presets
from rewards.composer_forms import Composer
from rewards.exchange import Imported, ImportProblem
from rewards.forms import ImportForm
from rewards.models import RewardPreset
from rewards.outside import RowMissing
from rewards.registry import REGISTRY

BLANK = Imported({"parts": []}, "nothing", category=presets.OWN_CATEGORY)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    team = current_team(request.user, Role.MEMBER)
    if request.method == "POST":
        return posted(request, Composer.posted(request.POST, team))
    return page(request, Composer.begun(start_of(request), team))


def start_of(request: HttpRequest) -> Imported:
    """Nothing, or another preset's parts."""
    if "from" not in request.GET:
        return BLANK
    preset = presets.readable_or_404(request.user, uuid_or_404(request.GET["from"]))
    try:
        made = imported_from(preset)
    except presets.PresetMissing as problem:
        messages.error(request, str(problem))
        return BLANK
    made.name, made.slug = f"{preset.name[:100]} (copy)", ""
    return made


def imported_from(preset: RewardPreset) -> Imported:
    """Raises PresetMissing if its definition no longer holds."""
    presets.composition_of(preset)
    texts = {name: getattr(preset, name) for name in ("name", "slug", "category", "description", "golden")}
    return Imported(preset.definition, f"the preset {preset.slug}", **texts)


def uuid_or_404(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    preset = presets.own_or_403(request.user, pk)
    if request.method == "POST":
        return posted(request, Composer.posted(request.POST, preset.team, preset))
    problem = describe.card(preset).problem
    if problem:
        messages.error(request, f"{problem} Delete it, or correct its definition in the admin.")
        return redirect("rewards:detail", preset.pk)
    return page(request, Composer.begun(imported_from(preset), preset.team, preset))


def posted(request: HttpRequest, composer: Composer) -> HttpResponse:
    """Saves, or does what one of the page's other buttons says. Nothing that was typed is lost by either."""
    action = request.POST.get("do", "save")
    if action != "save":
        act(request, composer, action)
        return page(request, composer, ask=action == "score", changed=True)
    if not composer.is_valid():
        return page(request, composer, checked=True, changed=True)
    try:
        return saved(request, composer)
    except (presets.PresetChanged, ImportProblem) as problem:
        messages.error(request, f"Not saved. {problem}")
        return page(request, composer, checked=True, changed=True)


def act(request: HttpRequest, composer: Composer, action: str) -> None:
    verb, _, argument = action.partition(":")
    if verb == "add" and argument in REGISTRY:
        composer.add(argument)
    elif verb == "remove":
        composer.remove(argument)
    elif verb in ("up", "down"):
        composer.move(argument, -1 if verb == "up" else 1)
    elif verb == "undo":
        composer.undo()
    elif verb == "row":
        take_row(request, composer, argument)


def take_row(request: HttpRequest, composer: Composer, argument: str) -> None:
    source, place = composer.data.get("sample-source", ""), argument or "0"
    if not source:
        return
    try:
        composer.take(outside.row(request.user, source, int(place) if place.isdecimal() and len(place) < 6 else 0))
    except RowMissing as problem:
        composer.row_problem = str(problem)


def saved(request: HttpRequest, composer: Composer) -> HttpResponse:
    """Raises PresetChanged, ImportProblem."""
    values, preset, composition = composer.head.cleaned_data, composer.preset, composer.composition
    assert composition is not None and composer.team is not None
    texts = {name: values[name] for name in ("name", "category", "description")}
    texts["category"] = texts["category"].strip() or presets.OWN_CATEGORY
    if preset is None:
        definition, golden = composition.model_dump(mode="json"), composer.golden
        made = {**texts, "slug": values["slug"], "note": values["note"]}
        preset = presets.create(composer.team, request.user, definition=definition, golden=golden, **made)
        messages.success(request, f"Saved for {composer.team}. Sessions can use it by the name “{preset.slug}”.")
        return redirect("rewards:detail", preset.pk)
    rebase(preset, composer.data)
    texts["slug"] = values["slug"] or preset.slug
    if presets.update(preset, request.user, composition=composition, note=values["note"], **texts):
        messages.success(request, f"Saved as version {preset.version}. Sessions keep the reward they started with.")
    else:
        messages.success(request, f"Saved. The parts are those of version {preset.version}.")
    return redirect("rewards:detail", preset.pk)


def rebase(preset: RewardPreset, data: QueryDict) -> None:
    """Whoever saves has seen what the page was made from. Raises PresetChanged, once, for something newer."""
    read, now = data.get("base", ""), presets.edition(preset)
    if read == now:
        return
    data["base"] = now
    if read.partition("-")[0] == str(preset.version):
        raise presets.PresetChanged(
            f"Somebody saved another name, category or description meanwhile: “{preset.name}”, {preset.category},"
            f" “{preset.description}”. Save again to put yours in their place."
        )
    newest = presets.versions_of(preset)[0]
    raise presets.PresetChanged(
        f"{newest.created_by or 'Somebody'} saved version {preset.version} meanwhile. Save again to put what you"
        " have here on top of it; it stays in the list of versions."
    )


# What the page asks for while one types


@require_POST
def parts(request: HttpRequest) -> HttpResponse:
    """A part added, removed or moved, for htmx."""
    composer = of_member(request)
    act(request, composer, request.POST.get("do", ""))
    context = {"composer": composer, "changed": True, "checked": False}
    response = render(request, "rewards/_composer_parts.html", context)
    return trigger_client_event(response, "composed", after="settle")


@require_POST
def sample(request: HttpRequest) -> HttpResponse:
    """Another row, for htmx."""
    composer = of_member(request)
    act(request, composer, request.POST.get("do", "row:0"))
    context = {"composer": composer, "sources": outside.sources(request.user), "checked": False}
    response = render(request, "rewards/_composer_sample.html", context)
    return trigger_client_event(response, "composed", after="settle")


@require_POST
def live(request: HttpRequest) -> HttpResponse:
    """The score of the row, and what is wrong at its field, for htmx. Nothing is saved."""
    composer = of_member(request)
    ask = request.POST.get("do") == "score"
    context = {"composer": composer, "oob": True, **scored(composer, ask)}
    return render(request, "rewards/_composer_live.html", context)


def of_member(request: HttpRequest) -> Composer:
    current_team(request.user, Role.MEMBER)
    return Composer.posted(request.POST)


def scored(composer: Composer, ask: bool) -> dict[str, Any]:
    """`ask`: services are asked, too, and not only what this process judges by itself."""
    composition = composer.composition
    context: dict[str, Any] = {"composition": composition, "missing": missing(composer)}
    if composition is None:
        return context
    views = describe.part_views(composition)
    context |= {"formula": describe.formula(composition), "parts": views}
    context |= {"shares": [(form.key, view.share) for form, view in zip(composer.parts, views, strict=True)]}
    context |= {"weights": sum(part.weight for part in composition.parts)}
    if composer.sample.is_valid():
        result, waiting = describe.scored(composition, composer.sample.sample(), ask)
        for form, part in zip(composer.parts, composition.parts, strict=True):
            form.failed = result.errors.get(part.name, "")
        context |= {"result": result, "waiting": waiting, "scores": describe.part_scores(composition, result)}
    return context


def missing(composer: Composer) -> list[str]:
    """What is still to be filled in, in words."""
    found = []
    for form in composer.parts:
        name = composer.data.get(f"{form.key}-name", "").strip() or form.function.title
        for field, errors in form.errors.as_data().items():
            if field != "__all__" and any(error.code == "required" for error in errors):
                found.append(f"{form[field].label} of “{name}”")
    return found


def page(
    request: HttpRequest,
    composer: Composer,
    *,
    checked: bool = False,
    ask: bool = False,
    changed: bool = False,
    imported: Imported | None = None,
) -> HttpResponse:
    """`checked`: also what is missing is an error. `changed`: there is something that is not saved."""
    context = {
        "composer": composer,
        "preset": composer.preset,
        "edition": presets.edition(composer.preset) if composer.preset else "",
        "starts": presets.found(request.user) if composer.preset is None else (),
        "catalogue": describe.catalogue(),
        "categories": presets.categories(request.user),
        "sources": outside.sources(request.user),
        "checked": checked,
        "changed": changed,
        "imported": imported,
        **scored(composer, ask),
    }
    return render(request, "rewards/compose.html", context, status=400 if checked else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def import_preset(request: HttpRequest) -> HttpResponse:
    """What is read is shown in the composer, with what differs; saving it is the next step."""
    team = current_team(request.user, Role.MEMBER)
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    problems: list[str] = []
    if form.is_bound and form.is_valid():
        try:
            made = exchange.read(form.cleaned_data["text"])
        except ImportProblem as problem:
            problems = problem.problems
        else:
            return page(request, Composer.begun(made, team), changed=True, imported=made)
    wrong = bool(problems or form.errors)
    return render(request, "rewards/import.html", {"form": form, "problems": problems}, status=400 if wrong else 200)
