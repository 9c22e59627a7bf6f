"""Which files a model is made of, and one sum over them: the same model has the same one wherever it lies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

BLOCK = 4 * 1024 * 1024
# What loading reads. Other files of the folder (cards, licences, notes) change nothing.
READ = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
COMMIT = re.compile(r"[0-9a-f]{40}")


def files_of(folder: Path) -> list[Path]:
    weights = [path for path in folder.glob("*.safetensors") if path.is_file()]
    return sorted([*weights, *(folder / name for name in READ if (folder / name).is_file())])


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in files_of(folder))


def fingerprint(folder: Path, alive: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """{"sha256": over names and sums of all files, "bytes", "files": {name: {"sha256", "bytes"}}}.

    Reads every file; `alive` is called after each block. Raises OSError.
    """
    files: dict[str, dict[str, Any]] = {
        path.name: {"sha256": _sha256(path, alive), "bytes": path.stat().st_size} for path in files_of(folder)
    }
    lines = "".join(f"{entry['sha256']}  {name}\n" for name, entry in files.items())
    total = sum(entry["bytes"] for entry in files.values())
    return {"sha256": hashlib.sha256(lines.encode()).hexdigest(), "bytes": total, "files": files}


def differing(recorded: dict[str, Any], folder: Path, *, read: bool = True) -> list[str]:
    """Names of the files that are missing, more or other than in a fingerprint; without `read` only sizes count."""
    was = recorded.get("files") or {}
    now = {path.name: path for path in files_of(folder)}
    both = sorted(was.keys() & now.keys())
    return sorted(was.keys() ^ now.keys()) + [name for name in both if _differs(was[name], now[name], read)]


def _differs(entry: dict[str, Any], path: Path, read: bool) -> bool:
    return bool(path.stat().st_size != entry["bytes"] or (read and _sha256(path) != entry["sha256"]))


def _sha256(path: Path, alive: Callable[[], None] = lambda: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            alive()
    return digest.hexdigest()


def folder_of(model_path: str, revision: str | None = None) -> Path | None:
    """Where the files of a folder or of a hub id lie on this machine; None where they don't yet."""
    if Path(model_path).is_absolute():
        return Path(model_path) if Path(model_path).is_dir() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model_path, "config.json", revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def commit_of(folder: Path) -> str | None:
    """The hub's commit, which the hub's cache names its folders by."""
    return folder.name if folder.parent.name == "snapshots" and COMMIT.fullmatch(folder.name) else None
