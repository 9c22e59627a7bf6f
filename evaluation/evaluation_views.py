"""Pages of evaluations: the list, a new one, one of them with its report."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import current_team, get_or_404, may, teams_with
from accounts.models import Role
from evaluation import candidates, evaluation_json, evaluation_page, evaluation_picture, evaluations, sets
from evaluation.evaluation_forms import EvaluationForm, initial, sets_for
from evaluation.evaluation_page import Beside
from evaluation.evaluations import EvaluationProblem
from evaluation.forms import MAX_TOKENS
from evaluation.models import Evaluation
from jobs.choices import JobStatus
from training import forecast
from training.models import Session
from training.session_views import csv_response, download

LISTED = 30
SHOWN_ANSWERS = 20


@require_safe
@never_cache
def index(request: HttpRequest) -> HttpResponse:
    found = evaluations.visible_to(request.user).select_related("evaluation_set", "created_by")
    page = Paginator(found.prefetch_related("models"), LISTED).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "pages": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
        "lines": [(each, evaluation_page.best(each)) for each in page.object_list],
        "has_sets": sets.visible_to(request.user).exists(),
        "may_create": teams_with(request.user, Role.MEMBER).exists(),
    }
    return render(request, "evaluation/evaluations.html", context)


# A new one


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    current_team(request.user, Role.MEMBER)
    if request.method != "POST":
        form = EvaluationForm(request.user, initial=first_values(request))
        return render(request, "evaluation/evaluation_new.html", page(request, form))
    form = EvaluationForm(request.user, request.POST)
    if form.is_valid():
        try:
            made = evaluations.create(request.user, form.cleaned_data["evaluation_set"], form.wanted)
        except EvaluationProblem as problem:
            form.add_error(problem.field or None, problem.message)
        else:
            return redirect("evaluation:evaluation", pk=made.pk)
    return render(request, "evaluation/evaluation_new.html", page(request, form))


def first_values(request: HttpRequest) -> dict[str, Any]:
    """The set and the session that a link named, beside the base of the session."""
    values: dict[str, Any] = {**initial(), "evaluation_set": request.GET.get("set", "")}
    named = request.GET.get("session", "")
    if named:
        session = get_or_404(Session, request.user, named)
        key = f"{candidates.SESSION}:{session.pk}"
        values["models"] = [key, f"{key}/{candidates.WITHOUT_ADAPTER}"]
        if session.config:
            values["max_new_tokens"] = min(session.parsed_config.training.max_new_tokens, MAX_TOKENS)
        if session.reward:
            values["reward"] = evaluations.OWN_REWARD
    return values


def page(request: HttpRequest, form: EvaluationForm) -> dict[str, Any]:
    value = {name: form[name].value() for name in form.fields}
    return {
        "form": form,
        "has_sets": sets_for(request.user).exists(),
        "most_models": evaluations.MOST_MODELS,
        **models(request, "", list(value["models"] or []), value),
    }


@require_safe
@never_cache
def find_models(request: HttpRequest) -> HttpResponse:
    """Partial: models by words of their names, the chosen ones first, and what it would come to."""
    given = request.GET
    found = models(request, given.get("model_search", "")[:200], given.getlist("models"), given)
    return render(request, "evaluation/_evaluation_models.html", found)


def models(request: HttpRequest, text: str, chosen: list[str], given: Any) -> dict[str, Any]:
    options = evaluation_page.options(candidates.visible_to(request.user), text, chosen)
    return {
        "options": options,
        "model_search": text,
        "cost": cost(request, sum(each.chosen for each in options), given),
        "too_many": sum(each.chosen for each in options) > evaluations.MOST_MODELS,
        "most_models": evaluations.MOST_MODELS,
    }


def cost(request: HttpRequest, chosen: int, given: Any) -> dict[str, int] | None:
    """None until a set and a model were chosen, and while a number is none."""
    numbers = [str(given.get(name, "")) for name in ("samples", "max_new_tokens")]
    found = sets_for(request.user).filter(pk__in=uuids(given.get("evaluation_set"))).first()
    if not found or not chosen or not all(number.isdecimal() and len(number) < 6 for number in numbers):
        return None
    return evaluation_page.cost(found.row_count, chosen, *map(int, numbers))


def uuids(value: Any) -> list[UUID]:
    try:
        return [UUID(str(value))]
    except ValueError:
        return []


# One of them


@require_safe
@never_cache
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The whole page, or for htmx what changes of it."""
    found = get_or_404(Evaluation, request.user, pk)
    context: dict[str, Any] = {
        "evaluation": found,
        "set": found.evaluation_set,
        "open": found.status in evaluations.OPEN,
        "may_change": may(request.user, found.team, Role.MEMBER),
        "may_go_on": evaluations.may_go_on(found),
        "waits_for": forecast.why_it_waits(found, found.team_id),
        "so_far": [] if found.report else evaluation_page.so_far(found),
        "of_each": found.evaluation_set.row_count * found.answers_a_row,
    }
    if found.report:
        context |= {**read(found.report), **beside(request, found)}
    part = getattr(request, "htmx", False)
    return render(request, "evaluation/_evaluation.html" if part else "evaluation/evaluation.html", context)


