"""The rows of a version over REST: a page, a search that goes on, and downloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from django.http import Http404, StreamingHttpResponse
from django.urls import re_path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app import download_views, membership, searching, tables
from datasets_app.base_api import ID, NUMBER, DatasetView, finite, version_or_404
from datasets_app.limits import API_PREVIEW_ROWS, PREVIEW_ROWS
from datasets_app.models import DatasetVersion
from datasets_app.problems import DatasetProblem
from datasets_app.searching import Query
from datasets_app.uploads import Refused
from loracraft.inputs import valid


class QueryRequest(serializers.Serializer[Any]):
    """`search` in `column`, or in any; `empty`: a column that must hold nothing."""

    search = serializers.CharField(default="", allow_blank=True, max_length=200)
    column = serializers.CharField(default="", allow_blank=True)
    empty = serializers.CharField(default="", allow_blank=True)
    part = serializers.ChoiceField(list(membership.CODES), default="", allow_blank=True)


class RowsRequest(QueryRequest):
    start = serializers.IntegerField(default=1, min_value=1, max_value=10**12, help_text="A row's number, or `next`.")
    limit = serializers.IntegerField(default=PREVIEW_ROWS, min_value=1, max_value=API_PREVIEW_ROWS)


def query_of(version: DatasetVersion, asked: dict[str, Any]) -> tuple[Query, Path | None]:
    """The search, and the version's file of parts where it is about one. Raises DatasetProblem."""
    names = [column["name"] for column in version.columns]
    for field in ("column", "empty"):
        if asked[field] and asked[field] not in names:
            raise DatasetProblem(
                f"There is no column “{asked[field]}”. The columns are: {', '.join(names)}.", field=field
            )
    marks = membership.at_hand(version) if asked["part"] else None
    if asked["part"] and marks is None:
        raise Refused(409, "Which row is in which part is worked out by the check. Ask again when one has ended.")
    return Query(
        asked["search"].strip(), asked["column"], membership.CODES.get(asked["part"], 0), asked["empty"]
    ), marks


class Rows(DatasetView):
    def get(self, request: Request, pk: UUID, number: str) -> Response:
        """{"rows": [{"row": its number from 1, "cells"}], "next": where to go on, null at the end, "total": all rows,
        "timed_out": a search that stopped before it found `limit` rows}."""
        version = stored_or_404(version_or_404(request, pk, number))
        asked = valid(RowsRequest, request.query_params)
        query, marks = query_of(version, asked)
        start, limit = asked["start"] - 1, asked["limit"]
        if query:
            found = searching.search(version.path, query, marks=marks, start=start, limit=limit)
        else:
            found = page(version, start, limit)
        return Response(
            {
                "rows": [{"row": place + 1, "cells": cells_of(version, row)} for place, row in found.rows],
                "next": None if found.following is None else found.following + 1,
                "total": version.row_count,
                "timed_out": found.timed_out,
            }
        )


def page(version: DatasetVersion, start: int, limit: int) -> searching.Found:
    rows = list(enumerate(tables.page(version.path, start, limit), start))
    end = start + len(rows)
    return searching.Found(rows, start, end, end if end < version.row_count else None)


def cells_of(version: DatasetVersion, row: dict[str, Any]) -> dict[str, Any]:
    """With nested columns as JSON again."""
    nested = {column["name"] for column in version.columns if column["type"] == "json"}
    cells = {column["name"]: row[column["name"]] for column in version.columns}
    return {
        name: finite(json.loads(value) if name in nested and value is not None else value)
        for name, value in cells.items()
    }


def stored_or_404(version: DatasetVersion) -> DatasetVersion:
    if not version.path.is_file():
        raise Http404("The rows of this version are not on the server's disk any more.")
    return version


class Download(DatasetView):
    def get(self, request: Request, pk: UUID, number: str, ending: str) -> StreamingHttpResponse:
        """All rows, or those of a part or a search, as jsonl, csv or parquet."""
        version = version_or_404(request, pk, number)
        asked = valid(QueryRequest, request.query_params)
        return download_views.rows_of(version, ending, *query_of(version, asked), asked["part"])


class Rejected(DatasetView):
    def get(self, request: Request, pk: UUID, number: str, ending: str) -> StreamingHttpResponse:
        """Every rejected line, or row that the filter dropped, as jsonl or csv."""
        return download_views.rejected_of(version_or_404(request, pk, number), ending)


# Not `format`: REST framework would look for a renderer of that name.
VERSION = rf"^datasets/{ID}/versions/{NUMBER}"
routes = [
    re_path(rf"{VERSION}/rows/?$", Rows.as_view(), name="api-rows"),
    re_path(rf"{VERSION}/download/(?P<ending>[a-z]+)/?$", Download.as_view(), name="api-download"),
    re_path(rf"{VERSION}/rejected/(?P<ending>[a-z]+)/?$", Rejected.as_view(), name="api-rejected"),
]
