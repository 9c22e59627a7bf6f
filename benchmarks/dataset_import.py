"""Importing a dataset.

A generated JSONL file of 2 GB is imported as an uploaded file is: by the import's child process, under its memory
limit, into typed Parquet, with every line checked. Memory is the largest sum over the importing process and its child,
above what the importing process takes before it begins. The yardstick is pyarrow alone reading the same file block by
block, which checks less and writes nothing; both read a file that is in the disk cache.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MIB = 1024 * 1024
MEGABYTES = 2048
SAMPLE_SECONDS = 0.05
READ = "import sys, pyarrow.json as j\nfor batch in j.open_json(sys.argv[1]): pass"


def run(megabytes: int = MEGABYTES) -> list[dict[str, Any]]:
    from datasets_app import parsing

    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "rows.jsonl", Path(folder) / "out"
        out.mkdir()
        rows = write(file, megabytes)
        alone = read_with_pyarrow(file)
        with Peak() as peak:
            began = time.perf_counter()
            report = parsing.store_file(file, out, "rows.jsonl")
            seconds = time.perf_counter() - began
        assert (report["row_count"], report["rejected_count"]) == (rows, 0)
        return [
            {
                "file MB": megabytes,
                "rows": rows,
                "import MB/s": megabytes / seconds,
                "pyarrow alone MB/s": megabytes / alone,
                "ratio": alone / seconds,
                "peak over idle MB": peak.over_idle / MIB,
                "stored MB": report["bytes"] / MIB,
            }
        ]


def write(file: Path, megabytes: int) -> int:
    """Questions with worked answers, about 320 bytes each, a few numbers and a list. Returns how many."""
    rows = 0
    with open(file, "w") as out:
        while out.tell() < megabytes * MIB:
            out.writelines(row(number) for number in range(rows, rows + 1000))
            rows += 1000
    return rows


def row(number: int) -> str:
    steps = f"Add them: {number} + {number + 1} = {2 * number + 1}. " * 6
    value = {"question": f"What is {number} + {number + 1}?", "answer": f"{steps}#### {2 * number + 1}"}
    return json.dumps({**value, "level": number % 7, "tags": ["sum", f"level {number % 3}"]}) + "\n"


def read_with_pyarrow(file: Path) -> float:
    """Seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", READ, str(file)], check=True)
    return time.perf_counter() - began


class Peak:
    """The largest memory of this process and its children while the block runs, above what it was at first."""

    def __enter__(self) -> Peak:
        import psutil

        self.process = psutil.Process()
        self.idle = self.most = self.process.memory_info().rss
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    @property
    def over_idle(self) -> int:
        return self.most - self.idle

    def watch(self) -> None:
        while not self.over.wait(SAMPLE_SECONDS):
            self.most = max(self.most, self.now())

    def now(self) -> int:
        import psutil

        total = 0
        for process in [self.process, *self.process.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


def main() -> None:
    from benchmarks.run import set_up_django, table

    parser = argparse.ArgumentParser(description="Imports a generated file and prints one line of figures.")
    parser.add_argument("--megabytes", type=int, default=MEGABYTES)
    megabytes = parser.parse_args().megabytes
    set_up_django()
    print(table(run(megabytes)))


if __name__ == "__main__":
    main()
