"""Rewards in the sandbox: a user's Python against the same call in the process

A trivial function (the length of each answer) on 1,000 completions of 200 characters: called in the process, and as
`custom_python` in a warm sandbox, with everything that a session does around it (rows, a new process for the batch,
checks of each value). Best of 20. The limit is twice the call in the process plus 50 ms. Below it: what a first call
costs, which starts the sandbox, and what `code_tests` costs an answer, which always starts one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rewards.composition import Composition
from rewards.registry import Sample
from rewards.sandbox.jail_process import Jail
from rewards.sandbox.pool import pool

CODE = "def reward(completions, **columns):\n    return [float(len(text)) for text in completions]\n"
ANSWERS = 1_000
ROUNDS = 20
ALLOWED_MS = 50.0


def run() -> list[dict[str, Any]]:
    in_process = best(called_here())
    warm = best(lambda: composed("custom_python", code=CODE, highest=1000).score_all(samples()))
    pool.close()
    cold = timed(lambda: Jail(CODE).start())
    tested = composed("code_tests")
    answers = [Sample("?", "def add(a, b): return a + b", None, {"tests": "assert add(1, 2) == 3"})] * 64
    each = best(lambda: tested.score_all(answers), rounds=3) / len(answers)
    limit = 2 * in_process + ALLOWED_MS
    return [
        row("1,000 answers, in the process", in_process, 1.0),
        row("1,000 answers, warm sandbox", warm, warm / limit, "of the limit"),
        row("start of a sandbox", cold),
        row("code_tests, one answer", each),
    ]


def row(what: str, milliseconds: float, ratio: float | None = None, of: str = "") -> dict[str, Any]:
    return {"what": what, "ms": milliseconds, "ratio": "" if ratio is None else f"{ratio:.3g} {of}".strip()}


def samples() -> list[Sample]:
    return [Sample("?", "x" * 200, "y")] * ANSWERS


def composed(function: str, **parameters: Any) -> Composition:
    part = {"name": "part", "function": function, "parameters": parameters}
    return Composition.model_validate({"parts": [part]})


def called_here() -> Callable[[], object]:
    texts = [sample.response for sample in samples()]
    return lambda: [float(len(text)) for text in texts]


def best(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Milliseconds of the fastest of some calls; the first warms up."""
    call()
    return min(timed(call) for _ in range(rounds))


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)
