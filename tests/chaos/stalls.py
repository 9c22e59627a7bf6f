"""Trainers that hang: in a regular expression that holds the interpreter, in a sleep, and frozen from outside. Each is
found by its missing sign of life, shows its stacks in the log where it still can, and goes on from its checkpoint."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.chaos._stack import Stack, as_json, examine, result, stack

LIMIT = 3


def run(seed: int = 1, stalls: int = 12, seconds: int = 900, broken: str = "") -> dict[str, Any]:
    """`broken` = "watchdog" is the negative control: nothing ends a trainer that hangs."""
    dice = random.Random(seed)
    traps = [{"at": 12 + 20 * number, "do": dice.choice(["hold", "sleep", "freeze"])} for number in range(stalls)]
    steps = 20 * stalls + 15
    with stack(CHAOS_BREAK=broken, CHAOS_TRAPS=json.dumps(traps), CHAOS_STALL_SECONDS=str(LIMIT)) as running:
        [session] = running.queue(1, steps, save_every=5)
        running.start_worker()
        running.wait_for_ends([session], seconds)
        found = examine(running, [session], steps)
        alarms, shown = told(running, session)
    found |= {"alarms_missing": stalls - alarms, "stacks_missing": stalls - freezes(traps) - shown}
    return result(f"1 session of {steps} steps", stalls, found, limit_seconds=LIMIT)


def freezes(traps: list[dict[str, Any]]) -> int:
    """A frozen process can show nothing."""
    return sum(trap["do"] == "freeze" for trap in traps)


def told(running: Stack, session: str) -> tuple[int, int]:
    query = "select kind, data from training_event where session_id = ? and kind in ('error', 'log')"
    events = [(kind, as_json(data)) for kind, data in running.rows(query, session)]
    alarms = sum(kind == "error" and "stalled" in data for kind, data in events)
    shown = sum("_engine.py" in data.get("message", "") for kind, data in events if kind == "log")
    return alarms, shown
