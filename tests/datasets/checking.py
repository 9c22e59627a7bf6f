"""Makes reports in the test process, as the worker's child does."""

from typing import Any

from datasets_app import checking, checks
from datasets_app.models import Check, DatasetVersion
from jobs.choices import JobStatus


def claimed(version: DatasetVersion, **asked: Any) -> Check:
    """A check as its child finds it."""
    check = checks.start(version, None, **asked)
    Check.objects.filter(pk=check.pk).update(status=JobStatus.RUNNING, attempt=1)
    return Check.objects.select_related("version__dataset").get(pk=check.pk)


def checked(version: DatasetVersion, **asked: Any) -> Check:
    check = claimed(version, **asked)
    checking.perform(check)
    check.refresh_from_db()
    return check
