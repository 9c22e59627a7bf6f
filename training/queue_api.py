"""The queue over REST: what waits, and the same verbs that the queue page has."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.urls import re_path
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import current_team, get_or_404, require, teams_with
from accounts.models import Role, Team
from loracraft.inputs import valid
from training import queue
from training.choices import Priority
from training.forecast import Place
from training.models import Session
from training.queue_page import Held, QueuePage, may_pause_all

PRIORITIES = {label.lower(): value for value, label in Priority.choices}


class PauseInput(serializers.Serializer[Any]):
    # The name of a team; without it the one that new sessions go to.
    team = serializers.CharField(max_length=200, required=False)
    everything = serializers.BooleanField(default=False)
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class MoveInput(serializers.Serializer[Any]):
    session_id = serializers.UUIDField()
    to = serializers.ChoiceField(["up", "down", "front"])


class PriorityInput(serializers.Serializer[Any]):
    session_id = serializers.UUIDField()
    priority = serializers.ChoiceField(list(PRIORITIES))


@api_view(["GET"])
def listed(request: Request) -> Response:
    page = QueuePage(request.user)
    waiting = [
        {**place_shown(line.place), "priority": Priority(line.priority).label.lower(), **named(line.session)}
        for line in page.waiting
    ]
    devices = [
        {"title": row.title, "host": row.host, "slots": [slot_shown(held) for held in row.held]} for row in page.devices
    ]
    return Response({"paused": page.pauses, "waiting": waiting, "devices": devices})


def named(session: Session | None) -> dict[str, Any]:
    """Null for another team's."""
    return {"session_id": str(session.pk) if session else None, "name": session.name if session else None}


def place_shown(place: Place) -> dict[str, Any]:
    return {"position": place.number, "reason": place.reason, "expected_start": place.starts}


def slot_shown(held: Held) -> dict[str, Any]:
    more = {
        "preflight": held.preflight,
        "doing": held.doing,
        "progress": held.progress,
        "seconds_left": held.seconds_left,
    }
    return {"busy": held.busy, **named(held.session), **more}


@api_view(["POST"])
def pause(request: Request) -> Response:
    given = valid(PauseInput, request.data)
    return Response({"paused": queue.pause(team_of(request, given), request.user, given.get("reason", ""))})


@api_view(["POST"])
def resume(request: Request) -> Response:
    return Response({"resumed": queue.go_on(team_of(request, valid(PauseInput, request.data)), request.user)})


def team_of(request: Request, given: dict[str, Any]) -> Team | None:
    if given["everything"]:
        if not may_pause_all(request.user):
            raise PermissionDenied("Only an administrator pauses the queue of all teams.")
        return None
    name = given.get("team")
    team = teams_with(request.user).filter(name=name).first() if name else current_team(request.user)
    if team is None:
        raise Http404("No such team.")
    require(request.user, team, Role.OWNER)
    return team


@api_view(["POST"])
def move(request: Request) -> Response:
    given = valid(MoveInput, request.data)
    session = get_or_404(Session, request.user, given["session_id"], Role.MEMBER)
    return Response({"moved": queue.move(session, request.user, given["to"])})


@api_view(["POST"])
def priority(request: Request) -> Response:
    given = valid(PriorityInput, request.data)
    session = get_or_404(Session, request.user, given["session_id"], Role.MEMBER)
    wanted = PRIORITIES[given["priority"]]
    require(request.user, session.team, queue.role_for(wanted))
    return Response({"changed": queue.set_priority(session, request.user, wanted)})


routes = [
    re_path(r"^queue/?$", listed),
    re_path(r"^queue/pause/?$", pause),
    re_path(r"^queue/resume/?$", resume),
    re_path(r"^queue/move/?$", move),
    re_path(r"^queue/priority/?$", priority),
]
