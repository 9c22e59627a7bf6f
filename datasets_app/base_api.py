"""What all routes of datasets have in common: the error shape, the limits of a request, and how a list is paged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import QuerySet
from django.http import Http404
from django.urls.converters import UUIDConverter
from rest_framework import serializers, status
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access
from accounts.models import Role
from datasets_app.limits import MAX_PASTED_BYTES, readable
from datasets_app.models import Dataset, DatasetVersion
from datasets_app.page_views import newest
from datasets_app.problems import DatasetInUse, DatasetProblem
from datasets_app.uploads import Refused

ID = f"(?P<pk>{UUIDConverter.regex})"
NUMBER = "(?P<number>[1-9][0-9]{0,8}|latest)"
# In JSON a character of pasted text may take six bytes.
BODY_BYTES = 4 * MAX_PASTED_BYTES
MAX_LISTED = 1000


class ProblemView(APIView):
    """A DatasetProblem is answered with its sentence."""

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, DatasetProblem):
            return refusal(exc)
        return super().handle_exception(exc)


class DatasetView(ProblemView):
    """A body that is too large is refused before it is read."""

    body_bytes = BODY_BYTES

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > self.body_bytes:
            raise Refused(413, self.too_large())

    def too_large(self) -> str:
        return f"A request to this address has at most {readable(self.body_bytes)}. {BIG_FILES}"


BIG_FILES = "Send larger files in pieces, with tus on /api/datasets/uploads."


def refusal(problem: DatasetProblem) -> Response:
    fields = {problem.field: [problem.message]} if problem.field else {}
    response = Response({"error": problem.message, "fields": fields}, status_of(problem))
    response.exception = True
    return response


def status_of(problem: DatasetProblem) -> int:
    if isinstance(problem, DatasetInUse):
        return status.HTTP_409_CONFLICT
    return problem.status if isinstance(problem, Refused) else status.HTTP_400_BAD_REQUEST


# What is asked


def body(request: Request, *known: str, nested: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields that were sent. Raises for others than the `known`, which would be lost without a word, and for
    objects and lists but in `nested`, which a form would take for text."""
    if not isinstance(request.data, dict):
        raise ParseError("Send a JSON object.")
    unknown = sorted(set(request.data) - set(known))
    if unknown:
        words = f"There is no such field. Known: {', '.join(known)}."
        raise serializers.ValidationError({str(name): [words] for name in unknown})
    odd = [name for name, value in request.data.items() if isinstance(value, dict | list) and name not in nested]
    if odd:
        raise serializers.ValidationError({name: ["Write one value, not an object or a list."] for name in odd})
    return dict(request.data.items())


def checked(form: forms.BaseForm) -> dict[str, Any]:
    """What a form of the pages makes of it. Raises with the fields that are wrong."""
    if form.is_valid():
        return dict(form.cleaned_data)
    fields = {name: [str(error) for error in errors] for name, errors in form.errors.items() if name != "__all__"}
    if not fields:
        raise DatasetProblem(str(form.non_field_errors()[0]))
    raise serializers.ValidationError(fields)


def confirmed(request: Request) -> bool:
    return request.query_params.get("confirm", "").lower() in ("true", "1", "yes")


def version_or_404(request: Request, pk: UUID, number: str, role: str = Role.VIEWER) -> DatasetVersion:
    """With its dataset. `number` may be "latest"."""
    dataset = access.get_or_404(Dataset, request.user, pk, role)
    if number == "latest":
        return newest(dataset)
    version: DatasetVersion | None = dataset.versions.filter(number=number).first()
    if version is None:
        raise Http404("This dataset has no such version.")
    version.dataset = dataset
    return version


# What is answered


class PageRequest(serializers.Serializer[Any]):
    limit = serializers.IntegerField(default=MAX_LISTED, min_value=1, max_value=MAX_LISTED)
    offset = serializers.IntegerField(default=0, min_value=0)


def paged(
    name: str, rows: QuerySet[Any], asked: dict[str, Any], shown: Callable[[list[Any]], Iterable[Any]]
) -> Response:
    """{name: [...], "total", "limit", "offset"}."""
    limit, offset = asked["limit"], asked["offset"]
    page = list(rows[offset : offset + limit])
    # A page that is not full is the last one, so that nothing is left to be counted.
    is_last = len(page) < limit and (bool(page) or not offset)
    total = offset + len(page) if is_last else rows.count()
    return Response({name: list(shown(page)), "total": total, "limit": limit, "offset": offset})


def finite(value: Any) -> Any:
    """`value` as JSON can say it: numbers that are none become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list) else value
