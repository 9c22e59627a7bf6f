"""Batches over REST: the verbs of the pages."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import get_or_404
from accounts.models import Role
from evaluation import batch_export, batch_rows, batches, prompt_files
from evaluation.batch_forms import BatchForm, initial
from evaluation.batch_rows import FILTERS, SORTS, Shown
from evaluation.batches import BatchProblem
from evaluation.models import Batch
from evaluation.prompt_files import FileProblem, Parsed

MOST_LISTED = 1000
LISTED = 100
ROWS_AT_ONCE = 100
BRINGS = ("file", "text", "prompts")
KNOWN = {*BatchForm.base_fields, *BRINGS, "lines"}


def as_json(batch: Batch) -> dict[str, Any]:
    found = batch_rows.summary(batch)
    return {
        "id": str(batch.pk),
        "name": batch.name,
        "status": batch.status,
        "progress": batch.progress,
        "message": batch.message,
        "error": batch.error,
        "model": batches.title_of_model(batch),
        "session_id": str(batch.session_id) if batch.session_id else None,
        "base_model": batch.base_model,
        "adapter": batch.adapter or None,
        "settings": batch.settings,
        "reward": batch.reward_name or None,
        "file": batch.file_name,
        "source": batch.source,
        "created_at": batch.created_at,
        "finished_at": batch.finished_at,
        "summary": summary_as_json(found),
    }


def summary_as_json(found: batch_rows.Summary) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "answered": found.answered,
        "waiting": found.waiting,
        "failed": found.failed,
        "unjudged": found.unjudged,
        "truncated": found.cut_off,
        "tokens": found.tokens,
        "tokens_per_second": found.tokens_per_second,
        "exact_match": share_as_json(found.exact),
        "correct": share_as_json(found.judged),
        "mean_reward": found.reward,
        "mean_reward_low": found.reward_low,
        "mean_reward_high": found.reward_high,
    }


def share_as_json(share: batch_rows.Share | None) -> dict[str, Any] | None:
    if share is None:
        return None
    return {"right": share.right, "of": share.of, "accuracy": share.accuracy, "low": share.low, "high": share.high}


class BatchList(APIView):
    def get(self, request: Request) -> Response:
        """Newest first."""
        limit = whole(request, "limit", LISTED, 1, MOST_LISTED)
        offset = whole(request, "offset", 0, 0, 10**9)
        found = Batch.objects.of_user(request.user).select_related("session")
        rows = found[offset : offset + limit]
        return Response({"total": found.count(), "batches": [as_json(batch) for batch in rows]})

    def post(self, request: Request) -> Response:
        """202 with the batch."""
        data = sent(request)
        form = BatchForm(request.user, {**initial(), **{n: v for n, v in data.items() if n in BatchForm.base_fields}})
        if not form.is_valid():
            raise serializers.ValidationError({name: list(map(str, errors)) for name, errors in form.errors.items()})
        parsed, name = brought(data)
        wanted = batches.with_guesses(parsed, form.wanted, reference="reference_column" not in data)
        try:
            batch = batches.create(request.user, parsed, name, wanted)
        except BatchProblem as problem:
            raise serializers.ValidationError({problem.field or "file": [problem.message]}) from None
        return Response(as_json(batch), status.HTTP_202_ACCEPTED)


def sent(request: Request) -> dict[str, Any]:
    """The fields that were sent. Raises for those that are none: a typing error shall not pass for a default."""
    if not hasattr(request.data, "items"):
        raise serializers.ValidationError({"prompts": ["Send an object, or a form with a file."]})
    data = dict(request.data.items())
    if unknown := sorted(set(data) - KNOWN):
        raise serializers.ValidationError({name: ["There is no such field."] for name in unknown})
    return data


def brought(data: dict[str, Any]) -> tuple[Parsed, str]:
    """(what `file`, `text` or `prompts` holds, the file's name)."""
    given = [name for name in BRINGS if name in data]
    if len(given) != 1:
        raise serializers.ValidationError({"file": ["Send one of file, text and prompts."]})
    (field,) = given
    content, name = content_of(field, data[field])
    try:
        return prompt_files.read(content, name, lines=str(data.get("lines", "")).lower() in ("true", "1", "on")), name
    except FileProblem as problem:
        raise serializers.ValidationError({field: [str(problem)]}) from None


def content_of(field: str, value: Any) -> tuple[bytes, str]:
    if field == "file":
        if not isinstance(value, UploadedFile):
            raise serializers.ValidationError({"file": ["Send a file, as multipart/form-data."]})
        return value.read(prompt_files.MOST_BYTES + 1), str(value.name or "")
    if field == "text":
        return str(value).encode(errors="replace"), ""
    if not isinstance(value, list):
        raise serializers.ValidationError({"prompts": ["Send a list of texts, or of objects with a prompt in each."]})
    return json.dumps(value).encode(), "prompts.json"


def whole(request: Request, name: str, default: int, low: int, high: int) -> int:
    try:
        value = int(request.query_params.get(name, default))
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise serializers.ValidationError({name: [f"Write a whole number from {low} to {high}."]})
    return value


class OneBatch(APIView):
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(as_json(get_or_404(Batch, request.user, pk)))

    def delete(self, request: Request, pk: UUID) -> Response:
        """409 while it runs."""
        try:
            batches.delete(get_or_404(Batch, request.user, pk, Role.MEMBER))
        except BatchProblem as problem:
            return conflict(problem)
        return Response(status=status.HTTP_204_NO_CONTENT)


def conflict(problem: BatchProblem) -> Response:
    return Response({"error": str(problem), "fields": {}}, status.HTTP_409_CONFLICT)


@api_view(["POST"])
def cancel(request: Request, pk: UUID) -> Response:
    batch = get_or_404(Batch, request.user, pk, Role.MEMBER)
    if not batches.cancel(batch):
        return conflict(BatchProblem("It has ended already."))
    batch.refresh_from_db()
    return Response(as_json(batch))


@api_view(["POST"])
def go_on(request: Request, pk: UUID) -> Response:
    batch = get_or_404(Batch, request.user, pk, Role.MEMBER)
    try:
        batches.go_on(batch)
    except BatchProblem as problem:
        return conflict(problem)
    batch.refresh_from_db()
    return Response(as_json(batch), status.HTTP_202_ACCEPTED)


@api_view(["GET"])
def rows(request: Request, pk: UUID) -> Response:
    batch = get_or_404(Batch, request.user, pk)
    check_choice(request, "show", [name for name in FILTERS if name])
    check_choice(request, "sort", [*SORTS, *(f"-{name}" for name in SORTS)])
    limit = whole(request, "limit", ROWS_AT_ONCE, 1, ROWS_AT_ONCE)
    offset = whole(request, "offset", 0, 0, 10**9)
    found = Shown.of(request.query_params).among(batch.rows.all())
    shown = [batch_export.row_as_json(row) for row in found[offset : offset + limit]]
    return Response({"total": found.count(), "rows": shown})


def check_choice(request: Request, name: str, allowed: list[str]) -> None:
    value = request.query_params.get(name)
    if value and value not in allowed:
        raise serializers.ValidationError({name: [f"Choose one of {', '.join(allowed)}."]})


@api_view(["GET"])
def row(request: Request, pk: UUID, number: str) -> Response:
    batch = get_or_404(Batch, request.user, pk)
    return Response(batch_export.row_as_json(get_object_or_404(batch.rows, number=int(number))))


@api_view(["GET"])
def export(request: Request, pk: UUID, form: str) -> HttpResponseBase:
    batch = get_or_404(Batch, request.user, pk)
    if form == "csv":
        return StreamingHttpResponse(batch_export.csv_lines(batch), content_type="text/csv; charset=utf-8")
    return StreamingHttpResponse(batch_export.json_text(batch, as_json(batch)), content_type="application/json")


ID = r"(?P<pk>[0-9a-fA-F-]{36})"
routes = [
    re_path(r"^batches/?$", BatchList.as_view(), name="api-batches"),
    re_path(rf"^batches/{ID}/?$", OneBatch.as_view(), name="api-batch"),
    re_path(rf"^batches/{ID}/cancel/?$", cancel, name="api-batch-cancel"),
    re_path(rf"^batches/{ID}/go-on/?$", go_on, name="api-batch-go-on"),
    re_path(rf"^batches/{ID}/rows/?$", rows, name="api-batch-rows"),
    re_path(rf"^batches/{ID}/rows/(?P<number>[0-9]{{1,9}})/?$", row, name="api-batch-row"),
    re_path(rf"^batches/{ID}/export/(?P<form>csv|json)/?$", export, name="api-batch-export"),
]
