"""Runs the scenarios, prints one line for each and writes reports/reliability.json. Ends with 1 if one did not pass."""

# ruff: noqa: T201
import argparse
import importlib
import inspect
import json
import os
import pkgutil
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
REPORT = Path(os.environ.get("CHAOS_REPORT") or ROOT / "reports" / "reliability.json")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(scenarios())} (default: all)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="default: a new one, which is printed"
    )
    parser.add_argument("--size-mb", type=int, help="size of the uploaded file (default 10240)")
    parser.add_argument("--configuration", help="of the sandbox: one instead of all, named in tests/chaos/_confined.py")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        type=option,
        help="an argument of the scenarios, such as kills=5, or broken=verify for a negative control, which must fail",
    )
    options = parser.parse_args()
    names = options.names or scenarios()
    if unknown := set(names) - set(scenarios()):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    # So that a scenario that is ended from outside still ends its servers and removes its files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    set_up_django()
    report = json.loads(REPORT.read_text()) if REPORT.is_file() else {}
    given = {
        "seed": options.seed,
        "size_mb": options.size_mb,
        "configuration": options.configuration,
        **dict(options.set),
    }
    for name in names:
        report[name] = result_of(name, given)
        print(line(name, report[name]), flush=True)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1, sort_keys=True, default=str) + "\n")
    return 0 if all(report[name].get("passed") for name in names) else 1


def option(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name, int(value) if value.isdigit() else value


def scenarios() -> list[str]:
    found = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return sorted(name for name in found if not name.startswith(("_", "test_")))


def set_up_django() -> None:
    """Settings and models for scenarios that need them, on a data folder of their own."""
    os.environ["LORACRAFT_DATA"] = tempfile.mkdtemp(prefix="loracraft-chaos-")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "loracraft.settings")
    import django

    django.setup()


def result_of(name: str, given: dict[str, Any]) -> dict[str, Any]:
    run = importlib.import_module(f"tests.chaos.{name}").run
    known = inspect.signature(run).parameters
    started = time.monotonic()
    result = run(**{key: value for key, value in given.items() if key in known and value is not None})
    return {**result, "seed": given["seed"], "seconds": round(time.monotonic() - started, 1), **where()}


def where() -> dict[str, Any]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    machine = f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return {"commit": commit.stdout.strip(), "machine": machine, "at": datetime.now(UTC).isoformat(timespec="seconds")}


def line(name: str, result: dict[str, Any]) -> str:
    mark = "ok    " if result.get("passed") else "FAILED"
    return (
        f"{mark} {name}: load held {result.get('load', '-')} / faults survived {result.get('faults', 0)}"
        f" / bad inputs tried {result.get('bad_inputs', 0)} / lost {result.get('lost', '-')}"
        f"  ({result['seconds']} s, seed {result['seed']})"
    )


if __name__ == "__main__":
    sys.exit(main())
