"""Datasets of the hub as pages: the chosen few, and any other by its id."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from accounts import access
from accounts.models import Role, Team
from datasets_app import hub, public_sets, tables
from datasets_app.models import Import
from datasets_app.problems import DatasetProblem
from datasets_app.public_sets import CATEGORIES, PublicSet

FIELDS = ("repo", "config", "split", "revision")


@require_GET
def public(request: HttpRequest) -> HttpResponse:
    team = access.home_team(request.user)
    template = "datasets/_public.html" if request.htmx else "datasets/public.html"  # type: ignore[attr-defined]
    return render(request, template, public_context(request, team))


def public_context(request: HttpRequest, team: Team) -> dict[str, Any]:
    category, search = request.GET.get("category", ""), request.GET.get("q", "").strip()
    category = category if category in CATEGORIES else ""
    return {
        "sets": public_sets.matching(category, search),
        "categories": CATEGORIES,
        "category": category,
        "search": search,
        "imported": hub.imported_repos(team),
        "may_add": access.may(request.user, team, Role.MEMBER),
    }


@require_GET
def public_preview(request: HttpRequest, key: str) -> HttpResponse:
    team, item = access.home_team(request.user), found(key)
    config = request.GET.get("config", "") or item.config
    address = hub_address({"repo": item.repo, "config": config, "split": item.split.partition("+")[0]})
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(address)
    return render(request, "datasets/_hub_preview.html", preview_context(team, item.repo, config, item.split, ""))


def found(key: str) -> PublicSet:
    if key not in public_sets.BY_KEY:
        raise Http404("No such dataset.")
    return public_sets.BY_KEY[key]


@require_POST
def public_import(request: HttpRequest, key: str) -> HttpResponse:
    team, item = access.current_team(request.user, Role.MEMBER), found(key)
    config = request.POST.get("config", "")
    try:
        job = hub.start(
            team,
            request.user,
            item.repo,
            config if config in item.configs else item.config,
            item.split,
            rows=number(request.POST.get("rows", "")) if item.first else None,
            name=f"{item.name} {config}" if config and config != item.config else item.name,
            mapping=item.mapping,
        )
    except DatasetProblem as problem:
        messages.error(request, problem.message)
        return redirect("datasets:public")
    return redirect("datasets:import", job.pk)


def number(text: str) -> int | None:
    """Raises DatasetProblem for what is no number; None for nothing."""
    text = text.strip().replace(",", "").replace(" ", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise DatasetProblem("Write the rows as a whole number, or leave it empty for all.", field="rows")
    return int(text)


@require_GET
def look(request: HttpRequest) -> HttpResponse:
    """What a dataset of the hub holds. Without an id only the form is shown."""
    team = access.current_team(request.user, Role.MEMBER)
    given = {name: request.GET.get(name, "").strip() for name in FIELDS}
    return hub_page(request, team, given)


def hub_page(
    request: HttpRequest, team: Team, given: dict[str, str], problem: DatasetProblem | None = None
) -> HttpResponse:
    context: dict[str, Any] = {"given": given, "problem": problem, "has_token": hub.has_token(team)}
    if given["repo"]:
        try:
            context.update(described_context(team, given))
        except DatasetProblem as error:
            context["problem"] = problem or error
    status = 400 if context["problem"] else 200
    return render(request, "datasets/hub.html", context, status=status)


def described_context(team: Team, given: dict[str, str]) -> dict[str, Any]:
    described = hub.describe(team, given["repo"], given["config"], given["revision"])
    names = [split["name"] for split in described["splits"]]
    chosen = [name for name in given["split"].split("+") if name in names] or [hub.default_split(described)]
    query = {
        "repo": described["repo"],
        "config": described["config"],
        "split": chosen[0],
        "revision": described["commit"],
    }
    return {
        "described": described,
        "chosen": chosen,
        "page": hub.page_of(described["repo"]),
        "total": sum(split["bytes"] for split in described["splits"] if split["name"] in chosen),
        "preview_address": f"{reverse('datasets:hub-preview')}?{urlencode(query)}",
        "name": hub.default_name(described),
        "same": hub.imported(team, described["repo"]),
    }


def hub_address(given: dict[str, str]) -> str:
    return f"{reverse('datasets:hub')}?{urlencode({name: value for name, value in given.items() if value})}"


@require_GET
def preview(request: HttpRequest) -> HttpResponse:
    team = access.current_team(request.user, Role.MEMBER)
    given = {name: request.GET.get(name, "").strip() for name in FIELDS}
    template = "datasets/_hub_preview.html" if request.htmx else "datasets/hub_preview.html"  # type: ignore[attr-defined]
    context = preview_context(team, given["repo"], given["config"], given["split"], given["revision"])
    return render(request, template, {**context, "given": given, "back": hub_address(given)})


def preview_context(team: Team, repo: str, config: str, split: str, revision: str) -> dict[str, Any]:
    try:
        shown = hub.preview(team, repo, config, split.partition("+")[0], revision)
    except DatasetProblem as problem:
        return {"problem": problem}
    table = [[tables.text(row.get(column)) for column in shown["columns"]] for row in shown["rows"]]
    return {"preview": {**shown, "table": table}}


@require_POST
def start(request: HttpRequest) -> HttpResponse:
    team = access.current_team(request.user, Role.MEMBER)
    given = {name: request.POST.get(name, "").strip() for name in FIELDS}
    given["split"] = "+".join(request.POST.getlist("split"))
    try:
        return redirect("datasets:import", started(request, team, given).pk)
    except DatasetProblem as problem:
        return hub_page(request, team, given, problem)


def started(request: HttpRequest, team: Team, given: dict[str, str]) -> Import:
    return hub.start(
        team,
        request.user,
        given["repo"],
        given["config"],
        given["split"],
        given["revision"],
        number(request.POST.get("rows", "")),
        request.POST.get("name", ""),
    )
