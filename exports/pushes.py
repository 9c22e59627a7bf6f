"""The verbs of pushes: an export goes to a repository of the Hugging Face hub, with the team's token. What sends it is
in pushing.py, in a child process."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from accounts import secrets
from exports import checks
from exports.models import Export, Push
from exports.problems import ExportProblem
from jobs import running
from jobs.choices import JobStatus

PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
REPOSITORY = re.compile(rf"{PART}/{PART}")
OPEN = [JobStatus.QUEUED, JobStatus.RUNNING]
UNAUTHORISED = "The team has no Hugging Face token. An owner enters one under Team: it needs the right to write."


def start(export: Export, by: User | None, repository: str, *, private: bool, ring: bool = True) -> Push:
    """Queues it, or returns the one that is under way. Raises ExportProblem."""
    repository = clean(repository)
    if export.status != JobStatus.READY:
        raise ExportProblem("This export is not ready.", "Wait until it is built.")
    if checks.needs_sign_off(export):
        raise ExportProblem(checks.SIGN_OFF_FIRST)
    if secrets.find(export.team, secrets.HUGGINGFACE) is None:
        raise ExportProblem(UNAUTHORISED)
    with transaction.atomic():
        Export.objects.select_for_update().get(pk=export.pk)
        under_way: Push | None = export.pushes.filter(status__in=OPEN, repository=repository).first()
        if under_way:
            return under_way
        push: Push = export.pushes.create(team=export.team, created_by=by, repository=repository, private=private)
    if ring:
        _ring(push)
    return push


def clean(repository: str) -> str:
    repository = repository.strip()
    if not REPOSITORY.fullmatch(repository) or "--" in repository or ".." in repository:
        raise ExportProblem("Write the repository as owner/name, with letters, digits, dots, dashes and underscores.")
    return repository


def cancel(push: Push) -> bool:
    return running.cancel(push)


def as_json(push: Push) -> dict[str, Any]:
    return {
        "id": str(push.pk),
        "export_id": str(push.export_id),
        "repository": push.repository,
        "private": push.private,
        "status": push.status,
        "progress": push.progress,
        "message": push.message,
        "error": push.error,
        "url": push.url or None,
        "created_at": push.created_at,
        "finished_at": push.finished_at,
    }


def _ring(push: Push) -> None:
    from exports.tasks import push_export

    transaction.on_commit(lambda: push_export(str(push.pk)), robust=True)
