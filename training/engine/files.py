"""Folders that are whole or not there: written under another name, synced, described by a manifest, renamed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "MANIFEST.json"


@dataclass(frozen=True)
class Published:
    path: Path
    bytes: int
    sha256: str


def sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)


def write_json(file: Path, data: Any) -> None:
    """Replaces `file` in one step."""
    unfinished = file.with_name(f".{file.name}.part")
    unfinished.write_text(json.dumps(data, indent=2))
    sync(unfinished)
    unfinished.replace(file)
    sync(file.parent)


@contextmanager
def unfinished_folder(parent: Path) -> Iterator[Path]:
    """A folder that is gone afterwards, unless it was renamed."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, target: Path, **facts: Any) -> Published:
    """Seals `folder` with a manifest (sha256 and size of each file, and `facts`) and renames it to `target`."""
    entries: dict[str, dict[str, Any]] = {}
    for file in files_in(folder):
        sync(file)
        entries[str(file.relative_to(folder))] = {"sha256": sha256_of(file), "bytes": file.stat().st_size}
    write_json(folder / MANIFEST, {**facts, "files": entries})
    digest = sha256_of(folder / MANIFEST)
    # mkdtemp's folder is its owner's alone.
    folder.chmod(0o755)
    replace_folder(folder, target)
    return Published(target, sum(entry["bytes"] for entry in entries.values()), digest)


def replace_folder(folder: Path, target: Path) -> None:
    # A folder can't be renamed onto a full one, so the old one steps aside first.
    aside = target.with_name(f".{target.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if target.exists():
        target.rename(aside)
    folder.rename(target)
    sync(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def damage(folder: Path) -> str | None:
    """What is wrong with a published folder, or None if every file is as its manifest says."""
    try:
        entries: dict[str, dict[str, Any]] = json.loads((folder / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError):
        return "its manifest is missing or unreadable"
    for name, entry in entries.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if sha256_of(file) != entry["sha256"]:
            return f"{name} has changed"
    return None
