"""What a team keeps in confidence, over REST: its token for the Hugging Face hub and its keys for judge models. Saved,
replaced, removed, and never answered."""

from typing import Any

from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access, secrets
from accounts.models import Role, Team
from accounts.views import JudgeKey, readable


def as_json(team: Team) -> dict[str, Any]:
    token = secrets.find(team, secrets.HUGGINGFACE)
    return {
        "team": team.name,
        "saved": token is not None,
        "ending": token.ending if token else "",
        "saved_by": token.saved_by.get_username() if token and token.saved_by else None,
        "saved_at": token.saved_at if token else None,
        "readable": readable(token),
    }


def judge_keys_as_json(team: Team) -> dict[str, Any]:
    return {"team": team.name, "keys": [judge_key_as_json(JudgeKey(key)) for key in secrets.judge_keys(team)]}


def judge_key_as_json(key: JudgeKey) -> dict[str, Any]:
    return {
        "endpoint": key.endpoint,
        "ending": key.ending,
        "saved_by": key.saved_by.get_username() if key.saved_by else None,
        "saved_at": key.saved_at,
        "readable": key.readable,
    }


def owned(request: Request) -> Team:
    team = access.home_team(request.user)
    access.require(request.user, team, Role.OWNER)
    return team


class HubToken(APIView):
    """For members to see whether there is one, for owners to change."""

    def get(self, request: Request) -> Response:
        return Response(as_json(access.home_team(request.user)))

    def put(self, request: Request) -> Response:
        team = owned(request)
        value = request.data.get("token") if isinstance(request.data, dict) else None
        try:
            secrets.save(team, request.user, secrets.HUGGINGFACE, str(value or ""))
        except secrets.SecretProblem as problem:
            raise serializers.ValidationError({"token": [str(problem)]}) from None
        return Response(as_json(team))

    def delete(self, request: Request) -> Response:
        secrets.remove(owned(request), secrets.HUGGINGFACE)
        return Response(status=status.HTTP_204_NO_CONTENT)


class JudgeKeys(APIView):
    """One for each endpoint's scheme, host and port: it is sent to no other."""

    def get(self, request: Request) -> Response:
        return Response(judge_keys_as_json(access.home_team(request.user)))

    def put(self, request: Request) -> Response:
        team = owned(request)
        body = request.data if isinstance(request.data, dict) else {}
        name = self.name(body.get("endpoint"))
        try:
            secrets.save(team, request.user, name, str(body.get("key") or ""))
        except secrets.SecretProblem as problem:
            raise serializers.ValidationError({"key": [str(problem)]}) from None
        return Response(judge_keys_as_json(team))

    def delete(self, request: Request) -> Response:
        secrets.remove(owned(request), self.name(request.query_params.get("endpoint")))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @staticmethod
    def name(endpoint: Any) -> str:
        try:
            return secrets.judge_key(str(endpoint or ""))
        except secrets.SecretProblem as problem:
            raise serializers.ValidationError({"endpoint": [str(problem)]}) from None


routes = [
    re_path(r"^team/hub-token/?$", HubToken.as_view(), name="api-hub-token"),
    re_path(r"^team/judge-keys/?$", JudgeKeys.as_view(), name="api-judge-keys"),
]
