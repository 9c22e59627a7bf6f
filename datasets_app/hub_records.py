"""What the hub said about its datasets, kept so that they can be looked at and imported while it can't be reached.

`cache/huggingface/<scope>/` holds the records and the files that were downloaded. The scope "public" is shared; what
only a token opened is kept in a scope of the team that owns it, so that no other team gets it from here.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

PUBLIC = "public"


def scope_of_team(team: Any) -> str:
    return f"team-{team}"


def remember(root: Path, scope: str, description: dict[str, Any], revision: str, config: str) -> None:
    """Under what was asked for (`main`, the default config) and under what it means now (the commit, its name)."""
    commit, name = description["commit"], description["config"]
    for key in {(revision, config), (revision, name), (commit, config), (commit, name)}:
        write(record(root, scope, description["repo"], *key), description)


def remembered(root: Path, scope: str, repo: str, revision: str, config: str) -> dict[str, Any] | None:
    """What the team may see: its own records come first, then those of everybody."""
    for place in (scope, PUBLIC):
        file = record(root, place, repo, revision, config)
        if file.is_file():
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return found
    return None


def record(root: Path, scope: str, repo: str, revision: str, config: str) -> Path:
    digest = hashlib.sha256(json.dumps([repo.lower(), revision, config]).encode()).hexdigest()
    return root / scope / "described" / f"{digest}.json"


def write(file: Path, value: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    made = file.with_suffix(f".{os.getpid()}.tmp")
    made.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    made.replace(file)


def files_folder(root: Path, description: dict[str, Any]) -> Path:
    return root / str(description["scope"]) / "hub"


def is_stored(root: Path, description: dict[str, Any], path: str) -> bool:
    """Whether a file of the repository lies here, where huggingface_hub puts it."""
    folder = "datasets--" + description["repo"].replace("/", "--")
    return (files_folder(root, description) / folder / "snapshots" / description["commit"] / path).exists()
