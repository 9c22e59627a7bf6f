"""The verbs of checks: whether an export is as good as the adapter it was made of, and who signed off one that is not.
What compares them is in checking.py, in a child process."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models.functions import Now

from exports.models import Check, Export, Verdict
from exports.problems import ExportProblem
from jobs import running
from jobs.choices import JobStatus

SHORTEST_REASON, LONGEST_REASON = 5, 500
SIGN_OFF_FIRST = (
    "This export is degraded: it does not answer as the trained adapter does. A member of the team has to sign it off"
    " before it can be downloaded."
)


def start(export: Export, *, ring: bool = True) -> Check:
    """Queues its check, also one more after it ended. A sign-off of the last one does not count any more."""
    with transaction.atomic():
        row, is_new = Check.objects.select_for_update().get_or_create(
            export=export, defaults={"team_id": export.team_id, "created_by_id": export.created_by_id}
        )
        if not is_new and not row.is_open:
            Check.objects.filter(pk=row.pk).update(
                status=JobStatus.QUEUED, progress=0, message="", error="", verdict="", reason="", result={},
                signed_by=None, signed_at=None, sign_reason="", finished_at=None,
            )  # fmt: skip
            row.refresh_from_db()
    if ring:
        _ring(row)
    return row


def cancel(row: Check) -> bool:
    if not running.cancel(row):
        return False
    Check.objects.filter(pk=row.pk).update(verdict=Verdict.NOT_CHECKED, reason="The check was cancelled.")
    return True


def sign_off(row: Check, by: User | None, reason: str) -> Check:
    """Raises ExportProblem."""
    reason = " ".join(reason.split())
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise ExportProblem(f"Say why it is good enough, in {SHORTEST_REASON} to {LONGEST_REASON} characters.")
    rows = Check.objects.filter(pk=row.pk, verdict=Verdict.DEGRADED, signed_at=None)
    if not rows.update(signed_by=by, signed_at=Now(), sign_reason=reason):
        raise ExportProblem("There is nothing to sign off: only a degraded export needs it, and only once.")
    row.refresh_from_db()
    return row


def needs_sign_off(export: Export) -> bool:
    return export.parity is not None and export.parity.needs_sign_off


def as_json(row: Check) -> dict[str, Any]:
    return {
        "status": row.status,
        "progress": row.progress,
        "message": row.message,
        "error": row.error,
        "verdict": row.verdict,
        "reason": row.reason,
        "needs_sign_off": row.needs_sign_off,
        "signed_off": {"by": str(row.signed_by), "at": row.signed_at, "reason": row.sign_reason}
        if row.signed_at
        else None,
        "result": row.result,
    }


def _ring(row: Check) -> None:
    from exports.tasks import check_export

    transaction.on_commit(lambda: check_export(str(row.pk)), robust=True)
