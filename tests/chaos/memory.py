"""Row 13: trainers that ask for more memory than they may have, and others that are killed as the kernel does it, while
another session goes on beside them."""

from __future__ import annotations

import json
from typing import Any

from tests.chaos._stack import Stack, as_json, examine, result, stack


def run(runs: int = 10, broken: str = "") -> dict[str, Any]:
    """`broken` = "memory" is the negative control: without smaller passes it does not fit a second time, either."""
    steps = 30
    traps = json.dumps([{"at": 12, "do": "memory", "always": True}])
    environment = {"LORACRAFT_MAX_SESSIONS": "3", "LORACRAFT_WORKER_THREADS": "6"}
    with stack(CHAOS_BREAK=broken, CHAOS_TRAPS=traps, **environment) as running:
        ids = running.queue(runs, steps, save_every=5)
        running.start_worker()
        running.wait_for_ends(ids, 1200)
        found = examine(running, ids, steps)
        found["not_called_that"] = runs - sum(called_out_of_memory(running, session) for session in ids)
        found["not_in_two_attempts"] = sum(running.status(session)[1] != 2 for session in ids)
    return result(f"{runs} sessions, 3 at once", runs, found)


def called_out_of_memory(running: Stack, session: str) -> bool:
    query = "select data from training_event where session_id = ? and kind = 'error'"
    return any("ran out of memory" in as_json(data)["message"] for (data,) in running.rows(query, session))
