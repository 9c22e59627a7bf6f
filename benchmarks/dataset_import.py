"""Peak memory and throughput of importing a generated JSONL file, beside pyarrow's own JSON reader.

    python benchmarks/dataset_import.py [--megabytes 200]

Prints one JSON line. Both readers run in a process of their own, so that each peak is its own. The importer validates
every line, reports the bad ones and writes typed Parquet; pyarrow's reader does none of it, so the ratio is a yardstick
and not a race.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MIB = 1024 * 1024
IDLE = "import pyarrow, pyarrow.parquet"
READ = "import sys, pyarrow.json; pyarrow.json.read_json(sys.argv[1])"
# A child that reports its own peak: wait4 would also count children of children.
MEASURED = """
import resource, runpy, sys
sys.path.insert(0, sys.argv.pop(1))
module = sys.argv.pop(1)
try:
    runpy.run_module(module, run_name="__main__") if module != "-" else exec(sys.argv.pop(1))
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def write(file: Path, megabytes: int) -> int:
    rows = 0
    with open(file, "w") as out:
        while out.tell() < megabytes * MIB:
            for number in range(rows, rows + 1000):
                steps = f"Add them: {number} + {number + 1} = {2 * number + 1}. " * 6
                row = {"question": f"What is {number} + {number + 1}?", "answer": f"{steps}#### {2 * number + 1}"}
                out.write(json.dumps({**row, "level": number % 7, "tags": ["sum", f"level {number % 3}"]}) + "\n")
            rows += 1000
    return rows


def measure(*arguments: str, stdin: Path | None = None) -> tuple[float, float]:
    """(seconds, peak resident MiB) of one child."""
    with open(stdin or "/dev/null", "rb") as source:
        started = time.perf_counter()
        command = [sys.executable, "-c", MEASURED, str(ROOT), *arguments]
        done = subprocess.run(command, stdin=source, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
        seconds = time.perf_counter() - started
    scale = 1024 if sys.platform == "linux" else MIB
    return seconds, int(done.stderr.split()[-1]) / scale


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    size = parser.parse_args().megabytes
    with tempfile.TemporaryDirectory() as folder:
        file, work = Path(folder) / "rows.jsonl", Path(folder) / "work"
        work.mkdir()
        rows = write(file, size)
        _, idle = measure("-", IDLE)
        seconds, peak = measure("datasets_app.storing", str(work / "rows.parquet"), stdin=file)
        own_seconds, own_peak = measure("-", READ, str(file))
    result = {
        "megabytes": size,
        "rows": rows,
        "seconds": round(seconds, 2),
        "mb_per_second": round(size / seconds, 1),
        "peak_mib": round(peak),
        "peak_over_idle_mib": round(peak - idle),
        "pyarrow_seconds": round(own_seconds, 2),
        "pyarrow_peak_mib": round(own_peak),
        "times_pyarrow": round(seconds / own_seconds, 1),
        "parent_peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
