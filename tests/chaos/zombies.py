"""Row 8: a worker that is paused for longer than its lease while another takes over, and comes back; and eight workers
that claim the same session at once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from typing import Any

from tests import services
from tests.chaos._stack import ROOT, Stack, examine, result, stack, wait
from tests.pausing import pause

SECONDS = 300
LEASE = 2


def run(seed: int = 1, rounds: int = 20, races: int = 200, workers: int = 8, broken: str = "") -> dict[str, Any]:
    """`broken` is the negative control: "fence" or "claim"."""
    paused, found = pauses(random.Random(seed), rounds, broken) if rounds else (0, {})
    found["double_claims"] = raced(races, workers, broken) if races else 0
    load = f"{rounds} pauses of {3 * LEASE} s, {workers} workers for {races} sessions"
    return result(load, paused + races, found)


def pauses(dice: random.Random, rounds: int, broken: str) -> tuple[int, dict[str, int]]:
    """The paused worker and its trainer are on another machine in every second round, where nobody can end them."""
    steps = 150 * rounds + 50
    with stack(CHAOS_BREAK=broken, CHAOS_BOOT="0", CHAOS_SECONDS="0.03") as running:
        [session] = running.queue(1, steps, save_every=5)
        running.start_worker()
        stale = sum(paused(running, session, number, dice) for number in range(rounds))
        running.wait_for_ends([session], SECONDS + steps)
        found = examine(running, [session], steps)
    # An older attempt that could still write would leave lines behind those of a newer one, which nobody reads.
    return rounds, found | {"rows_of_old_attempts": stale}


def paused(running: Stack, session: str, number: int, dice: random.Random) -> int:
    """Rows that the paused attempt wrote after another had taken the session."""
    running.wait_for_lines(session, dice.randint(12, 30), SECONDS)
    attempt = running.status(session)[1]
    old = running.processes.pop("worker")
    trainer = running.trainer(session)
    elsewhere = number % 2 == 1 and trainer is not None
    stopped = [old.pid, *([trainer.pid] if elsewhere and trainer else [])]
    pause(stopped, running.data / "db.sqlite3")
    if elsewhere:
        running.env["CHAOS_BOOT"] = str(number)
    running.start_worker()
    # With its first row all that the old attempt had left in the file is copied, too, and is not held against it.
    wait(lambda: rows_after(running, session, attempt), SECONDS, "another attempt")
    last = newest_of(running, session, attempt)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    running.wait_for_lines(session, 10, SECONDS)
    stale = newest_of(running, session, attempt) - last
    old.send_signal(signal.SIGTERM)
    old.wait(90)
    return stale


def newest_of(running: Stack, session: str, attempt: int) -> int:
    query = "select count(*) from training_event where session_id = ? and attempt = ?"
    return int(running.rows(query, session, attempt)[0][0])


def rows_after(running: Stack, session: str, attempt: int) -> int:
    query = "select count(*) from training_event where session_id = ? and attempt > ?"
    return int(running.rows(query, session, attempt)[0][0])


def raced(races: int, workers: int, broken: str) -> int:
    """Sessions that more than one worker got, on SQLite and on PostgreSQL where there is one."""
    double = claimed_twice(races, workers, broken)
    if services.postgres_programs():
        with services.postgresql() as url:
            double += claimed_twice(races, workers, broken, DATABASE_URL=url)
    return double


def claimed_twice(races: int, workers: int, broken: str, **environment: str) -> int:
    with stack(CHAOS_BREAK=broken, LORACRAFT_MAX_SESSIONS=str(10 * races), **environment) as running:
        ids = running.queue(races, 5)
        command = [sys.executable, "-m", "tests.chaos._racer"]
        racers = [
            subprocess.Popen(command, cwd=ROOT, env=running.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(workers)
        ]
        for racer in racers:
            assert racer.stdout and racer.stdout.readline() == b"ready\n"
        # All of them read the same list at the same moment.
        given = (json.dumps(ids) + "\n").encode()
        for racer in racers:
            assert racer.stdin
            racer.stdin.write(given)
            racer.stdin.flush()
        won = [json.loads(racer.communicate()[0]) for racer in racers]
    counted = [each for claims in won for each in claims]
    return len(counted) - len(set(counted)) + len(set(ids) - set(counted))
