"""The page of the test bench: one reward or two on the same answers, and any of them as a golden case."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import AnyUser
from rewards import bench, bench_sources, case_views, gate, presets
from rewards.bench import Item, Line, TooMuch
from rewards.bench_forms import AskForm, BenchPageForm
from rewards.bench_sources import Answered, NotAsked
from rewards.composition import Composition
from rewards.describe import PartScore, part_scores
from rewards.forms import MARKER_LABELS
from rewards.models import RewardPreset
from rewards.outside import RowMissing
from rewards.registry import Markers, Sample

BOXES = ("use_system_prompt", "without_adapter")


@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return whole(request, BenchPageForm(request.user, initial=wanted(request)))
    if "find" in request.POST:
        return whole(request, BenchPageForm(request.user, initial=request.POST.dict()))
    form = BenchPageForm(request.user, request.POST)
    context: dict[str, Any] = {"form": form}
    if form.is_valid():
        try:
            context |= scored(form, request.user, request.POST.getlist("edited"))
        except (RowMissing, TooMuch, presets.PresetMissing) as problem:
            context["problem"] = str(problem)
    if is_htmx(request):
        return render(request, "rewards/_bench_result.html", context)
    return whole(request, **context)


def whole(request: HttpRequest, form: BenchPageForm, **context: Any) -> HttpResponse:
    """The page. `ask` is the form of asking a model, where there is one with errors to show."""
    user, values = request.user, {name: form[name].value() for name in ("session", "asked", "step", "prompt", "answer")}
    context = {"ask": AskForm(user, initial=as_typed(request)), **context}
    return render(
        request,
        "rewards/bench.html",
        {
            "form": form,
            **session_choices(user, request.POST.get("session_search", ""), str(values["session"] or "")),
            "chosen_step": str(values["step"] if values["step"] is not None else ""),
            "chosen_prompt": values["prompt"] or "",
            "chosen_answer": values["answer"] or "",
            **asking_context(request, context["ask"]),
            "asked": answers_of(user, str(values["asked"] or ""), request.POST.getlist("edited")),
            **context,
        },
    )


def is_htmx(request: HttpRequest) -> bool:
    return bool(getattr(request, "htmx", False))


def wanted(request: HttpRequest) -> dict[str, Any]:
    """What a link to the page asks for."""
    found: dict[str, Any] = {
        name: request.GET[name] for name in ("preset", "session", "step", "prompt", "answer") if name in request.GET
    }
    if "session" in found:
        found["take"] = "session"
    if "answers" in request.GET:
        found |= {"take": "model", "asked": request.GET["answers"]}
    return found


def as_typed(request: HttpRequest) -> dict[str, Any]:
    """What was typed to ask a model, where the form was sent for something else."""
    typed = {name.removeprefix("ask-"): value for name, value in request.POST.items() if name.startswith("ask-")}
    return typed | {name: name in typed for name in BOXES} if typed else {}


def asking_context(request: HttpRequest, ask: AskForm) -> dict[str, Any]:
    models, text = bench_sources.provided.models, request.POST.get("model_search", "")
    if models is None:
        return {}
    chosen = ask["model"].value() or ""
    return {
        "models": models.offered(request.user, text, chosen),
        "chosen_model": chosen,
        "model_search": text,
        "may_ask": models.may_ask(request.user),
        "recent": models.recent(request.user),
    }


def session_choices(user: AnyUser, text: str, chosen: str) -> dict[str, Any]:
    sessions = bench_sources.provided.sessions
    found = {"session_search": text, "chosen_session": chosen}
    if sessions is None:
        return found
    steps = sessions.steps(user, chosen) if chosen else []
    return {**found, "sessions": sessions.sessions(user, text, chosen), "steps": steps}


def answers_of(user: AnyUser, value: str, typed: Sequence[str] = ()) -> Answered | None:
    """With the texts that were `typed` in their place, if it is one for each answer."""
    models = bench_sources.provided.models
    if models is None or not value:
        return None
    try:
        found = models.answered(user, value)
    except (Http404, ValidationError):
        return None
    if found.open or len(typed) != len(found.samples):
        return found
    texts = zip(found.samples, lines_of(typed), strict=True)
    return replace(found, samples=[bench.edited(sample, text) for sample, text in texts])


@require_safe
@never_cache
def find_sessions(request: HttpRequest) -> HttpResponse:
    found = session_choices(request.user, request.GET.get("session_search", ""), request.GET.get("session", ""))
    return render(request, "rewards/_bench_sessions.html", found)


@require_safe
@never_cache
def steps(request: HttpRequest) -> HttpResponse:
    chosen = request.GET.get("session", "")
    found = bench_sources.sessions().steps(request.user, chosen)
    return render(request, "rewards/_bench_steps.html", {"steps": found, "chosen_session": chosen})


@require_safe
@never_cache
def find_models(request: HttpRequest) -> HttpResponse:
    text, chosen = request.GET.get("model_search", ""), request.GET.get("ask-model", "")
    found = bench_sources.models().offered(request.user, text, chosen)
    return render(
        request, "rewards/_bench_models.html", {"models": found, "chosen_model": chosen, "model_search": text}
    )


@require_POST
def ask(request: HttpRequest) -> HttpResponse:
    """Lets a model answer. htmx gets the part of the page that asks, with what is wrong or how far it is."""
    models = bench_sources.models()
    if not models.may_ask(request.user):
        raise PermissionDenied("Only members of a team may let a model answer.")
    form, asked = AskForm(request.user, request.POST), None
    if form.is_valid():
        try:
            asked = models.answered(request.user, models.ask(request.user, form.asking()))
        except NotAsked as problem:
            form.add_error(problem.field or None, str(problem))
    # With errors the answers that are there already stay.
    asked = asked or answers_of(request.user, request.POST.get("asked", ""), request.POST.getlist("edited"))
    if is_htmx(request):
        context = {**asking_context(request, form), "ask": form, "asked": asked}
        return render(request, "rewards/_bench_ask.html", context)
    initial = {**request.POST.dict(), "take": "model", "asked": asked.value if asked else ""}
    return whole(request, BenchPageForm(request.user, initial=initial), ask=form, asked=asked)


@require_safe
@never_cache
def answers(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Partial: how far the model is, and its answers to be edited."""
    return card(request, bench_sources.models().answered(request.user, str(pk)))


