"""REST route of the preflight of a session."""

from __future__ import annotations

from typing import Any

from django.urls import re_path
from django.urls.converters import UUIDConverter
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import get_or_404
from accounts.models import Role
from loracraft.inputs import valid
from training import forecast, preflights
from training.models import Session
from training.preflights import NotTried
from training.readiness import NotReady


class PreflightInput(serializers.Serializer[Any]):
    # The session is started afterwards, unless the result speaks against it.
    start = serializers.BooleanField(default=False)
    reward_override = serializers.CharField(max_length=1000, required=False, allow_blank=True)


@api_view(["GET", "POST", "DELETE"])
def preflight(request: Request, session_id: str) -> Response:
    """The newest preflight of a session. A POST has a worker try the draft out, a DELETE cancels that."""
    role = Role.VIEWER if request.method == "GET" else Role.MEMBER
    session = get_or_404(Session, request.user, session_id, role)
    if request.method == "POST":
        asked = valid(PreflightInput, request.data)
        reason = asked.get("reward_override", "")
        try:
            preflights.start(session, request.user, then_start=asked["start"], reward_override=reason)
        except NotReady as error:
            raise serializers.ValidationError(error.by_field()) from None
        except NotTried as error:
            raise serializers.ValidationError({"session": [str(error)]}) from None
    if request.method == "DELETE":
        preflights.cancel(session)
    return Response(as_json(session), status=202 if request.method == "POST" else 200)


def as_json(session: Session) -> dict[str, Any]:
    found = preflights.state(session, preflights.digest_now(session))
    job = found.job
    return {
        "status": job.status if job else "none",
        "progress": job.progress if job else None,
        "message": " ".join(filter(None, [job.message, forecast.why_tried_later(job)])) if job else "",
        "error": job.error if job else "",
        "config_changed": found.changed,
        "starts_session": bool(job and job.starts),
        "result": found.result or None,
    }


routes = [
    re_path(rf"^training/sessions/(?P<session_id>{UUIDConverter.regex})/preflight/?$", preflight, name="api-preflight")
]
