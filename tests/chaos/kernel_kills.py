"""Row 13, by the kernel itself: trainers that fill a control group of memory. It takes the right to make one."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from tests.chaos._engine import memory_group
from tests.chaos._stack import Stack, as_json, examine, result, stack


def run(runs: int = 10, broken: str = "") -> dict[str, Any]:
    """`broken` = "memory" is the negative control: without smaller passes it is killed a second time."""
    steps = 30
    traps = json.dumps([{"at": 12, "do": "crowd", "always": True}])
    environment = {"LORACRAFT_MAX_SESSIONS": "2", "LORACRAFT_WORKER_THREADS": "6"}
    try:
        with stack(CHAOS_BREAK=broken, CHAOS_TRAPS=traps, **environment) as running:
            ids = running.queue(runs, steps, save_every=5)
            running.start_worker()
            running.wait_for_ends(ids, 1200)
            found = examine(running, ids, steps)
            found["not_called_that"] = runs - sum(said_to_be_killed_for_memory(running, session) for session in ids)
            found["not_in_two_attempts"] = sum(running.status(session)[1] != 2 for session in ids)
    finally:
        remove_groups()
    return result(f"{runs} sessions, 2 at once", runs, found)


def said_to_be_killed_for_memory(running: Stack, session: str) -> bool:
    query = "select data from training_event where session_id = ? and kind = 'error'"
    return any("killed because the memory" in as_json(data)["message"] for (data,) in running.rows(query, session))


def available() -> bool:
    group = memory_group("loracraft-chaos-probe")
    if group is not None:
        group[0].rmdir()
    return group is not None


def remove_groups() -> None:
    for parent in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup"):
        for folder in Path(parent).glob("loracraft-chaos-*"):
            # One that still has a process goes with the next run.
            with contextlib.suppress(OSError):
                folder.rmdir()
