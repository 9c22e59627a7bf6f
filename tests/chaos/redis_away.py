"""Row 11: Redis is killed for a minute and emptied, while one session trains and others are queued. No session is lost:
the queue only says "look again"."""

from __future__ import annotations

import time
from typing import Any

import redis as client

from tests.chaos._servers import redis
from tests.chaos._stack import examine, result, stack

SECONDS = 600


def run(seconds: int = 60, flushes: int = 5, broken: str = "") -> dict[str, Any]:
    """`broken` = "bell" is the negative control: a queue that is believed."""
    steps = 200
    with redis() as server, stack(CHAOS_BREAK=broken, REDIS_URL=server.url, CHAOS_SECONDS="0.05") as running:
        ids = running.queue(2, steps, save_every=20)
        running.start_worker()
        running.wait_for_lines(ids[0], 20, SECONDS)
        server.stop()
        ids += running.queue(1, steps, save_every=20)
        time.sleep(seconds)
        server.start()
        for _ in range(flushes):
            ids += running.queue(1, steps, save_every=20)
            client.Redis.from_url(server.url).flushall()
        running.wait_for_ends(ids, SECONDS)
        found = examine(running, ids, steps)
        found["attempts_too_many"] = sum(running.status(session)[1] - 1 for session in ids)
    return result(f"{len(ids)} sessions of {steps} steps", flushes + 1, found, seconds_away=seconds)
