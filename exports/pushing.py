"""Sends an export to the hub. Runs in the child process `manage.py push_export` only.

The token is read from the database here, and is only ever in this process's memory. Files go one after the other, then
one commit names them all: a repository never shows half an export. What the hub has already is not sent again, so that
an attempt after a killed one goes on where that one ended.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accounts import secrets
from exports import building
from exports.models import Push
from exports.problems import ExportProblem
from exports.pushes import UNAUTHORISED
from jobs import running

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

log = logging.getLogger(__name__)


def send(push: Push) -> None:
    """Records the outcome. Raises running.Lost."""
    try:
        running.finish(push, url=_send(push))
    except running.Lost:
        raise
    except (ExportProblem, secrets.SecretProblem) as problem:
        running.fail(push, str(problem))
    except Exception as error:
        # Its text may hold what was sent: only its kind is told.
        log.error("Push %s failed: %s", push.pk, type(error).__name__)
        running.fail(push, explained(error, push.repository).sentence)


def _send(push: Push) -> str:
    from huggingface_hub import HfApi

    token = secrets.value_of(push.team, secrets.HUGGINGFACE)
    if not token:
        raise ExportProblem(UNAUTHORISED)
    hub = HfApi(token=token)
    running.report(push, 0.01, "Asking the hub who the token belongs to")
    check_owner(hub.whoami(), push.repository)
    running.report(push, 0.03, "Making the repository")
    made = hub.create_repo(push.repository, private=push.private, exist_ok=True)
    files = _files(push)
    _upload(hub, push, files)
    running.report(push, 0.98, "Publishing the files")
    hub.create_commit(push.repository, files, commit_message="Export of LoRA Craft")
    return str(made)


def check_owner(account: dict[str, Any], repository: str) -> None:
    """Raises ExportProblem where the hub would refuse, in words that say why."""
    if account.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise ExportProblem("The team's token may only read.", "Make one with the right to write, under Team.")
    owner = repository.partition("/")[0]
    known = [str(account.get("name")), *(str(each.get("name")) for each in account.get("orgs") or [])]
    if owner.lower() not in map(str.lower, known):
        raise ExportProblem(f"The team's token belongs to {known[0]}, who can't write to {owner}.", _may_use(known))


def _may_use(names: list[str]) -> str:
    return f"Write {' or '.join(f'{name}/…' for name in names[:5])}."


def _files(push: Push) -> list[CommitOperationAdd]:
    from huggingface_hub import CommitOperationAdd

    folder = building.artefact_folder(push.export)
    missing = [entry["name"] for entry in push.export.files if not (folder / entry["name"]).is_file()]
    if missing:
        raise ExportProblem(f"{missing[0]} of this export is gone.", "Delete it and export again.")
    return [CommitOperationAdd(entry["name"], folder / entry["name"]) for entry in push.export.files]


def _upload(hub: HfApi, push: Push, files: list[CommitOperationAdd]) -> None:
    whole, sent = max(push.export.size or 0, 1), 0
    for file in files:
        running.report(push, 0.05 + 0.9 * sent / whole, f"Sending {file.path_in_repo}")
        # Its memory is no matter: these are files. What is emptied would not be committed.
        hub.preupload_lfs_files(push.repository, additions=[file], free_memory=False)
        sent += Path(str(file.path_or_fileobj)).stat().st_size


def explained(error: Exception, repository: str) -> ExportProblem:
    import httpx
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return ExportProblem("HF_HUB_OFFLINE forbids it.", "Take it out of the worker's environment.")
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, HfHubHTTPError | httpx.TransportError):
        cause = cause.__cause__
    if isinstance(cause, httpx.TransportError):
        return ExportProblem("The hub can't be reached.", "Try again later: what was sent is kept there.")
    status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else 0
    told = {
        401: ExportProblem("The hub does not know the team's token.", "An owner enters a new one under Team."),
        403: ExportProblem(
            f"The team's token may not write to {repository}.",
            "It may only read, or the repository is another's. Choose another name, or enter another token.",
        ),
        404: ExportProblem(f"The hub has no {repository} that the token may write to.", "Check the owner's name."),
        409: ExportProblem(f"{repository} was changed by somebody else just now.", "Try again."),
        429: ExportProblem("The hub wants fewer requests.", "Try again in some minutes."),
    }
    unknown = f"The hub refused it (status {status})." if status else f"The push failed: {type(error).__name__}."
    return told.get(status, ExportProblem(unknown, "Try again later: what was sent is kept there."))
