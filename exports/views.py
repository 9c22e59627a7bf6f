from __future__ import annotations

from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.access import get_or_404
from accounts.authentication import user_of_header
from accounts.models import Role
from exports import building, checks, downloads
from exports import panel as panels
from exports.formats import Choice
from exports.models import Export
from exports.problems import ExportProblem
from jobs.choices import JobStatus
from training.models import Session


@require_safe
@never_cache
def panel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Polled while something is built: what is ticked and shown comes with the question, and stays."""
    return _panel(request, get_or_404(Session, request.user, pk), wanted=request.GET)


@require_POST
def create(request: HttpRequest, pk: UUID) -> HttpResponse:
    session = get_or_404(Session, request.user, pk, Role.MEMBER)
    try:
        building.create_all(session, _person(request), _wanted(request.POST))
    except ExportProblem as error:
        return _panel(request, session, error.sentence, request.POST)
    return _panel(request, session)


def _wanted(data: QueryDict) -> list[Choice]:
    """One of `format` and `quantization`, or all of `formats`. Raises ExportProblem."""
    if format := data.get("format"):
        return [building.resolve(format, data.get("quantization", ""))]
    return [building.keyed(key) for key in data.getlist("formats")]


@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    export = get_or_404(Export, request.user, pk, Role.MEMBER)
    building.cancel(export)
    return _panel(request, export.session)


@require_POST
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    export = get_or_404(Export, request.user, pk, Role.MEMBER)
    session = export.session
    building.delete(export)
    return _panel(request, session)


def _panel(request: HttpRequest, session: Session, problem: str = "", wanted: QueryDict | None = None) -> HttpResponse:
    chosen, more = (wanted.getlist("formats"), "more" in wanted) if wanted else ([], False)
    return render(request, "exports/_panel.html", panels.context(session, request.user, problem, chosen, more))


def sign_off_path(export: Export) -> str:
    return reverse("api-export-sign-off", args=[export.pk])


def _person(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


# Async, so that a download takes no thread while it waits for its reader. Sign-in is checked here because API tokens
# open it, too.
@login_not_required
async def download(request: HttpRequest, pk: UUID, name: str) -> HttpResponseBase:
    if request.method not in ("GET", "HEAD"):
        return HttpResponse(status=405, headers={"Allow": "GET, HEAD"})
    user = await sync_to_async(_signed_in)(request)
    if user is None:
        return _refused(request)
    return await sync_to_async(_response)(request, user, pk, name)


def _signed_in(request: HttpRequest) -> User | None:
    header = request.META.get("HTTP_AUTHORIZATION")
    if header:
        return user_of_header(header.encode("latin1", "replace"))
    user = request.user
    return user if isinstance(user, User) and user.is_active else None


def _refused(request: HttpRequest) -> HttpResponseBase:
    if "HTTP_AUTHORIZATION" in request.META:
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Token"})
    return redirect_to_login(request.get_full_path(), settings.LOGIN_URL)


def _response(request: HttpRequest, user: User, pk: UUID, name: str) -> HttpResponseBase:
    export = get_or_404(Export, user, pk)
    if export.status != JobStatus.READY:
        raise Http404("This export is not ready.")
    if checks.needs_sign_off(export):
        return JsonResponse({"error": checks.SIGN_OFF_FIRST, "sign_off": sign_off_path(export)}, status=409)
    folder = building.artefact_folder(export)
    if name == building.zip_name(export):
        return downloads.zip_response([(folder / entry["name"], entry["name"]) for entry in export.files], name)
    # The name only picks a row of `files`: what is joined is what the build wrote there.
    entry = next((entry for entry in export.files if entry["name"] == name), None)
    if entry is None or not (folder / entry["name"]).is_file():
        raise Http404("This export has no such file.")
    return downloads.file_response(request, folder / entry["name"], entry["name"], entry["sha256"])
