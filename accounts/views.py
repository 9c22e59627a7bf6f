from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from accounts import access, secrets
from accounts.models import Role, Team


@require_GET
def team(request: HttpRequest) -> HttpResponse:
    return show(request, access.home_team(request.user))


def show(request: HttpRequest, team: Team, problem: str = "") -> HttpResponse:
    context = {
        "team": team,
        "memberships": team.memberships.select_related("user").order_by("user__username"),
        "token": secrets.find(team, secrets.HUGGINGFACE),
        "readable": readable(team),
        "is_owner": access.may(request.user, team, Role.OWNER),
        "problem": problem,
    }
    return render(request, "accounts/team.html", context, status=400 if problem else 200)


def readable(team: Team) -> bool:
    try:
        secrets.value_of(team, secrets.HUGGINGFACE)
    except secrets.SecretProblem:
        return False
    return True


@require_POST
@sensitive_post_parameters("token")
def save_token(request: HttpRequest) -> HttpResponse:
    team = access.home_team(request.user)
    access.require(request.user, team, Role.OWNER)
    try:
        secrets.save(team, request.user, secrets.HUGGINGFACE, request.POST.get("token", ""))
    except secrets.SecretProblem as problem:
        return show(request, team, str(problem))
    messages.success(request, "Token saved.")
    return redirect("team")


@require_POST
def remove_token(request: HttpRequest) -> HttpResponse:
    team = access.home_team(request.user)
    access.require(request.user, team, Role.OWNER)
    if secrets.remove(team, secrets.HUGGINGFACE):
        messages.success(request, "Token removed.")
    return redirect("team")
