"""Sessions and saved configs over REST, under the paths of the readme, with or without a slash at the end."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import IntegrityError, transaction
from django.http import Http404
from django.urls import re_path
from pydantic import ValidationError as SchemaError
from rest_framework import serializers, status
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import current_team, get_or_404, teams_with
from accounts.models import AnyUser, Role
from training import lifecycle
from training.choices import Status
from training.models import SavedConfig, Session
from training.readiness import NotReady, schema_problems
from training.reward_api import routes as reward_routes
from training.schema import SessionConfig


class StartInput(serializers.Serializer[Any]):
    session_id = serializers.CharField(max_length=200, required=False)
    config = serializers.DictField(required=False)
    # Why the session is to train with a reward that failed its check.
    reward_override = serializers.CharField(max_length=1000, required=False, allow_blank=True)


class SessionInput(serializers.Serializer[Any]):
    session_id = serializers.CharField(max_length=200)


class ResumeInput(SessionInput):
    # The name of one of the session's checkpoints; without it the newest.
    checkpoint = serializers.CharField(max_length=80, required=False, allow_blank=True)


class ConfigInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    config = serializers.DictField()


def checked(serializer: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    given = serializer(data=data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def ids_of(user: AnyUser, session_id: str) -> list[uuid.UUID]:
    """The ids a client may mean: the session's own, or one made of the name that a client gave and the team."""
    try:
        return [uuid.UUID(session_id)]
    except ValueError:
        return [named_id(team.pk, session_id) for team in teams_with(user)]


