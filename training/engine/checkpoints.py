"""Checkpoints that can be trusted: published whole, verified before use, older ones kept until then.

No torch here: the web process lists them, and prepares a resume from any of them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from training.engine.files import MANIFEST, damage

NAME = re.compile(r"^(pretraining|training)-(\d+)$")
PHASES = ["pretraining", "training"]
# The adapter after the SFT warm-up, in the session's folder.
WARM_UP = "warm_up"


def checkpoints_folder(folder: Path) -> Path:
    return folder / "checkpoints"


def checkpoint_path(folder: Path, phase: str, step: int) -> Path:
    return checkpoints_folder(folder) / f"{phase}-{step:08d}"


def step_of(path: Path) -> int:
    match = NAME.match(path.name)
    return int(match[2]) if match else 0


def published(folder: Path, phase: str) -> list[Path]:
    """The checkpoints of a phase, newest first."""
    found = [path for path in checkpoints_folder(folder).glob(f"{phase}-*") if NAME.match(path.name)]
    return sorted(found, key=step_of, reverse=True)


def newest_verified(folder: Path, phase: str, report: Callable[[str], None]) -> Path | None:
    """The newest checkpoint whose files are as they were written. Damaged ones are renamed, so that nothing takes them
    for good later, and reported."""
    for path in published(folder, phase):
        problem = damage(path)
        if problem is None:
            return path
        quarantine(path)
        report(f"Checkpoint {path.name} is damaged ({problem}). It is set aside; an older one is used.")
    return None


def quarantine(path: Path) -> None:
    aside = path.with_name(f"damaged-{path.name}")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)


def rotate(folder: Path, phase: str, keep: int) -> None:
    """The newest `keep` stay, and the best beside them, if it is older."""
    found = published(folder, phase)
    kept = {*found[:keep], best(found)}
    for path in found:
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def best(found: list[Path]) -> Path | None:
    """With the highest mean reward of the steps since the checkpoint before it; of equals the newest."""
    rewards = {path: reward for path in found if (reward := reward_of(path)) is not None}
    return max(rewards, key=lambda path: (rewards[path], step_of(path)), default=None)


def reward_of(path: Path) -> float | None:
    try:
        reward = json.loads((path / MANIFEST).read_text()).get("reward")
    except (OSError, ValueError):
        return None
    return float(reward) if isinstance(reward, int | float) else None


def named(folder: Path, name: str) -> Path | None:
    """The published checkpoint of that name, which may come from a form."""
    path = checkpoints_folder(folder) / name
    return path if NAME.match(name) and path.is_dir() else None


def set_later_ones_aside(chosen: Path) -> list[Path]:
    """Renames every checkpoint after `chosen`, so that a run goes on from it. Returns what may be removed."""
    folder = chosen.parent
    later = [path for path in folder.iterdir() if NAME.match(path.name) and place(path) > place(chosen)]
    warm_up = folder.parent / WARM_UP
    if place(chosen)[0] == 0 and warm_up.is_dir():
        later.append(warm_up)
    return [renamed(path, folder / f".unfinished-left-{path.name}") for path in later]


def place(path: Path) -> tuple[int, int]:
    """In the order of a run."""
    return PHASES.index(path.name.split("-")[0]), step_of(path)


def renamed(path: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    return path.rename(to)


def remove_unfinished(folder: Path) -> None:
    """What a killed attempt left half written."""
    for path in [*checkpoints_folder(folder).glob(".unfinished-*"), *folder.glob(".unfinished-*")]:
        shutil.rmtree(path, ignore_errors=True)
