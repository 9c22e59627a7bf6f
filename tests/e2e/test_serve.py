"""`scripts/serve.py`: both processes run, and nothing is left when it ends, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.app import ROOT, App, wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture
def app(tmp_path: Path) -> App:
    app = App(tmp_path)
    app.migrate()
    return app


@pytest.fixture
def serve(app: App) -> Iterator[subprocess.Popen[bytes]]:
    with (app.data / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, ROOT / "scripts/serve.py"], env=app.env, stdout=log, stderr=log, start_new_session=True
        )
    wait_for(app.answers, 120, "an answer of the web process")
    wait_for(lambda: b"LoRA Craft is at" in (app.data / "serve.log").read_bytes(), 60, "the address")
    yield process
    if process.poll() is None:
        process.kill()


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    assert {word for child in children for word in child.cmdline()} >= {"daphne", "run_huey"}
    return children


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_web_and_worker(serve: subprocess.Popen[bytes], number: int) -> None:
    children = family(serve)
    os.kill(serve.pid, number)
    assert serve.wait(60) == 0
    assert gone(children)


def test_kill_minus_nine_leaves_nothing_behind(serve: subprocess.Popen[bytes]) -> None:
    children = family(serve)
    serve.kill()
    wait_for(lambda: gone(children), 60, "the end of web and worker")


@pytest.mark.parametrize("which", ["daphne", "run_huey"])
def test_the_death_of_one_ends_the_other_and_is_told(serve: subprocess.Popen[bytes], app: App, which: str) -> None:
    children = family(serve)
    next(child for child in children if which in child.cmdline()).kill()
    assert serve.wait(60) == 1
    assert gone(children)
    assert b"process ended with code -9" in (app.data / "serve.log").read_bytes()
