"""Row 16: mutated files of every format, and bombs, read under the real limits.

Passed: no process ended by itself, kept and rejected rows were all that a reader of someone else finds in the file,
every refusal has words, and no bomb took more memory than an import may have.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from datasets_app.limits import IMPORT_MEMORY_BYTES, MIB

ROOT = Path(__file__).resolve().parents[2]
FORMATS = ("jsonl", "json", "csv", "parquet")
AT_ONCE = 500


def run(files: int = 10_000, seed: int = 1) -> dict[str, Any]:
    """`files`: of each format."""
    batches = [
        (kind, seed * 1_000_000 + first, min(AT_ONCE, files - first))
        for kind in FORMATS
        for first in range(0, files, AT_ONCE)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda batch: mutations(*batch), batches))
    failed = [failure for result in results for failure in result["failed"]]
    refused, kept = (sum(result[name] for result in results) for name in ("refused", "kept"))
    with tempfile.TemporaryDirectory() as folder:
        bombs = list(explode(Path(folder)))
    failed += [failure for _, failure in bombs if failure]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return {
        "load": f"{files:,} files of {len(FORMATS)} formats, {len(bombs)} bombs",
        "bad_inputs": refused + kept + len(bombs),
        "refused": refused,
        "read": kept,
        "peak_mb": peak // MIB,
        "lost": len(failed),
        "failed": failed[:20],
        "passed": not failed and peak <= IMPORT_MEMORY_BYTES,
    }


def mutations(kind: str, seed: int, count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.datasets.mutations", kind, str(seed), str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode or not done.stdout:
        told = f"{kind} {seed} to {seed + count}: ended with {done.returncode}: {done.stderr[-500:]}"
        return {"kept": 0, "refused": 0, "failed": [told]}
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def explode(folder: Path) -> Iterator[tuple[str, str]]:
    """(bomb, what went wrong)."""
    from datasets_app import parsing
    from datasets_app.problems import DatasetProblem
    from tests.datasets import bombs

    out = folder / "out"
    out.mkdir()
    for file, name in bombs.every(folder):
        wrong = ""
        try:
            parsing.store_file(file, out, name)
        except DatasetProblem as problem:
            wrong = "" if len(problem.message) > 20 and "was ended" not in problem.message else problem.message
            wrong = wrong or ("leaves files" if list(out.iterdir()) else "")
        for left in out.iterdir():
            left.unlink()
        yield name, f"{name}: {wrong}" if wrong else ""
