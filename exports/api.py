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
from exports import building, views
from exports.models import Export
from exports.problems import ExportProblem
from exports.registry_api import routes as registry_routes
from jobs.choices import JobStatus
from loracraft.inputs import valid
from training.models import Session


class CreateExport(serializers.Serializer[Any]):
    session_id = serializers.UUIDField()
    format = serializers.CharField(max_length=40)
    quantization = serializers.CharField(max_length=20, required=False, allow_blank=True, allow_null=True, default="")


def as_json(export: Export) -> dict[str, Any]:
    ready = export.status == JobStatus.READY
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
        export = building.create(session, person, wanted["format"], wanted["quantization"] or "")
    except ExportProblem as problem:
        return Response({"error": problem.sentence, "fields": {}}, status=status.HTTP_400_BAD_REQUEST)
    code = status.HTTP_200_OK if export.status == JobStatus.READY else status.HTTP_202_ACCEPTED
    return Response(as_json(export), status=code)


@api_view(["GET", "DELETE"])
def detail(request: Request, pk: UUID) -> Response:
    if request.method == "DELETE":
        building.delete(get_or_404(Export, request.user, pk, Role.MEMBER))
        return Response(status=status.HTTP_204_NO_CONTENT)
    return Response(as_json(get_or_404(Export, request.user, pk)))


UUID_PATTERN = r"(?P<pk>[0-9a-fA-F-]{36})"
routes = [
    re_path(r"^exports/create/?$", create, name="api-export-create"),
    re_path(rf"^exports/{UUID_PATTERN}/?$", detail, name="api-export"),
    path("exports/<uuid:pk>/download/<str:name>", views.download, name="api-export-file"),
    *registry_routes,
]