def named_id(team_id: int, name: str) -> uuid.UUID:
    """The same for the same name, so that a call that is sent twice finds what it made the first time."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"loracraft:{team_id}:{name}")


def session_or_404(user: AnyUser, session_id: str, role: str = Role.VIEWER) -> Session:
    """By id, or by the name it was started with over the API. Raises like accounts.access.get_or_404."""
    row = Session.objects.of_user(user).filter(pk__in=ids_of(user, session_id)).first()
    if row is None:
        raise Http404("No such session.")
    return get_or_404(Session, user, row.pk, role)


@api_view(["POST"])
def start(request: Request) -> Response:
    """Makes and queues a session. Sent twice with one session_id it is one session."""
    given = checked(StartInput, request.data)
    session, new = started_from(request.user, given.get("session_id", ""), given.get("config"))
    try:
        reason = given.get("reward_override", "")
        won = session.status == Status.DRAFT and lifecycle.start(session, request.user, reason)
    except NotReady as error:
        if new:
            lifecycle.delete(session, request.user)
        raise serializers.ValidationError(error.by_field()) from None
    return Response(
        {**shown(session), "started": won}, status=status.HTTP_201_CREATED if new and won else status.HTTP_200_OK
    )


def started_from(user: AnyUser, session_id: str, config: dict[str, Any] | None) -> tuple[Session, bool]:
    """The session that the client means and whether it was made now; a draft takes the given config."""
    try:
        session = session_or_404(user, session_id, Role.MEMBER) if session_id else None
    except Http404:
        session = None
    if session is not None:
        if config is not None:
            lifecycle.save_draft(session, config)
        return session, False
    if config is None:
        raise Http404("No such session.") if session_id else serializers.ValidationError({"config": ["Send a config."]})
    return drafted(user, session_id, config)


def drafted(user: AnyUser, session_id: str, config: dict[str, Any]) -> tuple[Session, bool]:
    team = current_team(user, Role.MEMBER)
    name = str(config.get("name") or session_id)
    pk = client_id(team.pk, session_id) if session_id else None
    try:
        with transaction.atomic():
            return lifecycle.create_draft(team, user, name=name, config=config, pk=pk), True
    except IntegrityError:
        # Made by the same call a moment ago, or a session of a team that this user may not know of.
        return session_or_404(user, session_id, Role.MEMBER), False


def client_id(team_id: int, session_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(session_id)
    except ValueError:
        return named_id(team_id, session_id)


@api_view(["POST"])
def stop(request: Request) -> Response:
    session = session_or_404(request.user, checked(SessionInput, request.data)["session_id"], Role.MEMBER)
    won = lifecycle.request_stop(session, request.user)
    session.refresh_from_db()
    return Response({**shown(session), "stopping": won})


@api_view(["POST"])
def resume(request: Request) -> Response:
    """Queues a stopped or failed session. `resumed` is false if it is neither."""
    given = checked(ResumeInput, request.data)
    session = session_or_404(request.user, given["session_id"], Role.MEMBER)
    try:
        won = lifecycle.resume(session, request.user, given.get("checkpoint", ""))
    except NotReady as error:
        raise serializers.ValidationError(error.by_field()) from None
    session.refresh_from_db()
    return Response({**shown(session), "resumed": won})


@api_view(["GET"])
def sessions(request: Request) -> Response:
    rows = Session.objects.of_user(request.user).select_related("team")
    return Response({"sessions": [shown(row) for row in rows]})


@api_view(["GET"])
def session(request: Request, session_id: str) -> Response:
    row = session_or_404(request.user, session_id)
    gate = {"reward_check": row.reward_check, "reward_override": row.reward_override}
    return Response({**shown(row), "config": row.config, "reward": row.reward, **gate})


def shown(session: Session) -> dict[str, Any]:
    model, dataset = (session.config.get(key) or {} for key in ("model", "dataset"))
    return {
        "session_id": str(session.pk),
        "name": session.name,
        "team": session.team.name,
        "status": session.status,
        "phase": session.phase,
        "mode": session.mode,
        "step": session.step,
        "total_steps": session.total_steps,
        "reward": session.last_reward,
        "seconds_left": session.seconds_left,
        "attempt": session.attempt,
        "last_seq": session.last_seq,
        "model": model.get("name") if isinstance(model, dict) else None,
        "dataset": dataset.get("source") if isinstance(dataset, dict) else None,
        "error": session.error,
        "created_at": session.created_at,
        "queued_at": session.queued_at,
        "started_at": session.started_at,
        "finished_at": session.finished_at,
        "model_path": f"outputs/{session.pk}/" if session.adapter.is_dir() else None,
    }


@api_view(["POST"])
def save_config(request: Request) -> Response:
    """Under a name that the team has, the saved config is replaced."""
    given = checked(ConfigInput, request.data)
    try:
        SessionConfig.model_validate(given["config"])
    except SchemaError as error:
        raise serializers.ValidationError(NotReady(schema_problems(error)).by_field()) from None
    row, new = SavedConfig.objects.update_or_create(
        team=current_team(request.user, Role.MEMBER),
        name=given["name"],
        defaults={"config": given["config"]},
        create_defaults={"config": given["config"], "created_by_id": request.user.pk},
    )
    return Response(config_shown(row), status=status.HTTP_201_CREATED if new else status.HTTP_200_OK)


@api_view(["GET"])
def load_config(request: Request) -> Response:
    name = request.query_params.get("name", "")
    row = SavedConfig.objects.of_user(request.user).filter(name=name).order_by("-updated_at").first()
    if row is None:
        raise Http404(f"No saved config is called {name!r}.")
    return Response({**config_shown(row), "config": row.config})


@api_view(["GET"])
def list_configs(request: Request) -> Response:
    return Response({"configs": [config_shown(row) for row in SavedConfig.objects.of_user(request.user)]})


def config_shown(row: SavedConfig) -> dict[str, Any]:
    return {"id": str(row.pk), "name": row.name, "created_at": row.created_at, "updated_at": row.updated_at}


routes = [
    re_path(r"^training/start/?$", start),
    re_path(r"^training/stop/?$", stop),
    re_path(r"^training/resume/?$", resume),
    re_path(r"^training/sessions/?$", sessions),
    re_path(r"^training/sessions/(?P<session_id>[^/]{1,200})/?$", session),
    re_path(r"^configs/save/?$", save_config),
    re_path(r"^configs/load/?$", load_config),
    re_path(r"^configs/list/?$", list_configs),
    *reward_routes,
]
