"""Children whose parent dies, among them one that holds the interpreter and hears no signal."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings

PARENT = """
import os, sys
from pathlib import Path
import django; django.setup()
from jobs import children
code, log = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
children.run_child([sys.executable, "-c", code], log=log, on_tick=lambda child: None)
"""
CHILD = """
import os, re, sys, threading, time
import django; django.setup()
from django.conf import settings
settings.STOP_SECONDS_BEFORE_TERMINATE, settings.STOP_SECONDS_BEFORE_KILL = 1, 1
from jobs import children
gone = threading.Event()
children.follow_parent(gone.set)
print("pid", os.getpid(), flush=True)
{work}
"""
Parents = list[subprocess.Popen[bytes]]
STUCK = 're.match(r"(a+)+$", "a" * 64 + "b")'
WAITING = "gone.wait(60)"


@pytest.fixture
def parents() -> Iterator[Parents]:
    found: Parents = []
    yield found
    for parent in found:
        if parent.poll() is None:
            for process in (*psutil.Process(parent.pid).children(recursive=True), parent):
                process.kill()


def started(folder: Path, work: str, parents: Parents) -> tuple[subprocess.Popen[bytes], psutil.Process]:
    code, log = folder / "child.py", folder / "child.log"
    code.write_text(CHILD.format(work=work))
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "loracraft.settings", "LORACRAFT_DATA": str(folder)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, code, log], cwd=settings.BASE_DIR, env=environment)
    parents.append(parent)
    until = time.monotonic() + 60
    while not (log.is_file() and "pid" in log.read_text()):
        assert time.monotonic() < until and parent.poll() is None, log.read_text() if log.is_file() else "no log"
        time.sleep(0.05)
    return parent, psutil.Process(int(log.read_text().split("pid")[1].split()[0]))


@pytest.mark.parametrize("work", [WAITING, STUCK])
def test_nothing_of_a_child_is_left_when_its_parent_was_killed(tmp_path: Path, parents: Parents, work: str) -> None:
    parent, child = started(tmp_path, work, parents)
    family = [child, *child.children(recursive=True)]
    assert len(family) == 2, "the child and its guard"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    for process in alive:
        process.kill()
    assert not alive


def test_a_guard_goes_with_its_child(tmp_path: Path, parents: Parents) -> None:
    parent, child = started(tmp_path, WAITING, parents)
    [guard] = child.children()
    child.kill()
    assert psutil.wait_procs([child, guard], timeout=30)[1] == []
    parent.wait(30)
