"""The three calls of the readme, and all routes of datasets. What they have in common is in base_api.py."""

from __future__ import annotations

from typing import Any

from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.models import Role
from datasets_app import (
    check_api,
    dataset_api,
    forms,
    hub,
    importing,
    prompt_api,
    rows_api,
    source_api,
    tables,
    version_api,
)
from datasets_app.base_api import BIG_FILES, DatasetView, checked, finite
from datasets_app.dataset_api import as_json
from datasets_app.limits import API_PREVIEW_ROWS, DIRECT_UPLOAD_BYTES, MIB, readable
from datasets_app.models import Dataset
from datasets_app.page_views import newest
from datasets_app.sources import is_id
from datasets_app.upload_views import routes as upload_routes
from datasets_app.uploads import Refused
from loracraft.inputs import valid


class DatasetUpload(DatasetView):
    # The file, and what multipart writes around it.
    body_bytes = DIRECT_UPLOAD_BYTES + MIB

    def too_large(self) -> str:
        return f"In one request a file has at most {readable(DIRECT_UPLOAD_BYTES)}. {BIG_FILES}"

    def post(self, request: Request) -> Response:
        """Multipart `file`, and perhaps `name`. The answer lists rejected lines; `accepted` is then false."""
        team = access.current_team(request.user, Role.MEMBER)
        sent = request.FILES.get("file")
        if sent is not None and (sent.size or 0) > DIRECT_UPLOAD_BYTES:
            raise Refused(413, self.too_large())
        given = checked(forms.UploadForm(request.POST, request.FILES))
        version = importing.import_jsonl(team, request.user, given["name"] or given["file"].name, given["file"])
        answer = {**as_json(version.dataset, version), "rejected": version.report["rejected"]}
        return Response(answer, status.HTTP_201_CREATED)


class PreviewRequest(serializers.Serializer[Any]):
    path = serializers.CharField(max_length=300, help_text="Id or exact name of a dataset, or an id of the hub.")
    samples = serializers.IntegerField(default=5, min_value=1, max_value=API_PREVIEW_ROWS)


class DatasetPreview(DatasetView):
    def post(self, request: Request) -> Response:
        """Rows of a dataset of the team; of one of the hub, if the team has none of that name."""
        asked = valid(PreviewRequest, request.data)
        path, samples = asked["path"], asked["samples"]
        dataset = find(request, path)
        if dataset is None:
            return Response(of_hub(request, path, samples))
        version = newest(dataset)
        rows = [rows_api.cells_of(version, row) for row in tables.page(version.path, 0, samples)]
        return Response({**as_json(dataset, version), "samples": rows})


def find(request: Request, path: str) -> Dataset | None:
    """The dataset with this id or name in any team of the user, or the newest that came from this id of the hub."""
    if is_id(path):
        return access.get_or_404(Dataset, request.user, path)
    own = Dataset.objects.of_user(request.user).order_by("-created_at")
    dataset: Dataset | None = own.filter(name=path).first() or own.filter(source_detail__repo=path).first()
    if dataset is None and not hub.is_id(path):
        raise NotFound(f"No dataset of your teams is called “{path}”.")
    return dataset


def of_hub(request: Request, repo: str, samples: int) -> dict[str, Any]:
    found = hub.preview(access.current_team(request.user, Role.MEMBER), repo, rows=samples)
    return {"repo": repo, "split": found["split"], "columns": found["columns"], "samples": finite(found["rows"])}


routes = [
    *upload_routes,
    *dataset_api.routes,
    *version_api.routes,
    *rows_api.routes,
    *check_api.routes,
    *source_api.routes,
    *prompt_api.routes,
    re_path(r"^datasets/upload/?$", DatasetUpload.as_view(), name="api-datasets-upload"),
    re_path(r"^datasets/preview/?$", DatasetPreview.as_view(), name="api-datasets-preview"),
]
