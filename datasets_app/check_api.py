"""Validation reports over REST."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import re_path
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.models import Role
from datasets_app import checks
from datasets_app.base_api import ID, NUMBER, DatasetView, PageRequest, body, checked, paged, version_or_404
from datasets_app.check_views import CheckForm
from datasets_app.models import Check, DatasetVersion
from loracraft.inputs import valid


def as_json(check: Check, version: DatasetVersion) -> dict[str, Any]:
    """`current`: the mapping and the split of the version are still those that were checked."""
    return {
        "id": str(check.pk),
        "dataset": str(version.dataset_id),
        "version": version.number,
        "status": check.status,
        "progress": check.progress,
        "message": check.message,
        "error": check.error,
        "request": check.request,
        "current": checks.is_current(check, version),
        "created_at": check.created_at,
        "finished_at": check.finished_at,
    }


class CheckList(DatasetView):
    def get(self, request: Request, pk: UUID, number: str) -> Response:
        """Newest first, without their reports."""
        version = version_or_404(request, pk, number)
        asked = valid(PageRequest, request.query_params)
        rows = version.checks.defer("report")
        return paged("checks", rows, asked, lambda page: [as_json(check, version) for check in page])

    def post(self, request: Request, pk: UUID, number: str) -> Response:
        """Starts a check, or answers with the one that asks the same: 202 while there is no report yet, 200 then."""
        version = version_or_404(request, pk, number, Role.MEMBER)
        given = body(request, "model", "system_prompt", "max_tokens")
        cleaned = checked(CheckForm({"max_tokens": checks.MAX_TOKENS, **given}))
        wanted = {name: cleaned[name] for name in given}
        check = checks.start(version, request.user, **wanted)
        code = status.HTTP_202_ACCEPTED if check.status in checks.OPEN else status.HTTP_200_OK
        return Response({**as_json(check, version), "report": check.report}, code)


class CheckDetail(DatasetView):
    def get(self, request: Request, pk: UUID) -> Response:
        check = access.get_or_404(Check, request.user, pk)
        return Response({**as_json(check, check.version), "report": check.report})


class CheckCancel(DatasetView):
    def post(self, request: Request, pk: UUID) -> Response:
        """409 if it had ended."""
        check = access.get_or_404(Check, request.user, pk, Role.MEMBER)
        won = checks.cancel(check)
        check.refresh_from_db()
        answer = as_json(check, check.version)
        if won:
            return Response(answer)
        return Response({**answer, "error": "The check had ended already.", "fields": {}}, status.HTTP_409_CONFLICT)


routes = [
    re_path(rf"^datasets/{ID}/versions/{NUMBER}/checks/?$", CheckList.as_view(), name="api-checks"),
    re_path(rf"^datasets/checks/{ID}/?$", CheckDetail.as_view(), name="api-check"),
    re_path(rf"^datasets/checks/{ID}/cancel/?$", CheckCancel.as_view(), name="api-check-cancel"),
]
