"""Row 5: kill -9 of trainers at random moments, in the middle of writing a checkpoint and while they start, too."""

from __future__ import annotations

import contextlib
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from tests.chaos._stack import Stack, examine, result, stack, wait

# A machine with two cores and much else to do is slow.
SECONDS_TO_GO_ON = 300


def run(
    seed: int = 1, kills: int = 50, sessions: int = 4, steps_a_kill: int = 40, broken: str = "", tail: int = 20
) -> dict[str, Any]:
    """`broken` is the negative control: "supersede" or "verify"."""
    each = -(-kills // sessions)
    steps = each * steps_a_kill + tail
    environment = {"LORACRAFT_MAX_SESSIONS": str(sessions), "LORACRAFT_WORKER_THREADS": str(2 * sessions)}
    with stack(CHAOS_BREAK=broken, **environment) as running:
        ids = running.queue(sessions, steps, save_every=5)
        running.start_worker()
        with ThreadPoolExecutor(sessions) as pool:
            parts = [random.Random(f"{seed} {number}") for number in range(sessions)]
            done = list(pool.map(lambda pair: killed(running, *pair, each, steps_a_kill), zip(ids, parts, strict=True)))
        running.wait_for_ends(ids, 120 + steps)
        found = examine(running, ids, steps)
    how = {name: sum(part[name] for part in done) for name in ("in a step", "in a checkpoint", "at the start")}
    return result(f"{sessions} sessions of {steps} steps", sum(how.values()), found, kills=how)


def killed(running: Stack, session: str, dice: random.Random, kills: int, steps_a_kill: int) -> dict[str, int]:
    how = {"in a step": 0, "in a checkpoint": 0, "at the start": 0}
    at_start = False
    for _ in range(kills):
        # Three attempts in a row without progress end a session, as they should.
        kind = dice.choice([name for name in how if not (at_start and name == "at the start")])
        at_start = kind == "at the start"
        trainer = wait(lambda: running.trainer(session), SECONDS_TO_GO_ON, f"a trainer of {session}")
        if not at_start:
            running.wait_for_lines(session, dice.randint(12, max(13, steps_a_kill // 2)), SECONDS_TO_GO_ON)
        if kind == "in a checkpoint":
            wait(lambda: running.is_saving(session), SECONDS_TO_GO_ON, "a checkpoint")
        how[kind] += 1
        with contextlib.suppress(psutil.NoSuchProcess):
            trainer.kill()
        psutil.wait_procs([trainer], timeout=10)
    return how
