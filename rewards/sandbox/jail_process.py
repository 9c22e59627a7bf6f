"""The outside of the sandbox: starts a jail, asks it for rewards, and trusts nothing that comes back."""

from __future__ import annotations

import json
import math
import os
import platform
import select
import signal
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
LONGEST_CODE = 64 << 10
LONGEST_ANSWER = 4 << 20
LARGEST_REWARD = 1e6
LONGEST_MESSAGE = 400


class SandboxError(Exception):
    """User code can't be run at all; the message says why."""


class SandboxUnavailable(SandboxError):
    """This system does not enforce the sandbox, so user code is refused."""


class BatchFailed(Exception):
    """These completions got no rewards. `alive` says whether the jail can take the next ones."""

    def __init__(self, message: str, *, alive: bool) -> None:
        super().__init__(printable(message))
        self.alive = alive


# The kernel ends a jail with the thread that started it, and a server's threads come and go: this one stays.
STARTER = ThreadPoolExecutor(1, thread_name_prefix="sandbox")


class Jail:
    """One process for one reward function, or for programs if there is no code. Use it as a context manager, or `stop`
    it. One thread at a time."""

    def __init__(self, code: str | None = None, *, batch_seconds: float = 10.0) -> None:
        if code is not None and len(code.encode("utf-8", "surrogatepass")) > LONGEST_CODE:
            raise SandboxError(f"The code is longer than {LONGEST_CODE // 1024} kB.")
        self.code, self.batch_seconds = code, batch_seconds
        self.layers: list[str] = []
        self.printed = ""
        self.process: subprocess.Popen[bytes] | None = None
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
        self.process = STARTER.submit(_started).result()
        try:
            hello = self._ask({"code": self.code}, START_SECONDS)
        except BatchFailed as error:
            raise SandboxError(f"The reward code did not start: {error}") from error
        if "refused" in hello:
            self.stop()
            raise SandboxUnavailable(f"This system does not enforce the sandbox for reward code: {hello['refused']}.")
        if hello.get("ready") is not True:
            self.stop()
            raise SandboxError(f"The reward code can't be loaded: {printable(str(hello.get('error')))}")
        self.layers = [str(layer) for layer in hello.get("layers", [])]

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a request of ours. Raises BatchFailed."""
        if self.process is None:
            self.start()
        self.count += 1
        reply = self._ask({"id": self.count, **request}, seconds)
        if reply.get("id") != self.count:
            self.stop()
            raise BatchFailed("the code answered another question", alive=False)
        return reply

    def rewards(self, completions: list[str], columns: dict[str, list[Any]]) -> list[float | str]:
        """A number for each completion, or the sentence that says why there is none. Raises BatchFailed."""
        reply = self.ask({"completions": completions, "columns": columns}, self.batch_seconds)
        self.printed = printable(str(reply.get("printed", "")), 2000)
        if "error" in reply:
            raise BatchFailed(str(reply["error"]), alive=True)
        values = reply.get("rewards")
        if not isinstance(values, list) or len(values) != len(completions):
            raise BatchFailed("the reward returned another number of values than completions", alive=True)
        return [checked(value) for value in values]

    def stop(self) -> None:
        if self.process is None:
            return
        process, self.process = self.process, None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)

    def _ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        ends = time.monotonic() + seconds
        try:
            _write(self.process.stdin.fileno(), message, ends)
            return _read(self.process.stdout.fileno(), ends)
        except TimeoutError:
            self.stop()
            raise BatchFailed(f"no answer within {seconds:g} s", alive=False) from None
        except (OSError, EOFError):
            reason = _end_of(self.process)
            self.stop()
            raise BatchFailed(f"the reward ended its process{reason}", alive=False) from None
        except ValueError as error:
            self.stop()
            raise BatchFailed(f"the reward sent no valid answer ({error})", alive=False) from None


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", str(JAIL), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )


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


def _end_of(process: subprocess.Popen[bytes]) -> str:
    try:
        # The pipe closes a moment before the process can be waited for.
        code = process.wait(0.5)
    except subprocess.TimeoutExpired:
        return ""
    return f" (signal {-code})" if code < 0 else f" (exit code {code})"


def _close(pipe: Any) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        # What was still to be sent has nobody to read it any more.
        return


def _write(pipe: int, message: dict[str, Any], ends: float) -> None:
    body = json.dumps(message).encode()
    left = memoryview(struct.pack("<I", len(body)) + body)
    os.set_blocking(pipe, False)
    while left:
        if not select.select([], [pipe], [], _seconds_to(ends))[1]:
            raise TimeoutError
        left = left[os.write(pipe, left[: 1 << 16]) :]


def _read(pipe: int, ends: float) -> dict[str, Any]:
    size = struct.unpack("<I", _exactly(pipe, 4, ends))[0]
    if size > LONGEST_ANSWER:
        raise ValueError(f"{size} bytes; at most {LONGEST_ANSWER} are read")
    try:
        message = json.loads(_exactly(pipe, size, ends))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("not an object")
    return message


def _exactly(pipe: int, size: int, ends: float) -> bytes:
    received = bytearray()
    while len(received) < size:
        if not select.select([pipe], [], [], _seconds_to(ends))[0]:
            raise TimeoutError
        part = os.read(pipe, min(size - len(received), 1 << 20))
        if not part:
            raise EOFError
        received += part
    return bytes(received)


def _seconds_to(moment: float) -> float:
    return max(0.0, moment - time.monotonic())
