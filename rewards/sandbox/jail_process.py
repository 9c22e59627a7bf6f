"""The outside of the sandbox: starts a jail, asks it for rewards, and trusts nothing that comes back."""

from __future__ import annotations

import json
import math
import os
import platform
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Self

JAIL = Path(__file__).with_name("jail.py")
START_SECONDS = 10.0
BATCH_SECONDS = 10.0
# For what takes the nursery less than a millisecond.
PATIENCE_SECONDS = 10.0
# So that the order of a set of words is the same in every process. The environment is emptied before anything runs.
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
LONGEST_CODE = 64 << 10
LONGEST_ANSWER = 4 << 20
LARGEST_REWARD = 1e6
LONGEST_MESSAGE = 400


class SandboxError(Exception):
    """User code can't be run at all; the message says why."""


class SandboxUnavailable(SandboxError):
    """This system does not enforce the sandbox, so user code is refused."""


class BatchFailed(Exception):
    """These completions got no rewards. `alive` says whether the code outlived it, by answering in time."""

    def __init__(self, message: str, *, alive: bool) -> None:
        super().__init__(printable(message))
        self.alive = alive


# The kernel ends a jail with the thread that started it, and a server's threads come and go: this one stays.
STARTER = ThreadPoolExecutor(1, thread_name_prefix="sandbox")


class Jail:
    """A sandbox for one reward function, or for programs if there is no code: a nursery that forks a process for each
    batch, in which nothing is left of the batches before. Use it as a context manager, or `stop` it. One thread at a
    time."""

    def __init__(self, code: str | None = None) -> None:
        if code is not None and len(code.encode("utf-8", "surrogatepass")) > LONGEST_CODE:
            raise SandboxError(f"The code is longer than {LONGEST_CODE // 1024} kB.")
        self.code = code
        self.layers: list[str] = []
        self.printed = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None
        self.child: tuple[int, socket.socket] | None = None
        self.count = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Raises SandboxUnavailable, or SandboxError if the code itself does not load."""
        refuse_elsewhere()
        self.stop()
        try:
            self.process, self.control = STARTER.submit(_started).result()
        except OSError as error:
            raise SandboxUnavailable(f"The process of the sandbox can't be started: {error}.") from error
        hello = json.loads(self._told())
        self._refuse_if(hello)
        self.layers = [str(layer) for layer in hello["layers"]]
        self._begin()

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer of the process that was asked last, or of a new one. Raises BatchFailed."""
        if not self.is_alive:
            self.start()
        if self.child is None:
            self._begin()
        self.count += 1
        reply = self._ask({"id": self.count, **request}, seconds)
        if reply.get("id") != self.count:
            self._end()
            raise BatchFailed("the code answered another question", alive=False)
        return reply

    def rewards(
        self, completions: list[str], columns: dict[str, list[Any]], seconds: float = BATCH_SECONDS
    ) -> list[float | str]:
        """A number for each completion, or the sentence that says why there is none. Raises BatchFailed, and
        SandboxError if the code, which is loaded anew for each batch, does not load this time."""
        reply = self.ask({"completions": completions, "columns": columns}, seconds)
        self._end()
        self.printed = printable(str(reply.get("printed", "")), 2000)
        if "error" in reply:
            raise BatchFailed(str(reply["error"]), alive=True)
        values = reply.get("rewards")
        if not isinstance(values, list) or len(values) != len(completions):
            raise BatchFailed("the reward returned another number of values than completions", alive=True)
        return [checked(value) for value in values]

    def stop(self) -> None:
        if self.process is None or self.control is None:
            return
        process, self.process = self.process, None
        if self.child is not None:
            self._kill(process)
        # The nursery waits for its child, and ends when nobody speaks to it any more.
        self.control.close()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _begin(self) -> None:
        """A process that has loaded the code and waits for a request."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                self.child = self._tell(b"fork", theirs.fileno()), ours
        except SandboxError:
            ours.close()
            raise
        try:
            hello = self._ask({"code": self.code}, START_SECONDS)
        except BatchFailed as error:
            self.stop()
            raise SandboxError(f"The reward code did not start: {error}") from error
        self._refuse_if(hello)
        if hello.get("ready") is not True:
            self.stop()
            raise SandboxError(f"The reward code can't be loaded: {printable(str(hello.get('error')))}")

    def _ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        assert self.child is not None
        wire, ends = self.child[1], time.monotonic() + seconds
        try:
            _write(wire, message, ends)
            return _read(wire, ends)
        except TimeoutError:
            self._end()
            raise BatchFailed(f"no answer within {seconds:g} s", alive=False) from None
        except (OSError, EOFError):
            raise BatchFailed(f"the reward ended its process ({how_it_ended(self._end())})", alive=False) from None
        except ValueError as error:
            self._end()
            raise BatchFailed(f"the reward sent no valid answer ({error})", alive=False) from None

    def _end(self) -> int:
        """Ends the process of a batch. Returns how it ended; what it did before it was ended counts."""
        assert self.process is not None
        self._kill(self.process)
        return os.waitstatus_to_exitcode(self._tell(b"bury"))

    def _kill(self, nursery: subprocess.Popen[bytes]) -> None:
        assert self.child is not None
        (pid, wire), self.child = self.child, None
        wire.close()
        # The number is its own as long as the nursery has not buried it. With the nursery, the kernel ended it.
        if nursery.poll() is None:
            os.kill(pid, signal.SIGKILL)

    def _tell(self, message: bytes, *descriptors: int) -> int:
        """The number that the nursery answers. Raises SandboxError if it is gone."""
        assert self.control is not None
        try:
            socket.send_fds(self.control, [message], descriptors)
        except OSError as error:
            raise self._lost(error) from error
        return int(struct.unpack("<i", self._told())[0])

    def _told(self) -> bytes:
        assert self.control is not None
        try:
            _wait(self.control, select.POLLIN, time.monotonic() + PATIENCE_SECONDS)
            message = self.control.recv(4096)
        except OSError as error:
            raise self._lost(error) from error
        if not message:
            raise self._lost("ended")
        return message

    def _lost(self, why: object) -> SandboxError:
        self.stop()
        return SandboxError(f"The process that starts the sandbox does not answer ({why}).")

    def _refuse_if(self, hello: dict[str, Any]) -> None:
        if "refused" in hello:
            self.stop()
            refused = printable(str(hello["refused"]))
            raise SandboxUnavailable(f"This system does not enforce the sandbox for reward code: {refused}.")


def _started() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-S", "-B", str(JAIL), str(os.getpid())],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    return process, ours


@cache
def unavailable() -> str:
    """Why reward code can't run on this system, or nothing. Tried once, for real."""
    try:
        with Jail():
            return ""
    except SandboxError as error:
        return str(error)


