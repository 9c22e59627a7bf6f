"""A person stops the real trainer in the middle of an answer of thousands of tokens: it has ended within 15 s, and goes
on afterwards."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from tests.chaos._stack import Stack, result, stack, wait
from tests.chaos.real_kills import REAL, SECONDS
from training.engine import beats

MOST_SECONDS = 15.0


def run(stops: int = 5, broken: str = "") -> dict[str, Any]:
    """`broken` = "deaf" is the negative control: the trainer looks for no stop sign."""
    from tests.exports import tiny

    with stack(CHAOS_BREAK=broken, CHAOS_NEW_TOKENS="3000", **REAL) as running:
        folder = running.data / "tiny"
        folder.mkdir()
        running.env["CHAOS_MODEL"] = str(with_long_context(Path(tiny.model(folder))))
        [session] = running.queue(1, 1000, save_every=1000)
        running.start_worker()
        took = [stopped(running, session, last=number == stops - 1) for number in range(stops)]
        query = "select step from training_event where session_id = ? and kind = 'checkpoint'"
        saved = [row[0] for row in running.rows(query, session)]
    found = {"too_slow": sum(each > MOST_SECONDS for each in took), "not_stopped": sum(each < 0 for each in took)}
    return result("answers of up to 3,000 tokens", stops, found, seconds_to_end=took, checkpoints_at=saved)


def with_long_context(model: Path) -> Path:
    """Its positions are rotations, so it reads as far as its config says."""
    file = model / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "max_position_embeddings": 4096}))
    return model


def stopped(running: Stack, session: str, *, last: bool) -> float:
    wait(lambda: doing(running, session) == beats.GENERATING, SECONDS, "a rollout")
    time.sleep(1)
    began = time.monotonic()
    # What the button does to the row, without a start of Django on the clock.
    with sqlite3.connect(running.data / "db.sqlite3", timeout=20) as database:
        database.execute("update training_session set stop_requested_at = datetime('now')")
    wait(lambda: running.status(session)[0] == "stopped", SECONDS, "the end")
    seconds = round(time.monotonic() - began, 1)
    (running.folder(session) / beats.FILE).unlink()
    if not last:
        running.manage("resume", session)
    return seconds


def doing(running: Stack, session: str) -> str:
    sign = beats.last_beat(running.folder(session))
    return sign[0] if sign else ""
