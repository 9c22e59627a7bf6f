"""Datasets over REST, in any number: the list, and one of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.models import Role
from datasets_app import importing, views
from datasets_app.base_api import ID, DatasetView, PageRequest, body, confirmed, paged
from datasets_app.models import Dataset, DatasetVersion, Source
from datasets_app.page_views import newest
from loracraft.inputs import valid


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


def in_full(dataset: Dataset) -> dict[str, Any]:
    return {
        **as_json(dataset, newest(dataset)),
        "team": dataset.team.name,
        "created_by": dataset.created_by.get_username() if dataset.created_by else None,
        "versions": list(dataset.versions.values_list("number", flat=True)),
    }


class ListRequest(PageRequest):
    search = serializers.CharField(default="", allow_blank=True, max_length=200)
    source = serializers.ChoiceField(Source.choices, default="", allow_blank=True)  # type: ignore[assignment]
    ordering = serializers.ChoiceField([sign + name for name in views.SORTS for sign in ("", "-")], default="-created")


class DatasetList(DatasetView):
    def get(self, request: Request) -> Response:
        asked = valid(ListRequest, request.query_params)
        found = views.overview(request.user)
        if asked["search"]:
            found = found.filter(name__icontains=asked["search"])
        if asked["source"]:
            found = found.filter(source=asked["source"])
        return paged("datasets", views.sorted_by(found, asked["ordering"]), asked, listed)


def listed(datasets: list[Dataset]) -> list[dict[str, Any]]:
    return [as_json(dataset, dataset.latest) for dataset in views.with_versions(datasets) if dataset.latest]


class DatasetDetail(DatasetView):
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(in_full(access.get_or_404(Dataset, request.user, pk)))

    def patch(self, request: Request, pk: UUID) -> Response:
        """`name` alone may be changed."""
        dataset = access.get_or_404(Dataset, request.user, pk, Role.MEMBER)
        given = body(request, "name")
        if "name" in given:
            importing.rename(dataset, str(given["name"] or ""))
        return Response(in_full(dataset))

    def delete(self, request: Request, pk: UUID) -> Response:
        """409 where a session used it, unless `?confirm=true`; 409 also then, while one runs."""
        dataset = access.get_or_404(Dataset, request.user, pk, Role.MEMBER)
        importing.delete(dataset, confirmed=confirmed(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


routes = [
    re_path(r"^datasets/list/?$", DatasetList.as_view(), name="api-datasets-list"),
    re_path(rf"^datasets/{ID}/?$", DatasetDetail.as_view(), name="api-dataset"),
]
