"""Child processes that end with whoever started them.

A child is the leader of a session and process group of its own, so that Ctrl-C in a terminal does not reach it and one
signal reaches all it started. It learns that its parent is gone in two ways: its standard input ends, and on Linux the
kernel sends it SIGTERM. Both mean: save and end. Where it does neither, because code that holds the interpreter lets no
handler run, a guard kills it: a process that was forked from it before anything else happened in it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from django.conf import settings

from jobs import leases

PARENT = "LORACRAFT_PARENT"
PR_SET_PDEATHSIG = 1

# Set when this process is about to end: every child is asked to end, and nothing new starts.
closing = threading.Event()
_unfinished: set[object] = set()


class Child:
    """A running child as `on_tick` sees it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.asked_at: float | None = None

    @property
    def is_running(self) -> bool:
        """As far as whoever waits for it has noticed."""
        return self._process.returncode is None

    def ask(self) -> None:
        """Closes its standard input: it saves and ends. Asking again changes nothing."""
        if self.asked_at is None:
            self.asked_at = time.monotonic()
            if self._process.stdin:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()

    def show_stacks(self) -> None:
        """Python's faulthandler, which the child has registered, writes them to its log. Only to the child itself: any
        other process of the group would die of the signal."""
        self._signal(signal.SIGUSR1, os.kill)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def escalate(self, since: float) -> None:
        """For a child that was asked at `since` (monotonic): terminates, then kills it, on the schedule of settings."""
        waited = time.monotonic() - since - settings.STOP_SECONDS_BEFORE_TERMINATE
        if waited >= settings.STOP_SECONDS_BEFORE_KILL:
            self.kill()
        elif waited >= 0:
            self.terminate()

    def _signal(self, number: int, send: Callable[[int, int], None] = os.killpg) -> None:
        # Not reaped yet, so the pid is still its own.
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                send(self.pid, number)


def run_child(
    argv: Sequence[str],
    *,
    log: Path,
    on_tick: Callable[[Child], None],
    tick: float = 0.25,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Runs `argv` to its end and returns its return code, negative for a signal.

    Output is appended to `log`, `environment` is added to this process's own. `on_tick` is called every `tick` seconds;
    what it raises kills the child and is raised here. While this process closes, the child is asked, terminated and
    killed on the schedule of settings.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with unfinished_work():
        process = _start(argv, log, cwd or settings.BASE_DIR, environment or {})
        child = Child(process)
        try:
            return _watch(child, process, on_tick, tick)
        finally:
            child.kill()
            process.wait()
            child.ask()
            # What the child started and left behind. A group id is not given away while a member lives.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)


def _watch(child: Child, process: subprocess.Popen[bytes], on_tick: Callable[[Child], None], tick: float) -> int:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(tick)
        if closing.is_set():
            child.ask()
        if child.asked_at is not None:
            child.escalate(child.asked_at)
        on_tick(child)


def _start(argv: Sequence[str], log: Path, cwd: Path, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **more, PARENT: str(os.getpid())}
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )


def follow_parent(on_parent_gone: Callable[[], None]) -> None:
    """For the child, first thing in its main thread: `on_parent_gone` is called once when its parent is gone or asks.

    It is called in a thread or in a signal handler, so it may only set a flag.
    """
    parent = os.environ.get(PARENT)
    signal.signal(signal.SIGTERM, lambda *_: on_parent_gone())
    if parent is None:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    _start_guard()
    if os.getppid() != int(parent):
        on_parent_gone()
    threading.Thread(target=_wait_for_end_of_input, args=(on_parent_gone,), daemon=True, name="parent").start()


def _start_guard() -> None:
    child = os.getpid()
    if os.fork() == 0:
        try:
            _guard(child, settings.STOP_SECONDS_BEFORE_TERMINATE + settings.STOP_SECONDS_BEFORE_KILL)
        finally:
            os._exit(0)


def _guard(child: int, patience: float) -> None:
    """Kills the child's group if it outlives the end of its input by more than `patience` seconds."""
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(ignored, signal.SIG_IGN)
    gone_since = None
    while os.getppid() == child:
        if gone_since is None and select.select([0], [], [], 1.0)[0] and not os.read(0, 1024):
            gone_since = time.monotonic()
        elif gone_since is not None:
            time.sleep(0.2)
            if time.monotonic() - gone_since > patience:
                os.killpg(child, signal.SIGKILL)


def _wait_for_end_of_input(on_parent_gone: Callable[[], None]) -> None:
    while os.read(0, 1024):
        pass
    on_parent_gone()


def kill_orphan(identity: str) -> None:
    """Kills a child of a dead worker of this machine, with its group, if it still runs."""
    pid = int(identity.split("/")[1])
    if pid > 1 and not leases.is_dead(identity) and identity.startswith(f"{leases.place()}/"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


@contextlib.contextmanager
def unfinished_work() -> Iterator[None]:
    """Holds the end of this process back while the block runs, so that what a child did is still written down."""
    token = object()
    _unfinished.add(token)
    try:
        yield
    finally:
        _unfinished.discard(token)


@atexit.register
def close() -> None:
    """Asks every child to save and end, and lets everyone who waits for one finish."""
    closing.set()
    deadline = time.monotonic() + settings.STOP_SECONDS_BEFORE_TERMINATE + settings.STOP_SECONDS_BEFORE_KILL + 10
    while _unfinished and time.monotonic() < deadline:
        time.sleep(0.05)
