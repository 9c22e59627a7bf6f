from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from datasets_app import downloading
from datasets_app.browse_views import asked
from datasets_app.models import DatasetVersion
from datasets_app.page_views import opened
from datasets_app.searching import Query


@require_GET
@never_cache
def rows(request: HttpRequest, pk: UUID, format: str) -> StreamingHttpResponse:
    """All rows, or those of the part or the search that the address asks for."""
    version = opened(request, pk)
    query, marks = asked(request, version)
    part = request.GET.get("part", "")
    if part and not query.part:
        raise Http404("The parts of this version are not worked out yet. Check it first.")
    return rows_of(version, format, query, marks, part)


def rows_of(version: DatasetVersion, format: str, query: Query, marks: Path | None, part: str) -> StreamingHttpResponse:
    if format not in downloading.FORMATS or not version.path.is_file():
        raise Http404("There is no such download.")
    more = [part, "search" if query.text or query.empty else ""]
    name = downloading.file_name(version, format, *more)
    response = attachment(downloading.rows(version, format, query, marks), name, downloading.FORMATS[format])
    size = downloading.size(version, format, query)
    if size is not None:
        response["Content-Length"] = str(size)
    return response


@require_GET
@never_cache
def rejected(request: HttpRequest, pk: UUID, format: str) -> StreamingHttpResponse:
    return rejected_of(opened(request, pk), format)


def rejected_of(version: DatasetVersion, format: str) -> StreamingHttpResponse:
    if format not in ("jsonl", "csv") or not version.rejected_count:
        raise Http404("There is no such download.")
    what = "dropped" if version.origin.get("version") else "rejected"
    name = downloading.file_name(version, format, what)
    return attachment(downloading.rejected(version, format), name, downloading.FORMATS[format])


def attachment(body: AsyncIterator[bytes], name: str, content_type: str) -> StreamingHttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return StreamingHttpResponse(body, headers=headers, content_type=content_type)
