from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.urls import path, re_path, reverse
from rest_framework import serializers, status
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import get_or_404
from accounts.models import Role
from exports import building, checks, pushes, views
from exports.formats import ALL, Choice
from exports.models import Export, Push
from exports.problems import ExportProblem
from exports.registry_api import routes as registry_routes
from jobs.choices import JobStatus
from loracraft.inputs import valid
from training.models import Session

MOST_AT_ONCE = len(ALL)


class CreateExport(serializers.Serializer[Any]):
    """Either `format`, and for GGUF `quantization`, or `formats`: keys such as gguf-q8_0."""

    session_id = serializers.UUIDField()
    format = serializers.CharField(max_length=40, required=False, default="")
    formats = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, allow_empty=False, max_length=MOST_AT_ONCE
    )
    quantization = serializers.CharField(max_length=20, required=False, allow_blank=True, allow_null=True, default="")


class SignOff(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=checks.LONGEST_REASON)


def as_json(export: Export) -> dict[str, Any]:
    ready = export.status == JobStatus.READY
    check = export.parity
    return {
        "id": str(export.id),
        "session_id": str(export.session_id),
        "format": export.format,
        "quantization": export.quantization,
        "status": export.status,
        "progress": export.progress,
        "message": export.message,
        "error": export.error,
        "path": f"exports/{export.session_id}/{export.file}" if ready else None,
        "size": export.size,
        "sha256": export.sha256,
        "files": [_file(export, entry) for entry in export.files] if ready else [],
        "check": checks.as_json(check) if check else None,
        "created_at": export.created_at,
        "finished_at": export.finished_at,
    }


def _file(export: Export, entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "url": reverse("api-export-file", args=[export.id, entry["name"]])}


@api_view(["POST"])
def create(request: Request) -> Response:
    """Queues an export. 202 while it is built, 200 if the same one is there already."""
    wanted = valid(CreateExport, request.data)
    person = request.user if isinstance(request.user, User) else None
    session = get_or_404(Session, request.user, wanted["session_id"], Role.MEMBER)
    try:
        found = building.create_all(session, person, _chosen(wanted))
    except ExportProblem as problem:
        return _refused(problem)
    ready = all(export.status == JobStatus.READY for export in found)
    body = [as_json(export) for export in found]
    return Response(
        {"exports": body} if "formats" in wanted else body[0],
        status=status.HTTP_200_OK if ready else status.HTTP_202_ACCEPTED,
    )


def _chosen(wanted: dict[str, Any]) -> list[Choice]:
    if "formats" in wanted:
        return [building.keyed(key) for key in wanted["formats"]]
    return [building.resolve(wanted["format"], wanted["quantization"] or "")]


def _refused(problem: ExportProblem, code: int = status.HTTP_400_BAD_REQUEST) -> Response:
    return Response({"error": problem.sentence, "fields": {}}, status=code)


@api_view(["POST"])
def check(request: Request, pk: UUID) -> Response:
    """Compares it with the adapter once more. 202."""
    export = get_or_404(Export, request.user, pk, Role.MEMBER)
    if export.status != JobStatus.READY:
        return _refused(ExportProblem("This export is not ready.", "Wait until it is built."), status.HTTP_409_CONFLICT)
    return Response(checks.as_json(checks.start(export)), status=status.HTTP_202_ACCEPTED)


@api_view(["POST"])
def sign_off(request: Request, pk: UUID) -> Response:
    """`{"reason"}`: a degraded export may be downloaded from now on."""
    export = get_or_404(Export, request.user, pk, Role.MEMBER)
    person = request.user if isinstance(request.user, User) else None
    if export.parity is None:
        return _refused(ExportProblem("This export was not checked."), status.HTTP_409_CONFLICT)
    try:
        found = checks.sign_off(export.parity, person, valid(SignOff, request.data)["reason"])
    except ExportProblem as problem:
        return _refused(problem)
    return Response(checks.as_json(found))


@api_view(["GET", "DELETE"])
def detail(request: Request, pk: UUID) -> Response:
    if request.method == "DELETE":
        building.delete(get_or_404(Export, request.user, pk, Role.MEMBER))
        return Response(status=status.HTTP_204_NO_CONTENT)
    return Response(as_json(get_or_404(Export, request.user, pk)))


class PushIt(serializers.Serializer[Any]):
    repository = serializers.CharField(max_length=200)
    private = serializers.BooleanField(default=True)


@api_view(["POST"])
def push(request: Request, pk: UUID) -> Response:
    """Sends it to the hub with the team's token. 202."""
    export = get_or_404(Export, request.user, pk, Role.MEMBER)
    wanted = valid(PushIt, request.data)
    person = request.user if isinstance(request.user, User) else None
    if checks.needs_sign_off(export):
        return _refused(ExportProblem(checks.SIGN_OFF_FIRST), status.HTTP_409_CONFLICT)
    try:
        made = pushes.start(export, person, wanted["repository"], private=wanted["private"])
    except ExportProblem as problem:
        return _refused(problem)
    return Response(pushes.as_json(made), status=status.HTTP_202_ACCEPTED)


@api_view(["GET", "DELETE"])
def push_detail(request: Request, pk: UUID) -> Response:
    """DELETE cancels it; what is on the hub stays there."""
    if request.method == "DELETE":
        pushes.cancel(get_or_404(Push, request.user, pk, Role.MEMBER))
        return Response(status=status.HTTP_204_NO_CONTENT)
    return Response(pushes.as_json(get_or_404(Push, request.user, pk)))


UUID_PATTERN = r"(?P<pk>[0-9a-fA-F-]{36})"
routes = [
    re_path(r"^exports/create/?$", create, name="api-export-create"),
    re_path(rf"^exports/{UUID_PATTERN}/?$", detail, name="api-export"),
    re_path(rf"^exports/{UUID_PATTERN}/check/?$", check, name="api-export-check"),
    re_path(rf"^exports/{UUID_PATTERN}/check/sign-off/?$", sign_off, name="api-export-sign-off"),
    re_path(rf"^exports/{UUID_PATTERN}/push/?$", push, name="api-export-push"),
    re_path(rf"^exports/pushes/{UUID_PATTERN}/?$", push_detail, name="api-push"),
    path("exports/<uuid:pk>/download/<str:name>", views.download, name="api-export-file"),
    *registry_routes,
]
