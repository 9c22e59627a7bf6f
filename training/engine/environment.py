"""What a run depends on besides its config: versions, hardware, the program's own commit. Nothing of it names the
machine, its folders or its users."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from training.engine import loading

PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "accelerate",
    "tokenizers",
    "safetensors",
    "numpy",
    "django",
    "unsloth",
    "bitsandbytes",
)
ROOT = Path(__file__).resolve().parents[2]
GIT_SECONDS = 5


def versions() -> dict[str, str]:
    """Of Python and of the packages that are installed. Imports none of them."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def program() -> dict[str, Any]:
    """{"version", "commit", "changed"}: the last two are None without a git checkout; changed: files differ from it."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no") if commit else None
    return {"version": _own_version(), "commit": commit, "changed": None if changed is None else bool(changed)}


def _own_version() -> str | None:
    try:
        return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError):
        return None


def _git(*command: str) -> str | None:
    if not (ROOT / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *command], cwd=ROOT, capture_output=True, text=True, timeout=GIT_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def processor() -> dict[str, Any]:
    """Without torch. `ram` in bytes."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cpu_count": os.cpu_count(),
        # What precision “auto” goes by.
        "cpu_bf16": loading.cpu_computes_in_bf16(),
        "ram": psutil.virtual_memory().total,
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor()


def accelerator() -> dict[str, Any]:
    """What torch computes on: {"device", "name", "memory" in bytes, "count", "cuda", "cudnn", "threads"}."""
    import torch

    found: dict[str, Any] = {"device": "cpu", "name": "", "memory": None, "count": 0}
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        found = {"device": "cuda", "name": card.name, "memory": card.total_memory, "count": torch.cuda.device_count()}
    cudnn = torch.backends.cudnn.version() if torch.version.cuda else None
    return {**found, "cuda": torch.version.cuda, "cudnn": cudnn, "threads": torch.get_num_threads()}


def describe() -> dict[str, Any]:
    """In the process that trains."""
    return {
        "program": program(),
        "versions": versions(),
        "hardware": {**processor(), **accelerator()},
        "unsloth_used": "unsloth" in sys.modules,
    }


def sentence(found: dict[str, Any]) -> str:
    """A line of the log."""
    named = found["versions"]
    words = [f"{name} {named[name]}" for name in ("python", "torch", "transformers", "trl", "peft") if name in named]
    commit = found["program"]["commit"]
    return f"LoRA Craft {found['program']['version']}{f' ({commit[:10]})' if commit else ''} with {', '.join(words)}."
