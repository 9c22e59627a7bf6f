"""Runs every benchmark beside this file and writes docs/benchmarks.md, with the machine they ran on.

A benchmark is a module with a docstring, whose first line is its title, and `run() -> list[dict]`: rows of one table
with the same keys. `python -m benchmarks.run [NAME ...]` runs some of them and keeps the others' results.
"""

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "docs" / "benchmarks.json"
NOT_BENCHMARKS = {"run", "models", "graded_formulas", "graded_solutions"}


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the benchmarks and writes docs/benchmarks.md.")
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(benchmarks())} (default: all)")
    names = parser.parse_args().names or benchmarks()
    if unknown := set(names) - set(benchmarks()):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    set_up_django()
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in names:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"{name}: {title(module)}", flush=True)
        results[name] = {"title": title(module), "about": about(module), "machine": machine(), "rows": module.run()}
        print(table(results[name]["rows"]), flush=True)
    # In the order of their columns: a table that is written again from here keeps it.
    RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
    DOCUMENT.write_text(document(results))
    print(f"Written: {DOCUMENT.relative_to(ROOT)}")
    return 0


def benchmarks() -> list[str]:
    found = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in found if module.name not in NOT_BENCHMARKS)


def set_up_django() -> None:
    """On a data folder of its own: a benchmark that writes rows never touches the real ones."""
    os.environ["LORACRAFT_DATA"] = tempfile.mkdtemp(prefix="loracraft-bench-")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "loracraft.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def title(module: Any) -> str:
    return str(module.__doc__).strip().splitlines()[0].rstrip(".")


def about(module: Any) -> str:
    return "\n".join(str(module.__doc__).strip().splitlines()[1:]).strip()


def machine() -> str:
    import psutil

    memory = psutil.virtual_memory().total / 2**30
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    return f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {when}"


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "(nothing could be measured here)"
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([shown(row[head]) for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(value: Any) -> str:
    if isinstance(value, float) and abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)


def document(results: dict[str, Any]) -> str:
    parts = ["# Benchmarks", "Written by `make bench`. Each table names the machine it was measured on."]
    for name in sorted(results):
        result = results[name]
        parts += [f"## {result['title']}", result["about"], table(result["rows"]), f"Machine: {result['machine']}."]
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    sys.exit(main())
