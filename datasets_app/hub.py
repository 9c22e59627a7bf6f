"""Datasets of the Hugging Face hub: what they hold, their first rows, and their import at a pinned commit.

The work is done by a child process (hub_reading.py) with the team's token in its environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import cache

from accounts import secrets
from accounts.models import AnyUser, Team
from datasets_app import hub_records, importing, imports, parsing
from datasets_app.limits import (
    HUB_BYTES,
    HUB_DESCRIBE_SECONDS,
    HUB_PREVIEW_ROWS,
    HUB_REMEMBER_SECONDS,
    MAX_ROWS,
    STALL_SECONDS,
    readable,
)
from datasets_app.models import Dataset, DatasetVersion, Import, ImportKind, Source
from datasets_app.problems import DatasetProblem
from jobs import running
from jobs.choices import JobStatus
from loracraft.numbers import thousands

MODULE = "datasets_app.hub_reading"
PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
ID = re.compile(rf"(?:{PART}/)?{PART}")
ADDRESS = re.compile(r"https?://[^/]+/datasets/(?P<repo>[^/?#]+(?:/[^/?#]+)?)")
REVISION = re.compile(r"(?!.*\.\.)[\w][\w./-]{0,199}", re.ASCII)
# What whoever runs the server may have set for himself: no team works with it.
OTHER_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "HF_TOKEN_PATH")


def page_of(repo: str) -> str:
    return f"{os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')}/datasets/{repo}"


def clean_repo(text: str) -> str:
    """The id in what was typed or pasted: `owner/name`, or the address of its page. Raises DatasetProblem."""
    text = text.strip()
    address = ADDRESS.match(text)
    repo = address["repo"] if address else text.strip("/")
    if not ID.fullmatch(repo) or "--" in repo or ".." in repo:
        raise DatasetProblem(
            "Write the id as on its page: owner/name, such as openai/gsm8k. Or paste the page's address.", field="repo"
        )
    return repo


def clean_revision(text: str) -> str:
    text = text.strip()
    if text and not REVISION.fullmatch(text):
        raise DatasetProblem("A revision is a branch, a tag or a commit, without spaces.", field="revision")
    return text


def is_id(text: str) -> bool:
    """Whether a config file's dataset can mean one of the hub."""
    return "/" in text and ID.fullmatch(text) is not None


# What pages, commands and API call.


def describe(team: Team, repo: str, config: str = "", revision: str = "") -> dict[str, Any]:
    """{"repo", "commit", "configs", "config", "splits": [{"name", "rows", "bytes", "files"}], "columns", "licence",
    "private", "gated", "modified", "offline": it is what the hub said before, "kept": splits whose files are here}.

    Raises DatasetProblem with the field that is wrong.
    """
    request = {"do": "describe", "config": config.strip(), "revision": clean_revision(revision)}
    answer = remembered(team, {**request, "repo": clean_repo(repo)})
    root = cache_folder()
    kept = [
        split["name"]
        for split in answer["splits"]
        if all(hub_records.is_stored(root, answer, file["path"]) for file in split["files"])
    ]
    return {**answer, "kept": kept}


def preview(
    team: Team, repo: str, config: str = "", split: str = "", revision: str = "", rows: int = HUB_PREVIEW_ROWS
) -> dict[str, Any]:
    """{"split", "columns", "rows": [{column: value}]}, of which little more than these rows is fetched."""
    described = describe(team, repo, config, revision)
    request = {
        "do": "preview",
        "repo": described["repo"],
        "config": described["config"],
        "revision": described["commit"],
        "split": split or default_split(described),
        "rows": rows,
    }
    return remembered(team, request)


def default_split(described: dict[str, Any]) -> str:
    names = [split["name"] for split in described["splits"]]
    return "train" if "train" in names else str(names[0])


def remembered(team: Team, request: dict[str, Any]) -> dict[str, Any]:
    """ask(), or its last answer to this team if that is fresh. A page asks for the same thing several times."""
    token = secrets.find(team, secrets.HUGGINGFACE)
    opened = token.saved_at.isoformat() if token else ""
    digest = hashlib.sha256(json.dumps([team.pk, opened, request], sort_keys=True).encode()).hexdigest()
    key = f"hub-{digest}"
    answer: dict[str, Any] | None = cache.get(key)
    if answer is None:
        answer = ask(team, request, HUB_DESCRIBE_SECONDS)
        if not answer.get("offline"):
            cache.set(key, answer, HUB_REMEMBER_SECONDS)
    return answer


def start(
    team: Team,
    by: AnyUser | None,
    repo: str,
    config: str = "",
    split: str = "",
    revision: str = "",
    rows: int | None = None,
    name: str = "",
    mapping: dict[str, Any] | None = None,
) -> Import:
    """Queues the import of `split` (several with + between them) as it is at this moment. `rows`: only the first ones.

    Raises DatasetProblem with the field that is wrong.
    """
    described = describe(team, repo, config, revision)
    splits = chosen_splits(described, split)
    check_amount(described, splits, rows)
    request = {
        "repo": described["repo"],
        "config": described["config"],
        "split": "+".join(splits),
        "revision": described["commit"],
        "rows": rows,
        "mapping": mapping or {},
    }
    return imports.start(team, by, ImportKind.HUB, name.strip() or default_name(described), request=request)


