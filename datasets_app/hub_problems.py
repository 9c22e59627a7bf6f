"""Every way in which the hub refuses, in words that say what to do. Only the child of hub.py imports this."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import httpx
from huggingface_hub import errors

from datasets_app.problems import DatasetProblem, is_full_disk

NO_NETWORK = (
    errors.OfflineModeIsEnabled,
    errors.LocalEntryNotFoundError,
    httpx.TransportError,
    ConnectionError,
)
UNKNOWN = "The hub does not accept the team's token. An owner has to save a new one, under Team."


class HubAway(Exception):
    """The hub can't be reached now; what is kept here may still do."""


def endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def page(repo: str) -> str:
    return f"{endpoint()}/datasets/{repo}"


def raise_problem(error: Exception, repo: str, revision: str, token: str | None) -> NoReturn:
    """`error`, which came from a library, as what a user can put right; HubAway if there is no way to the hub."""
    if isinstance(error, DatasetProblem | MemoryError) or is_full_disk(error):
        raise error
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if isinstance(error, errors.GatedRepoError):
        raise DatasetProblem(gated(repo, token), field="repo") from error
    if isinstance(error, errors.RevisionNotFoundError):
        raise DatasetProblem(
            f"“{repo}” has no revision “{revision}”. Give a branch, a tag or a commit of its page, or leave it empty.",
            field="revision",
        ) from error
    if isinstance(error, errors.DisabledRepoError):
        raise DatasetProblem(f"The hub has closed “{repo}” for everybody. Choose another dataset.", field="repo")
    # The hub answers 401, too, for what does not exist: a token that it does not know at all is said in words.
    if token and status == 401 and "nvalid" in str(error):
        raise DatasetProblem(UNKNOWN, field="repo") from error
    if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 404):
        raise DatasetProblem(missing(repo, token), field="repo") from error
    raise_other(error, repo, status)


def raise_other(error: Exception, repo: str, status: int) -> NoReturn:
    if isinstance(error, NO_NETWORK) or status >= 500:
        raise HubAway from error
    if status == 429:
        raise DatasetProblem("The hub asks us to wait: too many requests. Try again in a few minutes.", field="repo")
    if status:
        raise DatasetProblem(f"The hub refused to give “{repo}” (status {status}). Try again later.", field="repo")
    raise DatasetProblem(f"“{repo}” can't be read: {reason(error)}", field="repo") from error


def gated(repo: str, token: str | None) -> str:
    if token:
        return (
            f"“{repo}” is gated, and the team's token may not read it. Open {page(repo)} with the account of that token"
            " and accept its terms, then try again. Some owners take days to decide."
        )
    return (
        f"“{repo}” is gated: its owner wants to know who reads it. Open {page(repo)}, sign in and accept its terms,"
        " then save a token of that account under Team."
    )


def missing(repo: str, token: str | None) -> str:
    reason = "the team's token may not read it" if token else "it is private"
    more = "" if token else " For a private one an owner has to save a token under Team."
    return (
        f"The hub has no dataset “{repo}”, or {reason}. Check the id: it is what follows /datasets/ in the address of"
        f" its page.{more}"
    )


def script(repo: str, file: str) -> DatasetProblem:
    return DatasetProblem(
        f"“{repo}” is made by a program ({file}), and programs from the hub never run here. Many such datasets have"
        " their rows as plain files, too: try the revision refs/convert/parquet.",
        field="repo",
    )


def not_one_of(what: str, name: str, known: list[str], repo: str) -> DatasetProblem:
    offered = ", ".join(known[:30]) + (" …" if len(known) > 30 else "")
    return DatasetProblem(f"“{repo}” has no {what} “{name}”. It has: {offered}.", field=what)


def reason(error: BaseException) -> str:
    """The innermost cause in one line: libraries wrap what they have to say."""
    inner: BaseException = error
    while (below := inner.__cause__ or inner.__context__) is not None and not isinstance(below, StopIteration):
        inner = below
    text: Any = " ".join(str(inner).split())
    return text[:300] or type(inner).__name__
