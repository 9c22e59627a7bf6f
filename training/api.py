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
from loracraft.inputs import valid
from training import keeping, lifecycle, session_list, tags
from training.choices import Priority, Status
from training.completion_api import routes as completion_routes
from training.forecast import Forecast
from training.manifest_api import Conflict
from training.manifest_api import routes as manifest_routes
from training.models import SavedConfig, Session
from training.preflight_api import routes as preflight_routes
from training.queue_api import place_shown
from training.queue_api import routes as queue_routes
from training.readiness import NotReady, schema_problems
from training.reward_api import routes as reward_routes
from training.schema import SessionConfig
from training.session_list import Asked


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


class ChangeInput(serializers.Serializer[Any]):
    name = serializers.CharField(allow_blank=True, required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    archived = serializers.BooleanField(required=False)
    notes = serializers.CharField(allow_blank=True, required=False, trim_whitespace=False)
    # The one that came with the notes that were edited.
    notes_version = serializers.IntegerField(min_value=0, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() & {"name", "tags", "archived", "notes"}:
            raise serializers.ValidationError({"name": ["Send a name, tags, notes, or archived."]})
        if "notes" in attrs and "notes_version" not in attrs:
            message = "Send the notes_version that you read, so that nobody's newer text is overwritten."
            raise serializers.ValidationError({"notes_version": [message]})
        return attrs


class ConfigInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    config = serializers.DictField()


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
    """Makes and queues a session. Sent twice with one session_id, or one Idempotency-Key, it is one session."""
    given = valid(StartInput, request.data)
    session_id, config = given.get("session_id", ""), given.get("config")
    if not session_id and (key := request.headers.get("Idempotency-Key", "").strip()):
        session_id = str(keyed_id(request.user, key))
    session, new = started_from(request.user, session_id, config, given.get("session_id", ""))
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


def keyed_id(user: AnyUser, key: str) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"loracraft:start:{user.pk}:{key}")


def started_from(user: AnyUser, session_id: str, config: dict[str, Any] | None, name: str) -> tuple[Session, bool]:
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
    return drafted(user, session_id, config, name)


def drafted(user: AnyUser, session_id: str, config: dict[str, Any], name: str) -> tuple[Session, bool]:
    team = current_team(user, Role.MEMBER)
    name = str(config.get("name") or name)
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
    session = session_or_404(request.user, valid(SessionInput, request.data)["session_id"], Role.MEMBER)
    won = lifecycle.request_stop(session, request.user)
    session.refresh_from_db()
    return Response({**shown(session), "stopping": won})


@api_view(["POST"])
def resume(request: Request) -> Response:
    """Queues a stopped or failed session. `resumed` is false if it is neither."""
    given = valid(ResumeInput, request.data)
    session = session_or_404(request.user, given["session_id"], Role.MEMBER)
    try:
        won = lifecycle.resume(session, request.user, given.get("checkpoint", ""))
    except NotReady as error:
        raise serializers.ValidationError(error.by_field()) from None
    session.refresh_from_db()
    return Response({**shown(session), "resumed": won})


@api_view(["GET"])
def sessions(request: Request) -> Response:
    asked = Asked.of(request.query_params)
    found = session_list.of_status(session_list.matching(request.user, asked), asked.status)
    rows = session_list.ordered(found, asked.sort).select_related("team").prefetch_related("tags").defer("notes")
    known = Forecast()
    return Response({"sessions": [shown(row, known) for row in rows]})


@api_view(["GET", "PATCH"])
def session(request: Request, session_id: str) -> Response:
    """PATCH changes its name, its tags, its notes, or whether it is archived."""
    if request.method == "PATCH":
        row = session_or_404(request.user, session_id, Role.MEMBER)
        change(row, request.user, valid(ChangeInput, request.data))
    else:
        row = session_or_404(request.user, session_id)
    gate = {"reward_check": row.reward_check, "reward_override": row.reward_override}
    notes = {"notes": row.notes, "notes_version": row.notes_version}
    return Response({**shown(row), "config": row.config, "reward": row.reward, **gate, **notes})


def change(session: Session, by: AnyUser, given: dict[str, Any]) -> None:
    """All of `given`, or, with an error, nothing."""
    try:
        with transaction.atomic():
            if "notes" in given:
                keeping.write_notes(session, by, given["notes"], given["notes_version"])
            if "name" in given:
                keeping.rename(session, by, given["name"])
            if "tags" in given:
                tags.replace(session, by, given["tags"])
            if "archived" in given:
                archive(session, by, given["archived"])
    except keeping.BadName as problem:
        raise serializers.ValidationError({"name": [str(problem)]}) from None
    except tags.BadTags as problem:
        raise serializers.ValidationError({"tags": [str(problem)]}) from None
    except keeping.NotesTooLong as problem:
        raise serializers.ValidationError({"notes": [str(problem)]}) from None
    except keeping.NotesChanged as problem:
        told = f"{problem} Nothing was saved: read it, then send notes_version {session.notes_version}."
        raise Conflict(told) from None


def archive(session: Session, by: AnyUser, archived: bool) -> None:
    here = Session.objects.filter(pk=session.pk)
    if archived and session.is_active:
        raise serializers.ValidationError({"archived": ["It runs or waits: stop it first."]})
    (keeping.archive if archived else keeping.restore)(here, by)
    session.refresh_from_db()


def shown(session: Session, known: Forecast | None = None) -> dict[str, Any]:
    place = (known or Forecast()).places.get(session.pk) if session.status == Status.QUEUED else None
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
        "tags": [tag.name for tag in session.tags.all()],
        "archived": session.archived_at is not None,
        "priority": Priority(session.priority).label.lower(),
        "queue": place_shown(place) if place else None,
        "queued_at": session.queued_at,
        "started_at": session.started_at,
        "finished_at": session.finished_at,
        "cloned_from": str(session.cloned_from_id) if session.cloned_from_id else None,
        "model_path": f"outputs/{session.pk}/" if session.adapter.is_dir() else None,
    }


@api_view(["POST"])
def save_config(request: Request) -> Response:
    """Under a name that the team has, the saved config is replaced."""
    given = valid(ConfigInput, request.data)
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
    *completion_routes,
    *manifest_routes,
    *queue_routes,
    *reward_routes,
    *preflight_routes,
]
