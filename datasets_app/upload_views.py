"""The tus 1.0.0 protocol (https://tus.io/protocols/resumable-upload) for files of datasets, and what follows it.

Pages and programs use the same addresses: a cookie needs the CSRF header, a token does not.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import re_path, reverse
from django.utils.http import http_date
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access
from accounts.models import Role
from datasets_app import imports, uploads
from datasets_app.base_api import ID, ProblemView
from datasets_app.models import Import, Upload

VERSION = "1.0.0"
BODY = "application/offset+octet-stream"


class TusView(ProblemView):
    """Every refusal is a sentence, and every answer names the protocol's version."""

    # Bodies are read by the verb, piece by piece.
    parser_classes: Any = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        asked = request.headers.get("Tus-Resumable", VERSION)
        if asked != VERSION and request.method != "OPTIONS":
            raise uploads.Refused(412, f"This server speaks tus {VERSION}, not {asked}.")

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response["Tus-Resumable"] = response["Tus-Version"] = VERSION
        return super().finalize_response(request, response, *args, **kwargs)


class UploadList(TusView):
    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        response = Response(status=status.HTTP_204_NO_CONTENT)
        response["Tus-Extension"] = "creation,termination,checksum,expiration"
        response["Tus-Max-Size"] = str(settings.MAX_UPLOAD_BYTES)
        response["Tus-Checksum-Algorithm"] = "sha256"
        return response

    def post(self, request: Request) -> Response:
        """Upload-Length, and Upload-Metadata with `filename` and perhaps `sha256`, as tus has them."""
        team = access.current_team(request.user, Role.MEMBER)
        size = whole_number(request, "Upload-Length")
        metadata = parse_metadata(request.headers.get("Upload-Metadata", ""))
        name, sha256 = metadata.get("filename", "file"), metadata.get("sha256", "").lower()
        if sha256 and (len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef")):
            raise uploads.Refused(400, "The metadata `sha256` must be 64 hexadecimal digits.")
        upload = uploads.create(team, request.user, name, size, sha256)
        response = described(upload, status.HTTP_201_CREATED)
        response["Location"] = reverse("api-upload", args=[upload.pk])
        return response


class UploadDetail(TusView):
    def get(self, request: Request, pk: UUID) -> Response:
        return described(self.upload(request, pk), status.HTTP_200_OK)

    head = get

    def patch(self, request: Request, pk: UUID) -> Response:
        upload = self.upload(request, pk)
        if request.content_type.partition(";")[0].strip() != BODY:
            raise uploads.Refused(415, f"Send the bytes as they are, with the content type {BODY}.")
        offset = whole_number(request, "Upload-Offset")
        given = request.headers.get("Content-Length", "")
        length = int(given) if given.isdecimal() else None
        checksum = request.headers.get("Upload-Checksum", "")
        uploads.append(upload, offset, request._request.read, length, checksum)
        upload.refresh_from_db()
        return described(upload, status.HTTP_204_NO_CONTENT)

    def delete(self, request: Request, pk: UUID) -> Response:
        imports.discard_upload(self.upload(request, pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @staticmethod
    def upload(request: Request, pk: UUID) -> Upload:
        return access.get_or_404(Upload, request.user, pk, Role.MEMBER)


class UploadImport(ProblemView):
    def post(self, request: Request, pk: UUID) -> Response:
        """Starts the import of a finished upload, once; `name` is the dataset's, the file's if left out."""
        upload = access.get_or_404(Upload, request.user, pk, Role.MEMBER)
        given = request.data if isinstance(request.data, dict) else {}
        job = imports.start_upload(upload, request.user, str(given.get("name") or ""))
        return Response(as_json(job), status.HTTP_201_CREATED)


class ImportDetail(APIView):
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(as_json(access.get_or_404(Import, request.user, pk)))

    def delete(self, request: Request, pk: UUID) -> Response:
        """Takes it off the list, with its uploaded file; 409 while it runs, and of one that made a dataset."""
        job = access.get_or_404(Import, request.user, pk, Role.MEMBER)
        if not imports.dismiss(job):
            return too_late(job, "Only an import that failed or was cancelled can be removed.")
        return Response(status=status.HTTP_204_NO_CONTENT)


class ImportCancel(APIView):
    def post(self, request: Request, pk: UUID) -> Response:
        return changed(imports.cancel, access.get_or_404(Import, request.user, pk, Role.MEMBER), ENDED)


class ImportRetry(APIView):
    def post(self, request: Request, pk: UUID) -> Response:
        return changed(imports.retry, access.get_or_404(Import, request.user, pk, Role.MEMBER), NO_RETRY)


ENDED = "The import had ended already."
NO_RETRY = "This import can't be tried again: it runs, or its file is gone. Upload it again."


def changed(verb: Any, job: Import, why_not: str) -> Response:
    """The answer says how the job stands."""
    won = verb(job)
    job.refresh_from_db()
    return Response(as_json(job)) if won else too_late(job, why_not)


def too_late(job: Import, why: str) -> Response:
    return Response({**as_json(job), "error": why, "fields": {}}, status.HTTP_409_CONFLICT)


def as_json(job: Import) -> dict[str, Any]:
    return {
        "id": str(job.pk),
        "kind": job.kind,
        "name": job.name,
        "status": job.status,
        "progress": job.progress,
        "message": job.message,
        "error": job.error,
        "rows": job.rows,
        "bytes_read": job.bytes_read,
        "bytes_total": job.bytes_total,
        "dataset": str(job.dataset_id) if job.dataset_id else None,
        "version": job.version.number if job.version else None,
        "url": reverse("datasets:import", args=[job.pk]),
        "created_at": job.created_at,
    }


def described(upload: Upload, code: int) -> Response:
    body = {"id": str(upload.pk), "file_name": upload.file_name, "size": upload.size, "received": upload.received}
    response = Response(None if code == status.HTTP_204_NO_CONTENT else body, code)
    response["Upload-Offset"] = str(upload.received)
    response["Upload-Length"] = str(upload.size)
    response["Upload-Expires"] = http_date(uploads.expires(upload).timestamp())
    response["Cache-Control"] = "no-store"
    return response


def whole_number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise uploads.Refused(400, f"The header {header} must be a whole number of bytes.")
    return int(text)


def parse_metadata(header: str) -> dict[str, str]:
    """`name base64, name base64` as tus writes it."""
    found = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            found[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise uploads.Refused(400, f"The value of {key} in Upload-Metadata is not UTF-8 in base64.") from None
    return found


routes = [
    re_path(r"^datasets/uploads/?$", UploadList.as_view(), name="api-uploads"),
    re_path(rf"^datasets/uploads/{ID}/?$", UploadDetail.as_view(), name="api-upload"),
    re_path(rf"^datasets/uploads/{ID}/import/?$", UploadImport.as_view(), name="api-upload-import"),
    re_path(rf"^datasets/imports/{ID}/?$", ImportDetail.as_view(), name="api-import"),
    re_path(rf"^datasets/imports/{ID}/cancel/?$", ImportCancel.as_view(), name="api-import-cancel"),
    re_path(rf"^datasets/imports/{ID}/retry/?$", ImportRetry.as_view(), name="api-import-retry"),
]
