"""Runs LoRA Craft in the foreground: web and worker as child processes, both ended on SIGINT or SIGTERM.

`--demo` runs `manage.py demo` beside them. If one of the processes dies, the others are ended and this exits with 1.
"""

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from loracraft import dotenv  # noqa: E402

# A trainer saves its checkpoint before it ends; what is still there after this long is killed.
SECONDS_TO_END = 45
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class ServeError(Exception):
    """What failed and what to do about it, for the person at the terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Runs LoRA Craft: web and worker.")
    parser.add_argument("--demo", action="store_true", help="also train the demo session")
    options = parser.parse_args(arguments)
    dotenv.load(ROOT / ".env")
    try:
        host, port = os.environ.get("HOST") or "127.0.0.1", port_number()
        check_free(host, port)
        return Servers(host, port, demo=options.demo).run()
    except ServeError as error:
        print(error, file=sys.stderr)
        return 1


def port_number() -> int:
    text = os.environ.get("PORT") or "5000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ServeError(f"PORT is {text!r}: write a number from 1 to 65535.")
    return int(text)


def check_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise ServeError(f"Port {port} needs more rights. Choose one above 1023: make run PORT=5001") from None
        except OSError as error:
            raise ServeError(
                f"Port {port} on {host} can't be used ({error.strerror}). Another program may have it:"
                " end that one or choose another port: make run PORT=5001"
            ) from None


class Servers:
    def __init__(self, host: str, port: int, *, demo: bool) -> None:
        self.host, self.port, self.demo = host, port, demo
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.readers: list[threading.Thread] = []
        self.asked_to_end = threading.Event()
        self.make = Make()

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.asked_to_end.set())
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            signal.signal(signal.SIGHUP, lambda *_: self.asked_to_end.set())
        adopt_orphans()
        try:
            failure = self.start_and_watch()
        finally:
            self.end_all()
        if failure:
            print(failure, file=sys.stderr)
        return 1 if failure else 0

    def start_and_watch(self) -> str:
        """Returns when asked to end (""), or with the sentence that says which process failed."""
        manage = [sys.executable, str(ROOT / "manage.py")]
        address = ["-b", self.host, "-p", str(self.port)]
        # -v 0: no line per request.
        self.start("web", [sys.executable, "-m", "daphne", "-v", "0", *address, "loracraft.asgi:application"])
        # -q: only warnings; what a session does is on its page and in its log.
        self.start("worker", [*manage, "run_huey", "-q"])
        if failure := self.watch(until=self.answers):
            return failure
        if self.asked_to_end.is_set():
            return ""
        print(f"LoRA Craft is at {self.url}  (Ctrl-C ends it)", flush=True)
        if self.demo:
            self.start("demo", [*manage, "demo", "--url", self.url])
        else:
            print("No account yet? Make one: .venv/bin/python manage.py create_user NAME --superuser", flush=True)
        return self.watch(until=lambda: False)

    @property
    def url(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{self.port}/"

    def answers(self) -> bool:
        # A server that is reached under another name only answers 400 to this one: that, too, is an answer.
        try:
            urllib.request.urlopen(f"{self.url}healthz", timeout=2).close()  # noqa: S310 - our own address
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def start(self, name: str, command: list[str]) -> None:
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches the whole foreground group: in a session of its own a child is ended by us, once.
            start_new_session=True,
            preexec_fn=end_with_parent if sys.platform == "linux" else None,
        )
        self.processes[name] = process
        reader = threading.Thread(target=copy_lines, args=(name, process.stdout), daemon=True)
        reader.start()
        self.readers.append(reader)

    def watch(self, until: Callable[[], bool]) -> str:
        while not self.asked_to_end.wait(0.3) and not self.make.wants_to_end():
            for name, process in self.processes.items():
                code = process.poll()
                if code is not None and (name != "demo" or code):
                    return f"The {name} process ended with code {code}: its last lines are above. Everything is ended."
            if until():
                break
        return ""

    def end_all(self) -> None:
        print("Ending ...", flush=True)
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + SECONDS_TO_END
        while (left := descendants()) and time.monotonic() < deadline:
            psutil.wait_procs(left, timeout=0.3)
        for process in descendants():
            process.kill()
        for reader in self.readers:
            reader.join(timeout=2)


def descendants() -> list[psutil.Process]:
    """All living processes below this one; the dead are reaped on the way."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def adopt_orphans() -> None:
    """A trainer whose worker has ended becomes a child of this process, not of init: it is waited for, too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent() -> None:
    """Runs in the child before exec: even a `kill -9` of this process leaves no server behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def copy_lines(name: str, lines: IO[bytes] | None) -> None:
    for line in lines or ():
        sys.stdout.write(f"{name:<6} | {line.decode(errors='replace').rstrip()}\n")
        sys.stdout.flush()


class Make:
    """The `make` that started this, if one did: this ends when make is gone or wants to end.

    A SIGINT sent to make alone is not passed on: make takes its handler away and waits for its children. That shows in
    its mask of caught signals.
    """

    def __init__(self) -> None:
        parent = psutil.Process().parent()
        self.process = parent if parent and parent.name() in ("make", "gmake") else None
        self.had_handler = self.has_handler()

    def wants_to_end(self) -> bool:
        if self.process is None:
            return False
        return os.getppid() != self.process.pid or (self.had_handler and not self.has_handler())

    def has_handler(self) -> bool:
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text() if self.process else ""
        except OSError:
            return False
        caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
        return bool(int(caught, 16) & 1 << (signal.SIGINT - 1))


if __name__ == "__main__":
    sys.exit(main())