def default_name(described: dict[str, Any]) -> str:
    name = str(described["repo"]).rpartition("/")[2]
    return f"{name} {described['config']}" if len(described["configs"]) > 1 else name


def chosen_splits(described: dict[str, Any], split: str) -> list[str]:
    wanted = [name.strip() for name in split.split("+") if name.strip()] or [default_split(described)]
    known = [found["name"] for found in described["splits"]]
    for name in wanted:
        if name not in known:
            raise DatasetProblem(
                f"“{described['repo']}” has no split “{name}” in “{described['config']}”. It has: {', '.join(known)}.",
                field="split",
            )
    return list(dict.fromkeys(wanted))


def check_amount(described: dict[str, Any], splits: list[str], rows: int | None) -> None:
    if rows is not None and not 1 <= rows <= MAX_ROWS:
        raise DatasetProblem(f"Ask for 1 to {thousands(MAX_ROWS)} rows, or leave it empty for all.", field="rows")
    total = sum(split["bytes"] for split in described["splits"] if split["name"] in splits)
    if rows is None and total > HUB_BYTES:
        raise DatasetProblem(
            f"These splits take {readable(total)}, and at most {readable(HUB_BYTES)} are downloaded. Say how many rows"
            " you want: no more is fetched than they need.",
            field="rows",
        )


def import_now(team: Team, by: AnyUser | None, repo: str, split: str = "") -> DatasetVersion:
    """The same import, done by a child of this process while the caller waits. Raises DatasetProblem."""
    from datasets_app.tasks import KIND

    job = start(team, by, repo, split=split)
    running.run(KIND, str(job.pk), waits=False)
    # Where a worker runs it may have been quicker.
    while job.status in (JobStatus.QUEUED, JobStatus.RUNNING):
        time.sleep(0.5)
        job.refresh_from_db()
    job.refresh_from_db()
    if job.version is None:
        raise DatasetProblem(job.error or "The import was cancelled.", field="source")
    return job.version


def imported(team: Team, repo: str) -> Dataset | None:
    """The newest dataset that the team made of it."""
    found = Dataset.objects.filter(team=team, source=Source.HUB, source_detail__repo=repo)
    newest: Dataset | None = found.order_by("-created_at").first()
    return newest


def imported_repos(team: Team) -> dict[str, Any]:
    """{repo: id of the newest dataset that the team made of it}."""
    made = Dataset.objects.filter(team=team, source=Source.HUB).order_by("created_at")
    return dict(made.values_list("source_detail__repo", "pk"))


def has_token(team: Team) -> bool:
    return secrets.find(team, secrets.HUGGINGFACE) is not None


# What the import's process does.


def import_rows(job: Import, folder: Path, progress: imports.Progress) -> DatasetVersion:
    wanted = job.request
    request = {
        "do": "read",
        **{key: wanted[key] for key in ("repo", "config", "revision", "rows")},
        "splits": wanted["split"].split("+"),
        "folder": str(folder),
    }
    progress(0, 0, 0, "Asking the hub")
    answer = ask(job.team, request, STALL_SECONDS, lambda told: progress(*told["progress"]))
    fetched = folder / answer["file"]
    stored = parsing.store_file(fetched, folder, answer["file"], progress)
    fetched.unlink(missing_ok=True)
    version = importing.as_version(folder, stored, job=job)
    detail = {
        "repo": answer["repo"],
        "config": answer["config"],
        "split": wanted["split"],
        "revision": answer["commit"],
        "licence": answer["licence"],
    }
    return importing.add_dataset(
        version, job.team, job.created_by, job.name, Source.HUB, detail, job, known=wanted.get("mapping")
    )


# How the child is asked.


def ask(
    team: Team, request: dict[str, Any], seconds: int, heard: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Raises DatasetProblem for everything that the hub or its files refuse."""
    whole = {**request, "cache": str(cache_folder()), "scope": hub_records.scope_of_team(team.pk)}
    told = parsing.answer_of(
        MODULE, stall_seconds=seconds, heard=heard, request=json.dumps(whole).encode(), environment=environment(team)
    )
    if told is None or not told.keys() & {"answer", "problem"}:
        raise DatasetProblem(
            f"The hub did not answer in time, or its files took more memory than allowed. Try again later: what was"
            f" fetched of {request['repo']} is kept.",
            field="repo",
        )
    if "problem" in told:
        raise DatasetProblem(told["problem"], field=told["field"])
    answer: dict[str, Any] = told["answer"]
    return answer


def environment(team: Team) -> dict[str, str]:
    try:
        token = secrets.value_of(team, secrets.HUGGINGFACE)
    except secrets.SecretProblem as problem:
        raise DatasetProblem(str(problem), field="repo") from None
    kept = {name: value for name, value in os.environ.items() if name not in OTHER_TOKENS}
    return {**kept, "HF_TOKEN": token} if token else kept


def cache_folder() -> Path:
    return Path(settings.CACHE_DIR) / "huggingface"
