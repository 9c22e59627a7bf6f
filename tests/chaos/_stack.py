"""The real worker, trainers and web on a data folder of their own, and the questions that every scenario asks of them
afterwards: is each step there once with its right value, is a process, a lease or a half-written file left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.chaos._engine import reward_of, values
from tests.e2e.app import ROOT, App

ENDED = ("completed", "failed", "stopped", "cancelled")


class NotInTime(Exception):
    pass


def wait(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise NotInTime(f"{what} did not happen within {seconds} s")


class Stack(App):
    def __init__(self, data: Path, **environment: str) -> None:
        given = {"DJANGO_SETTINGS_MODULE": "tests.chaos._settings", "LORACRAFT_LEASE_SECONDS": "2", **environment}
        super().__init__(data, **given)
        self.migrate()

    def queue(self, count: int, steps: int, save_every: int = 10) -> list[str]:
        command = [sys.executable, "-m", "tests.chaos._prepare", str(count), str(steps), str(save_every)]
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        ids: list[str] = json.loads(done.stdout.splitlines()[-1])
        return ids

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """`?` stands for a value."""
        if url := self.env.get("DATABASE_URL"):
            with psycopg.connect(url, connect_timeout=5) as database:
                return database.execute(query.replace("?", "%s"), values).fetchall()  # type: ignore[arg-type]
        plain = [value.replace("-", "") if len(str(value)) == 36 else value for value in values]
        return super().rows(query, *plain)

    def folder(self, session: str) -> Path:
        return self.data / "outputs" / session

    def status(self, session: str) -> tuple[str, int, str]:
        query = "select status, attempt, error from training_session where id = ?"
        status, attempt, error = self.rows(query, session)[0]
        return status, attempt, error

    def lines(self, session: str) -> int:
        """Of the log of events: grows while the trainer is at work, whatever the database does."""
        path = self.folder(session) / "events.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def wait_for_lines(self, session: str, more: int, seconds: float) -> None:
        wanted = self.lines(session) + more
        wait(lambda: self.lines(session) >= wanted, seconds, "progress")

    def is_saving(self, session: str) -> bool:
        return any((self.folder(session) / "checkpoints").glob(".unfinished-*"))

    def trainer(self, session: str) -> psutil.Process | None:
        """The living trainer of the session."""
        try:
            content = json.loads((self.folder(session) / "trainer.json").read_text())
            process = psutil.Process(int(content["identity"].split("/")[1]))
            return process if session in process.cmdline() else None
        except (OSError, ValueError, psutil.Error):
            return None

    def kill(self, name: str, *, tree: bool = False) -> list[psutil.Process]:
        """kill -9. Returns what it had started."""
        process = self.processes.pop(name)
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        for child in below if tree else []:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.wait()
        return below

    def wait_for_ends(self, sessions: list[str], seconds: float) -> None:
        wait(lambda: all(self.status(each)[0] in ENDED for each in sessions), seconds, "the end of all sessions")

    def end(self) -> None:
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
        super().end()
        for process in self.left():
            process.kill()

    def left(self) -> list[psutil.Process]:
        """Living processes on this stack's data folder."""
        return [process for process in psutil.process_iter() if works_on(process, self.data)]


def works_on(process: psutil.Process, data: Path) -> bool:
    try:
        mine = process.environ().get("LORACRAFT_DATA") == str(data)
        return mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def all_gone(processes: list[psutil.Process], seconds: float) -> int:
    """How many still live after so long."""
    return len(psutil.wait_procs(processes, timeout=seconds)[1])


@contextlib.contextmanager
def stack(**environment: str) -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="loracraft-chaos-"))
    running = Stack(folder, **environment)
    try:
        yield running
    finally:
        running.end()
        shutil.rmtree(folder, ignore_errors=True)


def examine(running: Stack, sessions: list[str], steps: int) -> dict[str, Any]:
    """Counts over all sessions; each must be 0. Call it when all have ended."""
    found = dict.fromkeys(("missing", "doubled", "wrong", "unrecorded", "gaps", "not_completed", "leases", "litter"), 0)
    expected = {step: round(reward_of(state), 9) for step, state in values(steps)}
    for session in sessions:
        for name, count in examined(running, session, expected).items():
            found[name] += count
    found["processes"] = len([each for each in running.left() if "train" in each.cmdline()])
    return found


def examined(running: Stack, session: str, expected: dict[int, float]) -> dict[str, int]:
    query = "select seq, step, data, kind, phase, superseded from training_event where session_id = ? order by seq"
    events = running.rows(query, session)
    counted = [(row[1], as_json(row[2])) for row in events if row[3] == "metrics" and not row[5]]
    steps = [step for step, _ in counted]
    row = running.rows("select status, worker, lease_until from training_session where id = ?", session)[0]
    return {
        "missing": len(set(expected) - set(steps)),
        "doubled": len(steps) - len(set(steps)),
        "wrong": sum(round(data["reward"], 9) != expected.get(step) for step, data in counted),
        "unrecorded": len(acknowledged(running.folder(session) / "events.jsonl") - {row[0] for row in events}),
        "gaps": int([row[0] for row in events] != list(range(1, len(events) + 1))),
        "not_completed": int(row[0] != "completed"),
        "leases": int(bool(row[1]) or row[2] is not None),
        "litter": len(list(running.folder(session).glob("**/.unfinished-*"))),
    }


def as_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def acknowledged(log: Path) -> set[int]:
    """Numbers of the events that were on the disk when their trainer went on. A line of an attempt that had lost the
    session does not count: recorder.py says so, too."""
    found, newest = set(), 0
    for raw in log.read_bytes().splitlines():
        with contextlib.suppress(ValueError):
            line = json.loads(raw)
            if line["attempt"] >= newest:
                newest = line["attempt"]
                found.add(line["seq"])
    return found


def result(load: str, faults: int, found: dict[str, int], **more: Any) -> dict[str, Any]:
    lost = sum(found.values())
    return {"load": load, "faults": faults, "lost": lost, "found": found, "passed": not lost, **more}
