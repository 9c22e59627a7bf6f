"""Imports and unfinished uploads as pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts import access
from accounts.models import Role
from datasets_app import imports
from datasets_app.models import Import, Upload
from datasets_app.problems import DatasetProblem
from jobs.choices import JobStatus

# Before this long a rate says nothing.
RATE_SECONDS = 2.0


@require_GET
@never_cache
def show(request: HttpRequest, pk: UUID) -> HttpResponse:
    job = access.get_or_404(Import, request.user, pk)
    if job.status == JobStatus.READY and job.dataset_id:
        return gone_to(request, reverse("datasets:detail", args=[job.dataset_id]))
    template = "datasets/_import.html" if is_htmx(request) else "datasets/import.html"
    return render(request, template, standing(request, job))


def is_htmx(request: HttpRequest) -> bool:
    return bool(request.htmx)  # type: ignore[attr-defined]


def gone_to(request: HttpRequest, url: str) -> HttpResponse:
    # A redirect would be followed by htmx itself, and a page would land inside the page.
    return HttpResponse(headers={"HX-Redirect": url}) if is_htmx(request) else redirect(url)


def standing(request: HttpRequest, job: Import) -> dict[str, Any]:
    """How far the job is, how fast, and how long it will take at that rate; None where nothing can be said."""
    seconds = (timezone.now() - job.started_at).total_seconds() if job.started_at else 0.0
    rate = job.bytes_read / seconds if job.bytes_read and seconds >= RATE_SECONDS else None
    left = (job.bytes_total - job.bytes_read) / rate if rate and job.bytes_total > job.bytes_read else None
    return {
        "job": job,
        "is_open": job.status in (JobStatus.QUEUED, JobStatus.RUNNING),
        "rate": rate,
        "row_rate": job.rows / seconds if rate else None,
        "left": left,
        "can_retry": imports.can_retry(job),
        "may_change": access.may(request.user, job.team, Role.MEMBER),
    }


@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    job = access.get_or_404(Import, request.user, pk, Role.MEMBER)
    if not imports.cancel(job):
        messages.warning(request, "The import had ended already.")
    return redirect("datasets:import", pk)


@require_POST
def retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    job = access.get_or_404(Import, request.user, pk, Role.MEMBER)
    if not imports.retry(job):
        messages.warning(request, "This import can't be tried again: it runs, or its file is gone. Upload it again.")
    return redirect("datasets:import", pk)


@require_POST
def dismiss(request: HttpRequest, pk: UUID) -> HttpResponse:
    if not imports.dismiss(access.get_or_404(Import, request.user, pk, Role.MEMBER)):
        messages.warning(request, "The import runs. Cancel it first.")
    return redirect("datasets:list")


@require_POST
def import_upload(request: HttpRequest, pk: UUID) -> HttpResponse:
    upload = access.get_or_404(Upload, request.user, pk, Role.MEMBER)
    try:
        job = imports.start_upload(upload, request.user)
    except DatasetProblem as problem:
        messages.error(request, problem.message)
        return redirect("datasets:list")
    return redirect("datasets:import", job.pk)


@require_POST
def discard_upload(request: HttpRequest, pk: UUID) -> HttpResponse:
    try:
        imports.discard_upload(access.get_or_404(Upload, request.user, pk, Role.MEMBER))
    except DatasetProblem as problem:
        messages.error(request, problem.message)
    return redirect("datasets:list")


@require_GET
@never_cache
def unfinished(request: HttpRequest) -> HttpResponse:
    """The part of the list that is polled. Tells the page when an import has ended since it last asked."""
    context = imports.unfinished(request.user)
    response = render(request, "datasets/_imports.html", context)
    if request.GET.get("open", "") != str(context["open_imports"]):
        response["HX-Trigger"] = "imports-changed"
    return response