@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    bench_sources.models().cancel(request.user, str(pk))
    return changed(request, pk)


@require_POST
def keep(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Saves the answers of a model as they were edited."""
    try:
        number = bench_sources.models().keep(request.user, str(pk), lines_of(request.POST.getlist("edited")))
    except NotAsked as problem:
        return changed(request, pk, str(problem), failed=True)
    return changed(request, pk, f"Kept. {number} of the answers differ from what the model wrote.")


@require_POST
def remove(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Deletes what a model answered; what is typed to ask the next one stays."""
    try:
        bench_sources.models().remove(request.user, str(pk))
    except NotAsked as problem:
        return changed(request, pk, str(problem), failed=True)
    form = AskForm(request.user, initial=as_typed(request))
    if is_htmx(request):
        return render(request, "rewards/_bench_ask.html", {**asking_context(request, form), "ask": form, "asked": None})
    initial = {**request.POST.dict(), "take": "model", "asked": ""}
    return whole(request, BenchPageForm(request.user, initial=initial), ask=form, asked=None)


def changed(request: HttpRequest, pk: UUID, said: str = "", failed: bool = False) -> HttpResponse:
    asked = bench_sources.models().answered(request.user, str(pk))
    if is_htmx(request):
        return card(request, asked, said=said, failed=failed)
    initial = {**request.POST.dict(), "take": "model", "asked": str(pk)}
    return whole(request, BenchPageForm(request.user, initial=initial), asked=asked, said=said, failed=failed)


def card(request: HttpRequest, asked: Answered, **context: Any) -> HttpResponse:
    return render(request, "rewards/_bench_asked.html", {"asked": asked, **context})


def lines_of(texts: Sequence[str]) -> list[str]:
    """Without the line ends of browsers."""
    return [text.replace("\r\n", "\n") for text in texts]


@dataclass(frozen=True)
class Taken:
    items: list[Item]
    notes: Sequence[str] = ()


def taken(values: dict[str, Any], user: AnyUser, compositions: Sequence[Composition], edited: Sequence[str]) -> Taken:
    """The answers that are to be scored. Raises RowMissing."""
    take = values["take"]
    if take == "rows":
        return of_rows(values, user)
    if take == "session":
        return of_session(values, user, bench.columns_read(compositions))
    return of_model(values, user, edited) if take == "model" else pasted(values)


def pasted(values: dict[str, Any]) -> Taken:
    markers = Markers(**{name: values[name] for name in MARKER_LABELS})
    sample = Sample(values["instruction"], "", values["reference"] or None, {}, markers)
    texts = bench.split_answers(values["answers"])
    return Taken([Item(f"Answer {at}", bench.with_markers(sample, text)) for at, text in enumerate(texts, 1)])


def of_rows(values: dict[str, Any], user: AnyUser) -> Taken:
    if not values["source"]:
        raise RowMissing("Choose a dataset, or paste answers.")
    found = bench_sources.sessions().rows(user, values["source"], values["rows"] or 3, values["seed"])
    subjects = gate.subjects_of(found)
    if not subjects:
        raise RowMissing("No row of this dataset has a reference to make answers from. Paste answers instead.")
    return Taken([item for at, subject in enumerate(subjects, 1) for item in bench.of_question(subject, f"Row {at}")])


def of_session(values: dict[str, Any], user: AnyUser, columns: list[str] | None) -> Taken:
    if not values["session"]:
        raise RowMissing("Choose a session of the list, or paste answers.")
    prompt, answer = values["prompt"], values["answer"]
    found = bench_sources.sessions().completions(
        user, str(values["session"]), values["step"], columns, prompt=prompt, answer=answer
    )
    if prompt and answer:
        return Taken([Item(f"Prompt {prompt}, answer {answer}", sample) for sample in found.samples], found.notes)
    return Taken([Item(f"Completion {at}", sample) for at, sample in enumerate(found.samples, 1)], found.notes)


def of_model(values: dict[str, Any], user: AnyUser, edited: Sequence[str]) -> Taken:
    asked = answers_of(user, str(values["asked"] or ""), edited)
    if asked is None:
        raise RowMissing("No model has answered yet. Choose a model and press “Let it answer” first.")
    if asked.open:
        raise RowMissing("The model still answers. Wait until it has ended, or cancel it: what it said is kept.")
    if not asked.samples:
        raise RowMissing("This model gave no answer. Ask it again.")
    return Taken([Item(label, sample) for label, sample, _ in asked.rows])


@dataclass(frozen=True)
class Shown:
    """`values` and `kinds` are what the page is ordered and filtered by."""

    line: Line
    parts: list[PartScore]
    other_parts: list[PartScore]
    case: str
    values: str
    kinds: str


def scored(form: BenchPageForm, user: AnyUser, edited: Sequence[str]) -> dict[str, Any]:
    """Raises RowMissing, TooMuch, PresetMissing."""
    values = form.cleaned_data
    first = presets.composition_of(values["preset"])
    second = presets.composition_of(values["other"]) if values["other"] else None
    found = taken(values, user, [first, *([second] if second else [])], edited)
    lines = bench.compare(found.items, first, second)
    kinds = dict(zip((line.place for line in lines), bench.kinds(lines, first.best_total), strict=True))
    order = values["order"] or bench.AUTO
    results, others = [line.result for line in lines], [line.other for line in lines if line.other]
    return {
        "lines": [shown(line, first, second, kinds[line.place]) for line in bench.ordered(lines, order)],
        "notes": found.notes,
        "compared": second is not None,
        "counts": {kind: sum(kind in each for each in kinds.values()) for kind in bench.KINDS},
        "sorts": bench.sorts(first, second),
        "sorted_by": bench.sorted_by(order, second is not None),
        "disagreements": sum(line.disagree for line in lines),
        "rewards": rewards_shown(values["preset"], first, results, values["other"], second, others),
        "histogram_width": 10 * bench.BINS,
        **case_views.choices(user),
        "chosen": str(values["preset"].pk),
    }


def rewards_shown(
    preset: RewardPreset,
    first: Composition,
    results: list[Any],
    other: RewardPreset | None,
    second: Composition | None,
    others: list[Any],
) -> list[dict[str, Any]]:
    """Of each reward its distribution and the time of its parts."""
    drawn = bench.histograms(results, others) or [[], []]
    found = [{"preset": preset, "bins": drawn[0], "latencies": bench.latencies(first, results)}]
    if second is not None:
        found.append({"preset": other, "bins": drawn[1], "latencies": bench.latencies(second, others)})
    return found


def shown(line: Line, first: Composition, second: Composition | None, kinds: list[str]) -> Shown:
    other = part_scores(second, line.other) if second and line.other else []
    values = json.dumps(bench.values(line))
    return Shown(
        line, part_scores(first, line.result), other, case_views.as_json(line.item.sample), values, " ".join(kinds)
    )
