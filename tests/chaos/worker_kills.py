"""Rows 6 and 14: kill -9 of the worker, alone and with everything below it; a machine that restarts: everything is
killed at once, and the boot id is a new one; SIGTERM."""

from __future__ import annotations

import random
import signal
from typing import Any

from tests.chaos._stack import Stack, all_gone, examine, result, stack

SECONDS = 300
# Below a killed worker nobody may live longer.
SECONDS_TO_DIE = 5


def run(
    seed: int = 1, parents: int = 25, trees: int = 25, restarts: int = 10, terms: int = 5, broken: str = ""
) -> dict[str, Any]:
    """`broken` is the negative control: "parent" (orphans) or "reap" (sessions that nobody takes back)."""
    dice = random.Random(seed)
    kinds = ["parent"] * parents + ["tree"] * trees + ["restart"] * restarts + ["term"] * terms
    dice.shuffle(kinds)
    steps = 60 * len(kinds) + 40
    with stack(CHAOS_BREAK=broken, CHAOS_BOOT="0", CHAOS_SECONDS="0.03") as running:
        [session] = running.queue(1, steps, save_every=5)
        running.start_worker()
        orphans = 0
        for number, kind in enumerate(kinds):
            running.wait_for_lines(session, dice.randint(12, 40), SECONDS)
            orphans += end(running, kind)
            if kind == "restart":
                running.env["CHAOS_BOOT"] = str(number + 1)
            running.start_worker()
        running.wait_for_ends([session], SECONDS + steps)
        found = examine(running, [session], steps) | {"orphans": orphans}
    return result(f"1 session of {steps} steps", len(kinds), found, kills={kind: kinds.count(kind) for kind in kinds})


def end(running: Stack, kind: str) -> int:
    """How many of its processes outlived it."""
    if kind == "term":
        return terminated(running)
    if kind == "restart" and "web" in running.processes:
        running.kill("web", tree=True)
    return all_gone(running.kill("worker", tree=kind != "parent"), SECONDS_TO_DIE)


def terminated(running: Stack) -> int:
    worker = running.processes.pop("worker")
    below = [each for each in running.left() if each.pid != worker.pid]
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    return all_gone(below, SECONDS_TO_DIE)
