from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access
from accounts.models import Role
from datasets_app import forms, importing, previews, sources, views
from datasets_app.limits import API_PREVIEW_ROWS
from datasets_app.models import Dataset, DatasetVersion
from datasets_app.problems import DatasetProblem
from datasets_app.views import newest


def as_json(dataset: Dataset, version: DatasetVersion) -> dict[str, Any]:
    return {
        "id": str(dataset.pk),
        "name": dataset.name,
        "source": dataset.source,
        "source_detail": dataset.source_detail,
        "version": version.number,
        "accepted": version.accepted,
        "rows": version.row_count,
        "rejected_count": version.rejected_count,
        "columns": version.columns,
        "mapping": version.mapping,
        "split": {"seed": version.split["seed"], "held_out": version.split["held_out"]},
        "sha256": version.sha256,
        "created_at": dataset.created_at,
    }


def problem_response(problem: DatasetProblem) -> Response:
    fields = {problem.field: [problem.message]} if problem.field else {}
    return Response({"error": problem.message, "fields": fields}, status.HTTP_400_BAD_REQUEST)


class DatasetList(APIView):
    def get(self, request: Request) -> Response:
        page = views.with_versions(views.overview(request.user).order_by("-created_at", "pk"))
        return Response({"datasets": [as_json(dataset, dataset.latest) for dataset in page if dataset.latest]})


class DatasetUpload(APIView):
    def post(self, request: Request) -> Response:
        """Multipart `file`, and perhaps `name`. The answer lists rejected lines; `accepted` is then false."""
        team = access.current_team(request.user, Role.MEMBER)
        form = forms.UploadForm(request.POST, request.FILES)
        if not form.is_valid():
            raise serializers.ValidationError(
                {field: [str(error) for error in errors] for field, errors in form.errors.items()}
            )
        file = form.cleaned_data["file"]
        try:
            version = importing.import_jsonl(team, request.user, form.cleaned_data["name"] or file.name, file)
        except DatasetProblem as problem:
            return problem_response(problem)
        answer = {**as_json(version.dataset, version), "rejected": version.report["rejected"]}
        return Response(answer, status.HTTP_201_CREATED)


class PreviewRequest(serializers.Serializer[Any]):
    path = serializers.CharField(max_length=300, help_text="Id or exact name of a dataset.")
    samples = serializers.IntegerField(default=5, min_value=1, max_value=API_PREVIEW_ROWS)


class DatasetPreview(APIView):
    def post(self, request: Request) -> Response:
        asked = PreviewRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        dataset = find(request, asked.validated_data["path"])
        version = newest(dataset)
        rows = previews.plain_rows(version, asked.validated_data["samples"])
        return Response({**as_json(dataset, version), "samples": rows})


def find(request: Request, path: str) -> Dataset:
    """The dataset with this id or name in any team of the user."""
    if sources.is_id(path):
        return access.get_or_404(Dataset, request.user, path)
    found: QuerySet[Dataset] = Dataset.objects.of_user(request.user).filter(name=path)
    dataset = found.first()
    if dataset is None:
        raise NotFound(f"No dataset of your teams is called “{path}”.")
    return dataset


routes = [
    re_path(r"^datasets/list/?$", DatasetList.as_view(), name="api-datasets-list"),
    re_path(r"^datasets/upload/?$", DatasetUpload.as_view(), name="api-datasets-upload"),
    re_path(r"^datasets/preview/?$", DatasetPreview.as_view(), name="api-datasets-preview"),
]
