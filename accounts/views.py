from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from accounts import access, secrets
from accounts.models import Role, Team, TeamSecret


@require_GET
def team(request: HttpRequest) -> HttpResponse:
    return show(request, access.home_team(request.user))


def show(request: HttpRequest, team: Team, **problems: str) -> HttpResponse:
    """`problems` are sentences by the name of the field they belong to, and what was entered."""
    token = secrets.find(team, secrets.HUGGINGFACE)
    context = {
        "team": team,
        "memberships": team.memberships.select_related("user").order_by("user__username"),
        "token": token,
        "readable": readable(token),
        "judge_keys": [JudgeKey(stored) for stored in secrets.judge_keys(team)],
        "is_owner": access.may(request.user, team, Role.OWNER),
        **problems,
    }
    return render(request, "accounts/team.html", context, status=400 if problems else 200)


def readable(stored: TeamSecret | None) -> bool:
    try:
        return stored is None or bool(secrets.opened(stored))
    except secrets.SecretProblem:
        return False


class JudgeKey:
    """What may be shown of one."""

    def __init__(self, stored: TeamSecret) -> None:
        self.endpoint = stored.name.removeprefix(secrets.JUDGE)
        self.ending, self.saved_by, self.saved_at = stored.ending, stored.saved_by, stored.saved_at
        self.readable = readable(stored)


@require_POST
@sensitive_post_parameters("token")
def save_token(request: HttpRequest) -> HttpResponse:
    team = access.home_team(request.user)
    access.require(request.user, team, Role.OWNER)
    try:
        secrets.save(team, request.user, secrets.HUGGINGFACE, request.POST.get("token", ""))
    except secrets.SecretProblem as problem:
        return show(request, team, problem=str(problem))
    messages.success(request, "Token saved.")
    return redirect("team")


@require_POST
def remove_token(request: HttpRequest) -> HttpResponse:
    team = access.home_team(request.user)
    access.require(request.user, team, Role.OWNER)
    if secrets.remove(team, secrets.HUGGINGFACE):
        messages.success(request, "Token removed.")
    return redirect("team")


@require_POST
@sensitive_post_parameters("key")
def save_judge_key(request: HttpRequest) -> HttpResponse:
    team = access.home_team(request.user)
    access.require(request.user, team, Role.OWNER)
    endpoint = request.POST.get("endpoint", "").strip()
    try:
        name = secrets.judge_key(endpoint)
    except secrets.SecretProblem as problem:
        return show(request, team, endpoint_problem=str(problem), endpoint=without_password(endpoint))
    try:
        secrets.save(team, request.user, name, request.POST.get("key", ""))
    except secrets.SecretProblem as problem:
        return show(request, team, key_problem=str(problem), endpoint=endpoint)
    messages.success(request, "Key saved.")
    return redirect("team")


def without_password(endpoint: str) -> str:
    """Shown again after a mistake, unless it may hold a secret."""
    return "" if "@" in endpoint else endpoint


@require_POST
def remove_judge_key(request: HttpRequest) -> HttpResponse:
    team = access.home_team(request.user)
    access.require(request.user, team, Role.OWNER)
    try:
        removed = secrets.remove(team, secrets.judge_key(request.POST.get("endpoint", "")))
    except secrets.SecretProblem as problem:
        return show(request, team, endpoint_problem=str(problem))
    if removed:
        messages.success(request, "Key removed.")
    return redirect("team")