def read(report: dict[str, Any]) -> dict[str, Any]:
    return {"report": report, "plots": evaluation_page.plots(report), "pairs": evaluation_page.pairs(report)}


def beside(request: HttpRequest, found: Evaluation) -> dict[str, Any]:
    shown = Beside.of(found, request.GET)
    page = Paginator(shown.rows, SHOWN_ANSWERS).get_page(request.GET.get("page"))
    return {
        "beside": shown,
        "page": page,
        "pages": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
        "lines": shown.lines(list(page.object_list)),
        "titles": {model["number"]: model["title"] for model in found.report["models"]},
    }


@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = get_or_404(Evaluation, request.user, pk, Role.MEMBER)
    evaluations.cancel(found)
    return redirect("evaluation:evaluation", pk=found.pk)


@require_POST
def go_on(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = get_or_404(Evaluation, request.user, pk, Role.MEMBER)
    try:
        evaluations.go_on(found)
    except EvaluationProblem as problem:
        messages.error(request, str(problem))
    return redirect("evaluation:evaluation", pk=found.pk)


@require_POST
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    found = get_or_404(Evaluation, request.user, pk, Role.MEMBER)
    try:
        evaluations.delete(found)
    except EvaluationProblem as problem:
        messages.error(request, str(problem))
        return redirect("evaluation:evaluation", pk=found.pk)
    messages.success(request, f"Evaluation “{found.name[:60]}” was deleted.")
    return redirect("evaluation:evaluations")


@require_safe
def export_csv(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    found = get_or_404(Evaluation, request.user, pk)
    return csv_response(evaluation_json.csv_lines(found), f"{file_name(found)}.csv")


@require_safe
def export_json(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    found = get_or_404(Evaluation, request.user, pk)
    text = evaluation_json.json_text(evaluation_json.as_json(found), found)
    return download(StreamingHttpResponse(text, content_type="application/json"), f"{file_name(found)}.json")


@require_safe
def picture(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """Its interval plots as SVG; empty until it is done."""
    found = get_or_404(Evaluation, request.user, pk)
    plots = evaluation_page.plots(found.report) if found.status == JobStatus.READY else []
    heading = f"{found.evaluation_set.name}: 95 % intervals, {found.evaluation_set.row_count} rows"
    text = evaluation_picture.svg(heading, plots)
    return download(HttpResponse(text, content_type="image/svg+xml"), f"{file_name(found)}.svg")


def file_name(found: Evaluation) -> str:
    return f"evaluation-{slugify(found.name)[:60] or str(found.pk)[:8]}"
