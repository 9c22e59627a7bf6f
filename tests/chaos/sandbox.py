"""Reward code that attacks: every attempt is contained, and the next batch works (rows 17 and 18 of the plan).

Three parts: all attacks of the tests in a warm process that is used again; programs made at random from dangerous
pieces; and a soak of batches with restarts, for its speed and for what it leaves behind.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any

import psutil

from rewards.sandbox.jail_process import BatchFailed, Jail, SandboxError
from tests.rewards.attacks import DENIALS, ESCAPES

TITLE = "the sandbox holds"
WALL_SECONDS = 1.0
GOOD = "def reward(completions, **columns): return [float(len(text)) for text in completions]\n"
WRAPPED = (
    "\ndef reward(completions, **columns):\n"
    "    return attack() if completions == ['attack'] else [float(len(c)) for c in completions]\n"
)
ESCAPE = (
    "\ndef reward(completions, **columns):\n"
    "    if completions != ['attack']: return [float(len(c)) for c in completions]\n"
    "    return [1.0 if attack() is True else 0.0]\n"
)
PIECES = (
    "import os", "import sys", "import ctypes", "import json", "import gc", "import socket", "import subprocess",
    "os.system('true')", "os.fork()", "os._exit(0)", "open('/etc/passwd').read()", "os.environ.clear()",
    "sys.exit(0)", "json.dumps = None", "[0] * 10**10", "gc.get_objects()", "ctypes.string_at(0)",
    "os.kill(os.getppid(), 9)", "os.kill(os.getpid(), 9)", "os.close(3)", "os.write(4, b'x' * 100)",
    "sys.setrecursionlimit(10**9)", "[None for _ in iter(int, 1)]", "raise BaseException('x' * 10**6)",
    "socket.socket()", "subprocess.run(['true'])", "sys.stdout.write('x' * 10**6)", "globals().clear()",
    "__builtins__.clear()", "os.listdir('/')", "exec('while 1: pass')", "return [1.0] * 3", "return [1.0]",
)  # fmt: skip
BATCHES, RESTARTS, PROGRAMS = 10_000, 200, 1_000
# How long the next batch may take after an attack, a start included.
NEXT_SECONDS = 0.5


def run(seed: int = 1, programs: int = PROGRAMS, batches: int = BATCHES, restarts: int = RESTARTS) -> dict[str, Any]:
    before = descriptors(), children()
    failed = [*attacks(), *made_up(random.Random(seed), programs)]
    soaked = soak(batches, restarts)
    left = {"processes": len(children() - before[1]), "descriptors": descriptors() - before[0]}
    tried = len(ESCAPES) + len(DENIALS) + programs
    return {
        "load": f"{batches:,} batches of 64 answers of 4 kB, {restarts} restarts",
        "faults": restarts,
        "bad_inputs": tried,
        "lost": len(failed) + soaked["wrong"],
        "failed": failed[:20],
        "left_behind": left,
        **soaked,
        "passed": not failed and not soaked["wrong"] and not left["processes"] and left["descriptors"] <= 0,
    }


def attacks() -> list[str]:
    """The names of those that got out, hung, or spoilt the next batch."""
    return [name for name, code in ESCAPES.items() if not contained(code + ESCAPE)] + [
        name for name, code in DENIALS.items() if not contained(code + WRAPPED)
    ]


def made_up(dice: random.Random, count: int) -> list[str]:
    found = []
    for _ in range(count):
        lines = "\n    ".join(dice.choices(PIECES, k=dice.randint(1, 6)))
        code = f"def attack():\n    {lines}\n    return None\n{WRAPPED}"
        if not contained(code):
            found.append(lines)
    return found


def contained(code: str) -> bool:
    """No number comes of the attack, in time; then a good function works, in a process of its own, at once."""
    with Jail(code) as jail:
        began = time.monotonic()
        try:
            values = jail.rewards(["attack"], {}, WALL_SECONDS)
        except BatchFailed as error:
            values = [str(error)]
        in_time = time.monotonic() - began < WALL_SECONDS + 0.5
    # A made-up program may return a valid reward of 1; an escape says 1 only if it got out.
    got_out = values == [1.0] and ESCAPE in code
    with Jail(GOOD) as jail:
        began = time.monotonic()
        fine = jail.rewards(["next", "batch"], {}) == [4.0, 5.0]
    return in_time and not got_out and fine and time.monotonic() - began < NEXT_SECONDS and len(values) == 1


def soak(batches: int, restarts: int) -> dict[str, Any]:
    """A long run of one process that is ended now and then: milliseconds a batch, growth, wrong answers."""
    texts = ["x" * 4096] * 64
    times: list[float] = []
    wrong = 0
    memory = psutil.Process().memory_info().rss
    with Jail(GOOD) as jail:
        for number in range(batches):
            if restarts and number % max(1, batches // restarts) == 0:
                jail.stop()
                jail.start()
            began = time.perf_counter()
            try:
                wrong += jail.rewards(texts, {}) != [4096.0] * 64
            except (BatchFailed, SandboxError):
                wrong += 1
            times.append(1000 * (time.perf_counter() - began))
    times.sort()
    return {
        "wrong": wrong,
        "p50_ms": round(times[len(times) // 2], 2),
        "p99_ms": round(times[int(len(times) * 0.99)], 2),
        "memory_growth_mb": round((psutil.Process().memory_info().rss - memory) / 2**20, 1),
    }


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
