"""Reward code that attacks: every attempt is contained, and the next batch works (rows 17 and 18 of the plan).

On this system, and on others that are imitated (`_confined.py`): as in Docker's default profile without root, without
Landlock, with modules at hand that make attacks easy, and where a protection fails, so that code has to be refused. In
each: all attacks of the tests, programs made at random from dangerous pieces, and a soak of batches with restarts, for
its speed and for what it leaves behind. `--configuration NAME` runs one of them.

The control is the last one: the same attacks, in a jail whose protections are really removed, have to get out.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from rewards.sandbox import jail_process
from rewards.sandbox.jail_process import BatchFailed, Jail, SandboxError
from rewards.sandbox_check import sandbox_is_enforced
from tests.rewards.attacks import CONTAINED_WITHOUT_LOCKS, DENIALS, ESCAPES, OFTEN_FORBIDDEN
from tests.rewards.outside import things_outside

ROOT = Path(__file__).resolve().parents[2]
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


# Of the sizes, in a configuration that only imitates another system.
SHARE = 10


def run(
    seed: int = 1,
    programs: int = PROGRAMS,
    batches: int = BATCHES,
    restarts: int = RESTARTS,
    configuration: str | None = None,
) -> dict[str, Any]:
    from tests.chaos._confined import CONFIGURATIONS

    found = {}
    for name in [configuration] if configuration else CONFIGURATIONS:
        part = 1 if name == "native" else SHARE
        sizes = {"seed": seed, "programs": programs // part, "batches": batches // part, "restarts": restarts // part}
        found[name] = judged(in_configuration(name, sizes), CONFIGURATIONS[name].expected)
    return {
        "load": f"{batches:,} batches of 64 answers of 4 kB, {restarts} restarts, {len(found)} configurations",
        "faults": sum(one.get("restarts", 0) for one in found.values()),
        "bad_inputs": sum(one.get("tried", 0) for one in found.values()),
        "lost": sum(one.get("lost", 1) for one in found.values()),
        "configurations": found,
        "passed": all(one["passed"] for one in found.values()),
    }


def in_configuration(name: str, sizes: dict[str, int]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.chaos._confined", name, json.dumps(sizes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"broken": done.stderr[-2000:]}
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def judged(result: dict[str, Any], expected: str) -> dict[str, Any]:
    """Contained: nothing got out and everything works. Refused: nothing ran, with a reason. Escapes: the control."""
    if expected == "refused":
        lost = int(not (result.get("refused") and result.get("check")))
    elif expected == "escapes":
        lost = len(should_get_out() - set(result.get("failed", [])))
    else:
        left = result.get("left_behind", {"processes": 1})
        lost = len(result.get("failed", ["nothing ran"])) + result.get("wrong", 0)
        lost += left["processes"] + max(0, left.get("descriptors", 0))
    return {**result, "expected": expected, "lost": lost, "passed": not lost and "broken" not in result}


def should_get_out() -> set[str]:
    return ESCAPES.keys() - CONTAINED_WITHOUT_LOCKS - OFTEN_FORBIDDEN


def measured(folder: Path, seed: int, programs: int, batches: int, restarts: int) -> dict[str, Any]:
    """In the process that has been confined."""
    answer = said()
    if "refused" in answer:
        return answer
    before = descriptors(), children()
    failed = [*escapes(folder), *denials()]
    failed += made_up(random.Random(seed), programs)
    soaked = soak(batches, restarts)
    return {
        **answer,
        "tried": len(ESCAPES) + len(DENIALS) + programs,
        "restarts": restarts,
        "failed": failed,
        "left_behind": {"processes": len(children() - before[1]), "descriptors": descriptors() - before[0]},
        **soaked,
    }


def said() -> dict[str, Any]:
    """The layers that hold, or why code is refused and what `manage.py check` says of it."""
    if reason := jail_process.unavailable():
        return {"refused": reason, "check": [str(warning.msg) for warning in sandbox_is_enforced(None)], "tried": 1}
    with Jail() as jail:
        return {"layers": jail.layers}


def control(folder: Path) -> dict[str, Any]:
    """Where the jail has no protection, which attacks get out."""
    return {"failed": escapes(folder), "tried": len(ESCAPES)}


def escapes(folder: Path) -> list[str]:
    """The names of those that got out, hung, or spoilt the next batch."""
    failed = []
    for name, code in ESCAPES.items():
        place = folder / str(len(list(folder.iterdir())))
        place.mkdir()
        with things_outside(place) as outside:
            if not contained(outside.filled(code, os.getpid()) + ESCAPE) or outside.reached():
                failed.append(name)
    return failed


def denials() -> list[str]:
    return [name for name, code in DENIALS.items() if not contained(code + WRAPPED)]


def made_up(dice: random.Random, count: int) -> list[str]:
    found = []
    for _ in range(count):
        lines = "\n    ".join(dice.choices(PIECES, k=dice.randint(1, 6)))
        code = f"def attack():\n    {lines}\n    return None\n{WRAPPED}"
        if not contained(code):
            found.append(lines)
    return found


def contained(code: str) -> bool:
    """No number comes of the attack, in time; then the same function works at once, in a process of its own."""
    with Jail(code) as jail:
        began = time.monotonic()
        try:
            values = jail.rewards(["attack"], {}, WALL_SECONDS)
        except (BatchFailed, SandboxError) as error:
            values = [str(error)]
        in_time = time.monotonic() - began < WALL_SECONDS + 0.5
        # A made-up program may return a valid reward of 1; an escape says 1 only if it got out.
        got_out = values == [1.0] and ESCAPE in code
        began = time.monotonic()
        fine = jail.rewards(["next", "batch"], {}, WALL_SECONDS) == [4.0, 5.0]
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
