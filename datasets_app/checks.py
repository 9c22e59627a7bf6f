"""The verbs of validation reports: what is asked of a version, and which answer still counts.

A report belongs to its question: the version's mapping and split, the model, the system prompt and the limit. What
reads the rows is in checking.py, in a child process.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db import transaction

from accounts.models import AnyUser
from datasets_app import chat_rendering, findings
from datasets_app.models import Check, DatasetVersion, PromptTemplate
from jobs import running
from jobs.choices import JobStatus

# As sessions have it, unless the user chooses otherwise.
MAX_TOKENS = 2048
DEFAULT_PROMPT = "GRPO default"
OPEN = [JobStatus.QUEUED, JobStatus.RUNNING]


def start(
    version: DatasetVersion,
    by: AnyUser | None,
    *,
    model: str = "",
    system_prompt: str | None = None,
    max_tokens: int = MAX_TOKENS,
) -> Check:
    """Queues a check, or returns the one that asks the same and is open or done."""
    request = {
        "model": model or default_model(),
        "system_prompt": default_prompt() if system_prompt is None else system_prompt,
        "max_tokens": max_tokens,
    }
    with transaction.atomic():
        # Two clicks on the button start one check.
        version = DatasetVersion.objects.select_for_update().select_related("dataset").get(pk=version.pk)
        key = key_of(version, request)
        same: Check | None = version.checks.filter(key=key, status__in=[*OPEN, JobStatus.READY]).first()
        if same:
            return same
        check: Check = Check.objects.create(
            team_id=version.dataset.team_id,
            created_by_id=by.pk if by else None,
            version=version,
            request=request,
            key=key,
        )
        ring(check)
    return check


def start_first(version: DatasetVersion) -> None:
    """The report that every new version gets by itself, once it is there for good."""
    # robust: the version is stored, whatever becomes of its report.
    transaction.on_commit(lambda: start(version, version.dataset.created_by), robust=True)


def key_of(version: DatasetVersion, request: dict[str, Any]) -> str:
    asked = [version.sha256, version.mapping, version.split, request]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def ring(check: Check) -> None:
    from datasets_app.tasks import run_check

    transaction.on_commit(lambda: run_check(str(check.pk)), robust=True)


def cancel(check: Check) -> bool:
    """True if it was still open. Its worker ends the child within a second."""
    return running.cancel(check)


def newest(version: DatasetVersion) -> Check | None:
    """The check that a page tells of: one that runs, failed or was cancelled counts as much as one that is done."""
    return version.checks.first()


def newest_report(version: DatasetVersion) -> Check | None:
    """The last that came to its end. The mapping may have changed since: see is_current()."""
    return version.checks.filter(status=JobStatus.READY).first()


def is_current(check: Check, version: DatasetVersion) -> bool:
    """Whether the check was made under the version's mapping and split as they are now."""
    return check.key == key_of(version, check.request)


def default_model() -> str:
    """The first of the offered models whose tokenizer is on this machine, else the first."""
    names = [name for name, _ in chat_rendering.offered_models()]
    return next((name for name in names if tokenizer_of(name)), names[0] if names else "")


def tokenizer_of(model: str) -> Any:
    """The path of the model's tokenizer.json, None where it is not on this machine."""
    chat = chat_rendering.chat_for(model)
    return chat.folder / "tokenizer.json" if chat_rendering.has_tokenizer(chat) and chat.folder else None


def default_prompt() -> str:
    shipped = PromptTemplate.objects.filter(team=None, name=DEFAULT_PROMPT).first()
    return shipped.rendered if shipped else ""


def badge(version: DatasetVersion, check: Check | None) -> dict[str, Any]:
    """What the tab of the validation report warns of: {} if there is nothing."""
    if not version.accepted:
        means = "line to decide on" if version.rejected_count == 1 else "lines to decide on"
        return {"count": version.rejected_count, "tone": "warn", "means": means}
    if check and check.status == JobStatus.FAILED:
        return {"count": 1, "tone": "bad", "means": "the check failed"}
    done = check if check and check.status == JobStatus.READY else newest_report(version)
    found = [one for one in findings.of(version, done.report) if one["severity"] != "note"] if done else []
    if not found:
        return {}
    bad = any(finding["severity"] == "error" for finding in found)
    return {"count": len(found), "tone": "bad" if bad else "warn", "means": "findings"}
