"""The team's token for the Hugging Face hub over REST: saved, replaced, removed, and never answered."""

from typing import Any

from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access, secrets
from accounts.models import Role, Team
from accounts.views import readable


def as_json(team: Team) -> dict[str, Any]:
    token = secrets.find(team, secrets.HUGGINGFACE)
    return {
        "team": team.name,
        "saved": token is not None,
        "ending": token.ending if token else "",
        "saved_by": token.saved_by.get_username() if token and token.saved_by else None,
        "saved_at": token.saved_at if token else None,
        "readable": readable(team),
    }


class HubToken(APIView):
    """For members to see whether there is one, for owners to change."""

    def get(self, request: Request) -> Response:
        return Response(as_json(access.home_team(request.user)))

    def put(self, request: Request) -> Response:
        team = self.owned(request)
        value = request.data.get("token") if isinstance(request.data, dict) else None
        try:
            secrets.save(team, request.user, secrets.HUGGINGFACE, str(value or ""))
        except secrets.SecretProblem as problem:
            raise serializers.ValidationError({"token": [str(problem)]}) from None
        return Response(as_json(team))

    def delete(self, request: Request) -> Response:
        secrets.remove(self.owned(request), secrets.HUGGINGFACE)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @staticmethod
    def owned(request: Request) -> Team:
        team = access.home_team(request.user)
        access.require(request.user, team, Role.OWNER)
        return team


routes = [re_path(r"^team/hub-token/?$", HubToken.as_view(), name="api-hub-token")]