def refuse_elsewhere() -> None:
    """Raises SandboxUnavailable where the system calls are not those that the jail filters."""
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        raise SandboxUnavailable(
            f"Reward code needs a sandbox that only Linux on x86_64 enforces; this is {system} on {machine}."
            " Use the functions of the library, or run LoRA Craft in Docker on such a machine."
        )


def checked(value: Any) -> float | str:
    if isinstance(value, dict):
        return printable(str(value.get("error", "no number")))
    if value is None:
        return "the reward gave no value (None)"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"the reward is a {type(value).__name__}, not a number"
    try:
        number = float(value)
    except OverflowError:
        return "the reward is too large"
    if not math.isfinite(number) or abs(number) > LARGEST_REWARD:
        return f"the reward {number:g} is not between -{LARGEST_REWARD:g} and {LARGEST_REWARD:g}"
    return number


def printable(text: str, longest: int = LONGEST_MESSAGE) -> str:
    """Without control characters and lone surrogates, which terminals and databases trip over."""
    kept = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text[:longest])
    return kept.encode("utf-8", "backslashreplace").decode()


def how_it_ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _write(wire: socket.socket, message: dict[str, Any], ends: float) -> None:
    body = json.dumps(message).encode()
    left = memoryview(struct.pack("<I", len(body)) + body)
    while left:
        _wait(wire, select.POLLOUT, ends)
        left = left[wire.send(left[: 1 << 16]) :]


def _read(wire: socket.socket, ends: float) -> dict[str, Any]:
    size = struct.unpack("<I", _exactly(wire, 4, ends))[0]
    if size > LONGEST_ANSWER:
        raise ValueError(f"{size} bytes; at most {LONGEST_ANSWER} are read")
    try:
        message = json.loads(_exactly(wire, size, ends))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("not an object")
    return message


def _exactly(wire: socket.socket, size: int, ends: float) -> bytes:
    received = bytearray()
    while len(received) < size:
        _wait(wire, select.POLLIN, ends)
        part = wire.recv(min(size - len(received), 1 << 20))
        if not part:
            raise EOFError
        received += part
    return bytes(received)


def _wait(wire: socket.socket, event: int, ends: float) -> None:
    # Not select(): it can't take descriptors over 1023, which a busy server has.
    poll = select.poll()
    poll.register(wire, event)
    if not poll.poll(1000 * max(0.0, ends - time.monotonic())):
        raise TimeoutError
