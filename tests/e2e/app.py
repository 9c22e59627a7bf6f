"""The real app for a test: Daphne and the Huey consumer, on a free port and with a data folder of their own."""

import atexit
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings

from tests import services

ROOT = Path(settings.BASE_DIR)
SESSION = "select id, status, step, attempt, error from training_session order by created_at desc limit 1"


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `condition`, asked every 0.1 s."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not happen within {seconds} s")


@cache
def static_folder() -> tempfile.TemporaryDirectory[str]:
    """One for each test process: two that collect into one folder take files from under each other."""
    return tempfile.TemporaryDirectory(prefix="loracraft-static-")


@cache
def prepared(password: str) -> Path:
    """A database with all tables, and with a password the user charlie. One for each test process, to be copied."""
    folder = tempfile.TemporaryDirectory(prefix="loracraft-database-")
    atexit.register(folder.cleanup)
    app = App(Path(folder.name), LORACRAFT_PASSWORD=password, DATABASE_URL="")
    if services.fresh_tables().exists():
        shutil.copyfile(services.fresh_tables(), app.database)
    app.make_tables(password)
    return app.database


class App:
    def __init__(self, data: Path, **environment: str) -> None:
        self.data, self.port = data, services.free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.env = {
            **os.environ,
            "LORACRAFT_DATA": str(data),
            "LORACRAFT_DEBUG": "0",
            "LORACRAFT_STATIC": static_folder().name,
            "LORACRAFT_LEASE_SECONDS": "4",
            "PORT": str(self.port),
            "OMP_NUM_THREADS": "1",
            **environment,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, ROOT / "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def database(self) -> Path:
        return self.data / "db.sqlite3"

    def prepare(self) -> None:
        """Static files, tables, and the user charlie with LORACRAFT_PASSWORD."""
        if not os.listdir(self.env["LORACRAFT_STATIC"]):
            self.manage("collectstatic", "--noinput")
        self.migrate(self.env["LORACRAFT_PASSWORD"])

    def migrate(self, password: str = "") -> None:
        """Tables, and with a password the user charlie."""
        if self.env.get("DATABASE_URL") or self.database.exists():
            self.make_tables(password)
        else:
            shutil.copyfile(prepared(password), self.database)

    def make_tables(self, password: str) -> None:
        if not self.database.exists():
            self.manage("migrate", "--noinput")
        if password:
            self.manage("create_user", "charlie")

    def start_web(self) -> None:
        self.start("web", [sys.executable, "-m", "daphne", "-p", str(self.port), "loracraft.asgi:application"])
        wait_for(self.answers, 120, "an answer of the web process")

    def start_worker(self) -> None:
        self.start("worker", [sys.executable, str(ROOT / "manage.py"), "run_huey"])

    def start(self, name: str, command: list[str]) -> None:
        with (self.data / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=ROOT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill_worker(self) -> list[psutil.Process]:
        """kill -9, as a machine does. Returns the processes that the worker had started."""
        worker = self.processes.pop("worker")
        children = psutil.Process(worker.pid).children(recursive=True)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        return children

    def end(self) -> None:
        families = []
        for process in self.processes.values():
            if process.poll() is None:
                families += psutil.Process(process.pid).children(recursive=True)
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        for child in psutil.wait_procs(families, timeout=20)[1]:
            child.kill()

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=20) as database:
            return database.execute(query, values).fetchall()

    def session_row(self) -> dict[str, Any]:
        """The newest session."""
        return dict(zip(["id", "status", "step", "attempt", "error"], self.rows(SESSION)[0], strict=True))

    def steps(self) -> list[int]:
        """The steps of the newest session that count, in the order they were recorded."""
        query = (
            "select step from training_event where kind = 'metrics' and not superseded and step is not null"
            " and phase = 'training' and session_id = ? order by seq"
        )
        return [row[0] for row in self.rows(query, self.session_row()["id"])]

    def logs(self) -> str:
        """What a failed test shows."""
        files = [*self.data.glob("*.log"), *self.data.glob("outputs/*/*.log")]
        parts = [f"== {file.name}\n{file.read_text(errors='replace')[-4000:]}" for file in files]
        query = (
            "select created_at, attempt, kind, phase, step, substr(data, 1, 150) from training_event"
            " where kind in ('phase', 'error', 'log') order by seq"
        )
        return "\n".join([*parts, "== events", *map(str, self.rows(query)), str(self.rows(SESSION))])


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path
