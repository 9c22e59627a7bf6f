"""Row 12: a disk that fills while a checkpoint is written or between steps, and has room again later. The folder of the
outputs lies on a small file system in memory, which takes the right to mount one."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chaos._engine import BALLAST
from tests.chaos._stack import Stack, examine, result, stack, wait
from training.engine.files import damage

SECONDS = 300
SIZE_MB = 64


def run(seed: int = 1, fills: int = 25, broken: str = "") -> dict[str, Any]:
    """`broken` = "space" is the negative control: a session that a full disk ended fails."""
    dice = random.Random(seed)
    steps = 60 * fills + 40
    with small_disk() as disk, stack(CHAOS_BREAK=broken, LORACRAFT_MIN_FREE_MB="8") as running:
        (running.data / "outputs").symlink_to(disk)
        [session] = running.queue(1, steps, save_every=5)
        running.start_worker()
        damaged = sum(filled(running, session, disk, dice) for _ in range(fills))
        running.wait_for_ends([session], SECONDS + steps)
        found = examine(running, [session], steps) | {"damaged_checkpoints": damaged}
    return result(f"1 session of {steps} steps on {SIZE_MB} MB", fills, found)


def filled(running: Stack, session: str, disk: Path, dice: random.Random) -> int:
    """Damaged checkpoints that a reader would have found while the disk was full."""
    running.wait_for_lines(session, dice.randint(12, 30), SECONDS)
    folder = running.folder(session) / "checkpoints"
    if dice.random() < 0.5:
        wait(lambda: running.is_saving(session), SECONDS, "a checkpoint")
    leave = dice.randrange(BALLAST)

    def full() -> bool:
        # Again and again: a checkpoint that still fitted makes room by the older one it replaces.
        fill(disk, leave)
        return paused(running, session)

    wait(full, SECONDS, "the pause")
    damaged = sum(damage(path) is not None for path in folder.glob("training-*"))
    (disk / "filler").unlink()
    return damaged


def paused(running: Stack, session: str) -> bool:
    query = "select status, phase from training_session where id = ?"
    status, phase = running.rows(query, session)[0]
    if status == "failed":
        raise RuntimeError(f"The session failed: {running.status(session)[2]}")
    return bool(status == "queued" and phase == "Paused: the disk is full")


def fill(disk: Path, leave: int) -> None:
    with (disk / "filler").open("ab", buffering=0) as file:
        while room := max(shutil.disk_usage(disk).free - leave, 0):
            try:
                if not file.write(b"\0" * min(room, 2**20)):
                    return
            except OSError:
                return


@contextmanager
def small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="loracraft-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()
