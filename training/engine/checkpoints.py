"""Checkpoints that can be trusted: published whole, verified before use, older ones kept until then."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from training.engine.files import damage

NAME = re.compile(r"^(pretraining|training)-(\d+)$")


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
    for path in published(folder, phase)[keep:]:
        shutil.rmtree(path, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """What a killed attempt left half written."""
    for path in [*checkpoints_folder(folder).glob(".unfinished-*"), *folder.glob(".unfinished-*")]:
        shutil.rmtree(path, ignore_errors=True)
