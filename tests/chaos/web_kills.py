"""Row 9: kill -9 of the web process while programs write over the API and a session trains. What was acknowledged is
there afterwards, and training does not notice."""

from __future__ import annotations

import json
import random
import threading
import time
import urllib.error
import urllib.request
from typing import Any

from tests.chaos._stack import Stack, examine, result, stack
from tests.chaos.database_away import token_of

SECONDS = 600


def run(seed: int = 1, kills: int = 20, writers: int = 4, broken: str = "") -> dict[str, Any]:
    """`broken` = "memory only" is the negative control: a server that acknowledges before it has written."""
    dice, steps = random.Random(seed), 400
    with stack(CHAOS_BREAK=broken, CHAOS_SECONDS="0.05") as running:
        token = token_of(running)
        [session] = running.queue(1, steps, save_every=20)
        running.start_worker()
        running.start_web()
        written = Writers(running, token, writers)
        for _ in range(kills):
            time.sleep(dice.uniform(0.5, 3))
            running.kill("web")
            running.start_web()
        acknowledged = written.end()
        there = {row["name"] for row in called(running, token, "GET", "configs/list")["configs"]}
        running.wait_for_ends([session], SECONDS)
        found = examine(running, [session], steps)
        found["attempts_too_many"] = running.status(session)[1] - 1
    found["acknowledged_and_gone"] = len(acknowledged - there)
    return result(f"{len(acknowledged)} acknowledged writes by {writers} programs", kills, found)


class Writers:
    def __init__(self, running: Stack, token: str, count: int) -> None:
        self.running, self.token = running, token
        self.acknowledged: set[str] = set()
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(number,)) for number in range(count)]
        for thread in self.threads:
            thread.start()

    def write(self, number: int) -> None:
        count = 0
        while not self.ended.wait(0.02):
            count += 1
            name = f"{number}-{count}"
            try:
                called(self.running, self.token, "POST", "configs/save", {"name": name, "config": {}})
            except (OSError, ValueError):
                continue
            self.acknowledged.add(name)

    def end(self) -> set[str]:
        self.ended.set()
        for thread in self.threads:
            thread.join()
        return self.acknowledged


def called(running: Stack, token: str, method: str, path: str, body: Any = None) -> Any:
    """Raises OSError (of which HTTPError is one) for everything but an answer of 2xx."""
    headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{running.url}/api/{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)
