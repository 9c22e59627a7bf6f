"""Run manifests over REST."""

from typing import Any

from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.decorators import api_view
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import current_team, get_or_404
from accounts.models import Role
from training import lifecycle, manifests, reproduction
from training.models import Session
from training.readiness import NotReady


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT


@api_view(["GET"])
def manifest(request: Request, session_id: str) -> Response:
    session = get_or_404(Session, request.user, session_id)
    try:
        return Response(manifests.manifest(session))
    except manifests.NotStarted as problem:
        raise Conflict(str(problem)) from None


@api_view(["POST"])
def reproduce(request: Request) -> Response:
    """{"manifest", "model", "start"}: a draft, or with `start` a queued session."""
    given: dict[str, Any] = request.data if isinstance(request.data, dict) else {}
    content = given.get("manifest")
    if not isinstance(content, dict):
        raise serializers.ValidationError({"manifest": ["Send the manifest as a JSON object."]})
    team = current_team(request.user, Role.MEMBER)
    try:
        session, warnings = reproduction.reproduce(team, request.user, content, model=str(given.get("model") or ""))
        if given.get("start") is True:
            lifecycle.start(session, request.user)
    except reproduction.NotReproducible as error:
        raise serializers.ValidationError({"manifest": error.problems}) from None
    except NotReady as error:
        lifecycle.delete(session, request.user)
        raise serializers.ValidationError(error.by_field()) from None
    made = {"session_id": str(session.pk), "name": session.name, "status": session.status, "warnings": warnings}
    return Response(made, status=status.HTTP_201_CREATED)


routes = [
    re_path(r"^training/sessions/(?P<session_id>[0-9a-f-]{36})/manifest/?$", manifest),
    re_path(r"^training/reproduce/?$", reproduce),
]
