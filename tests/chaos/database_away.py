"""Row 10: PostgreSQL is stopped as by a power cut, for a minute, and then every connection is cut, again and again,
while a session trains. Training does not notice; afterwards each step is there once. The API says 503 meanwhile."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

from tests.chaos._servers import Postgres, postgres
from tests.chaos._stack import Stack, examine, result, stack

SECONDS = 600
CUT = (
    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
    " where pid <> pg_backend_pid() and datname is not null"
)


def run(seconds: int = 60, resets: int = 20, broken: str = "") -> dict[str, Any]:
    """`broken` = "away" is the negative control: a trainer that ends when its database does."""
    steps = 20 * seconds + 40 * resets
    with postgres() as server, stack(CHAOS_BREAK=broken, DATABASE_URL=server.url, CHAOS_SECONDS="0.05") as running:
        token = token_of(running)
        running.start_web()
        [session] = running.queue(1, steps, save_every=20)
        running.start_worker()
        running.wait_for_lines(session, 20, SECONDS)
        found = {"bad_answers": away(running, server, session, seconds, token)}
        for _ in range(resets):
            running.wait_for_lines(session, 10, SECONDS)
            running.rows(CUT)
        running.wait_for_ends([session], SECONDS + steps)
        found |= examine(running, [session], steps)
        found["attempts_too_many"] = running.status(session)[1] - 1
    return result(f"1 session of {steps} steps", resets + 1, found, seconds_away=seconds)


def away(running: Stack, server: Postgres, session: str, seconds: int, token: str) -> int:
    """Answers of the API that were anything else than 503 in JSON."""
    server.stop()
    end, bad = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        before = running.lines(session)
        bad += not says_503(running, token)
        time.sleep(1)
        assert running.lines(session) > before, "training stopped while the database was away"
    server.start()
    return bad


def token_of(running: Stack) -> str:
    running.env["LORACRAFT_PASSWORD"] = "correct horse battery"
    running.manage("create_user", "charlie")
    return running.manage("create_api_token", "charlie").split()[-1]


def says_503(running: Stack, token: str) -> bool:
    headers = {"Authorization": f"Token {token}"}
    request = urllib.request.Request(f"{running.url}/api/training/sessions", headers=headers)
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except urllib.error.HTTPError as answer:
        return answer.code == 503 and "error" in json.loads(answer.read())
    return False
