"""The inside of the sandbox: runs a user's reward function in a process that can do nothing but compute and answer.

Started as a script by a fresh interpreter (`python -P -s -S -B jail.py`), never imported by the program and never
forked from it, so that nothing of the program is in its memory. Linux on x86_64 only.

There are two kinds of process. The first one, the nursery, imports what user code may use, gives up rights, locks
itself down, tests that the lock holds, and then does nothing but fork a process for each batch: no line of user code
runs in it, so each batch begins with the same untouched interpreter, whatever the one before did to its own. The
process of a batch gives up the rest, locks down further, tests its lock, and runs user code.

The nursery is told what to do on standard input, a socket: a descriptor to fork for, then that the process may be
buried. Requests and answers of a batch go over that descriptor, each as a 4-byte length and JSON.
"""

from __future__ import annotations

import ast
import ctypes
import errno
import gc
import importlib
import inspect
import io
import itertools
import json
import math
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

# What user code may import: no file can be opened once the lock is on. The last two are looked up by the interpreter.
MODULES = (
    "abc array ast base64 bisect calendar cmath collections collections.abc contextlib copy dataclasses datetime "
    "decimal difflib enum fractions functools hashlib heapq html html.parser inspect io itertools json math numbers "
    "operator random re statistics string struct textwrap time tokenize types typing unicodedata urllib.parse zlib "
    "linecache encodings.idna "
)

NOBODY = 65534
MEMORY_BYTES = 512 << 20
# More than a batch may take by the clock, which is kept outside. A program is asked for many values, one after another.
CPU_SECONDS, PROGRAM_CPU_SECONDS = 120, 3600
MOST_PRINTED = 64 << 10
LONGEST_MESSAGE = 300
USER_CODE = ("<reward>", "<answer>", "<test>")
CANNOT_LOCK = 70

# System calls of x86_64 that plain computing needs; every other one fails with EPERM.
ALLOWED = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "munmap": 11, "brk": 12,
    "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sched_yield": 24, "mremap": 25, "madvise": 28,
    "nanosleep": 35, "getpid": 39, "exit": 60, "gettimeofday": 96, "getrusage": 98, "sigaltstack": 131, "gettid": 186,
    "time": 201, "futex": 202, "restart_syscall": 219, "clock_gettime": 228, "clock_getres": 229,
    "clock_nanosleep": 230, "exit_group": 231, "set_robust_list": 273, "getrandom": 318, "rseq": 334,
}  # fmt: skip
# Allowed unless they ask for executable memory.
MEMORY_CALLS = {"mmap": 9, "mprotect": 10}
# What the nursery may do beyond that: fork, wait, take a descriptor, and let its children lock themselves down further.
NURSERY_CALLS = {
    "recvmsg": 47, "fork": 57, "wait4": 61, "getppid": 110, "prctl": 157, "prlimit64": 302, "seccomp": 317,
}  # fmt: skip
CLONE = 56
# CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID and SIGCHLD: what the C library's fork() asks for. No threads, no namespaces.
FORK_FLAGS = 0x01200011
SYS_SECCOMP, SYS_LANDLOCK_CREATE, SYS_LANDLOCK_RESTRICT = 317, 444, 446
AUDIT_ARCH_X86_64 = 0xC000003E
X32_BIT = 0x40000000
SECCOMP_KILL, SECCOMP_ERRNO, SECCOMP_ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
SECCOMP_SET_FILTER, SECCOMP_EVERY_THREAD = 1, 1
BPF_LOAD, BPF_EQUAL, BPF_AT_LEAST, BPF_ANY_BIT, BPF_RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38

libc = ctypes.CDLL(None, use_errno=True)


class CannotLock(Exception):
    """The system does not enforce a part of the sandbox."""


def lock_nursery(parent: int) -> list[str]:
    """Gives up everything but forking. Returns the names of the layers that hold."""
    if len(os.listdir("/proc/self/task")) != 1:
        raise CannotLock("more than one thread is running")
    give_up_rights()
    limit_resources(NURSERY_LIMITS)
    end_with(parent)
    require(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0, "not dumpable")
    require(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges")
    layers = ["rlimits", *landlock()]
    filter_system_calls(ALLOWED | NURSERY_CALLS, may_fork=True)
    prove_locked(set(attempts(parent)) - {"forked"}, parent)
    return [*layers, "seccomp"]


def lock_batch(cpu_seconds: int) -> None:
    """What the process of a batch gives up beyond that. Landlock and the limits of the nursery are inherited."""
    nursery = os.getppid()
    limit_resources({resource.RLIMIT_NPROC: 0, resource.RLIMIT_CPU: cpu_seconds})
    filter_system_calls(ALLOWED)
    prove_locked(set(attempts(nursery)), nursery)


def end_with(parent: int) -> None:
    require(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0, "PDEATHSIG")
    if os.getppid() != parent:
        os._exit(0)


def require(holds: bool, what: str) -> None:
    if not holds:
        raise CannotLock(f"{what}: {os.strerror(ctypes.get_errno())}")


def give_up_rights() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


# RLIMIT_NPROC would forbid forking to a nursery that is not root's, so only the processes of batches get it.
NURSERY_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_NOFILE: 16,
    resource.RLIMIT_MSGQUEUE: 0,
    resource.RLIMIT_AS: MEMORY_BYTES,
}


def limit_resources(limits: dict[int, int]) -> None:
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))


def landlock() -> list[str]:
    """Handles every right that the kernel knows and grants none. Kernels without it rely on the filter alone."""
    version = libc.syscall(SYS_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return []
    file_rights = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    rights = [file_rights] + ([3] if version >= 4 else []) + ([3] if version >= 6 else [])
    attributes = struct.pack(f"{len(rights)}Q", *rights)
    rules = libc.syscall(SYS_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    require(rules >= 0 and libc.syscall(SYS_LANDLOCK_RESTRICT, rules, 0) == 0, "Landlock")
    os.close(rules)
    return [f"landlock {version}"]


def filter_system_calls(calls: dict[str, int], *, may_fork: bool = False) -> None:
    program = b"".join(filter_program(calls, may_fork))
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(instructions))
    set_filter = libc.syscall(SYS_SECCOMP, SECCOMP_SET_FILTER, SECCOMP_EVERY_THREAD, header)
    require(set_filter == 0, "seccomp")


def filter_program(calls: dict[str, int], may_fork: bool) -> list[bytes]:
    """Classic BPF over struct seccomp_data: call number at 0, architecture at 4, arguments from 16 on, 8 bytes each."""
    refuse = statement(BPF_RETURN, SECCOMP_ERRNO | errno.EPERM)
    allow = statement(BPF_RETURN, SECCOMP_ALLOW)
    program = [
        statement(BPF_LOAD, 4),
        jump(BPF_EQUAL, AUDIT_ARCH_X86_64, 1, 0),
        statement(BPF_RETURN, SECCOMP_KILL),
        statement(BPF_LOAD, 0),
        jump(BPF_AT_LEAST, X32_BIT, 0, 1),
        statement(BPF_RETURN, SECCOMP_KILL),
    ]
    for number in MEMORY_CALLS.values():
        program += [
            jump(BPF_EQUAL, number, 0, 4),
            statement(BPF_LOAD, 32),
            jump(BPF_ANY_BIT, mmap.PROT_EXEC, 0, 1),
            refuse,
            allow,
        ]
    if may_fork:
        program += [
            jump(BPF_EQUAL, CLONE, 0, 4),
            statement(BPF_LOAD, 16),
            jump(BPF_EQUAL, FORK_FLAGS, 0, 1),
            allow,
            refuse,
        ]
    for number in sorted(calls.values()):
        program += [jump(BPF_EQUAL, number, 0, 1), allow]
    return [*program, refuse]


def statement(code: int, operand: int) -> bytes:
    return struct.pack("HBBI", code, 0, 0, operand)


def jump(code: int, operand: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, operand)


def prove_locked(names: set[str], parent: int) -> None:
    """Measured from the inside instead of trusting the calls above. Raises CannotLock for what was not refused."""
    escaped = [name for name, attempt in attempts(parent).items() if name in names and not refused(attempt)]
    if escaped:
        raise CannotLock(f"after the lock-down it {', '.join(escaped)}")


def attempts(parent: int) -> dict[str, Callable[[], object]]:
    return {
        "opened a file": lambda: os.open("/etc/hostname", os.O_RDONLY),
        "read an environment": lambda: os.open("/proc/self/environ", os.O_RDONLY),
        "wrote a file": lambda: os.open("/tmp/sandbox-self-test", os.O_WRONLY | os.O_CREAT),  # noqa: S108
        "listed a folder": lambda: os.listdir("/"),
        "made a socket": socket.socket,
        "forked": fork,
        "started a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
        "signalled its parent": lambda: os.kill(parent, 0),
        "made memory executable": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    }


def refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return True
    return False


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)


class Printed(io.TextIOBase):
    """Takes what user code prints; the last part of it is kept for the person who wrote it."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text = (self.text + str(text)[-MOST_PRINTED:])[-MOST_PRINTED:]
        return len(text)


class Channel:
    """Requests and answers of one batch."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def receive(self) -> dict[str, Any]:
        size = struct.unpack("<I", self._read(4))[0]
        return json.loads(self._read(size))

    def _read(self, size: int) -> bytes:
        parts, missing = [], size
        while missing:
            part = os.read(self.descriptor, min(missing, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message, allow_nan=False).encode()
        frame = struct.pack("<I", len(body)) + body
        while frame:
            frame = frame[os.write(self.descriptor, frame) :]


def checked(value: object) -> float | dict[str, str] | None:
    """A number as it goes back, or what is wrong with it."""
    if value is None:
        return None
    if isinstance(value, (bool, str, bytes)) or not isinstance(value, (int, float)):
        return {"error": f"the reward is a {type(value).__name__}, not a number"}
    try:
        number = float(value)
    except OverflowError:
        return {"error": "the reward is too large"}
    return number if math.isfinite(number) else {"error": f"the reward is {number}"}


def explained(error: BaseException) -> str:
    """Class, message and line of the user's code."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename in USER_CODE]
    at = f" (line {lines[-1]})" if lines else ""
    text = f"{type(error).__name__}: {error}"[:LONGEST_MESSAGE] + at
    return text.encode("utf-8", "backslashreplace").decode()


def scores(function: Callable[[list[str], dict[str, list[Any]]], Any], request: dict[str, Any]) -> list[Any]:
    count = len(request["completions"])
    returned = function(request["completions"], request["columns"])
    # One more than asked for is enough to see that an endless iterator is too long.
    values = list(itertools.islice(iter(returned), count + 1))
    if len(values) != count:
        more = "more" if len(values) > count else len(values)
        raise ValueError(f"reward() returned {more} values for {count} completions")
    return [checked(value) for value in values]


def answer(function: Any, request: dict[str, Any], printed: Printed) -> dict[str, Any]:
    printed.text = ""
    try:
        return {"id": request["id"], "rewards": scores(function, request), "printed": printed.text[-2000:]}
    except BaseException as error:
        return {"id": request["id"], "error": explained(error), "printed": printed.text[-2000:]}


def user_function(code: str) -> Callable[[list[str], dict[str, list[Any]]], Any]:
    """The function of the code that scores, called as its arguments ask."""
    names: dict[str, Any] = {"__name__": "reward"}
    exec(compile(code, "<reward>", "exec"), names)  # noqa: S102  this process is the sandbox
    tree = ast.parse(code)
    function = names.get(chosen([node.name for node in tree.body if isinstance(node, ast.FunctionDef)]))
    if not callable(function):
        raise ValueError("the code defines no function called reward(completions, **columns)")
    takes = inspect.signature(function).parameters
    if {"sample", "item"} <= takes.keys():
        return lambda completions, columns: by_row(function, graded(completions, columns))
    if "response" in takes:
        return lambda completions, columns: by_row(function, (wanted(row, takes) for row in rows(completions, columns)))
    as_messages = any(isinstance(node, ast.Constant) and node.value == "content" for node in ast.walk(tree))
    return lambda completions, columns: function(**wanted(batch(completions, columns, as_messages), takes))


def chosen(names: list[str]) -> str:
    """Of the functions in the code: reward, grade, the first with reward in its name, or the only one."""
    named = [name for name in ("reward", "grade") if name in names] + [name for name in names if "reward" in name]
    return named[0] if named else names[0] if len(names) == 1 else ""


def by_row(function: Any, arguments: Iterable[dict[str, Any]]) -> Iterator[Any]:
    return (function(**given) for given in arguments)


def rows(completions: list[str], columns: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for place, text in enumerate(completions):
        row = {name: values[place] for name, values in columns.items()}
        yield row | {"response": text, "columns": row}


def graded(completions: list[str], columns: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """As OpenAI's Python grader is called: grade(sample, item)."""
    for row in rows(completions, columns):
        try:
            parsed = json.loads(row["response"])
        except (ValueError, RecursionError):
            parsed = None
        yield {"sample": {"output_text": row["response"], "output_json": parsed}, "item": row["columns"]}


def batch(completions: list[str], columns: dict[str, list[Any]], as_messages: bool) -> dict[str, Any]:
    """As TRL calls a reward function. Texts become messages where the code reads the "content" of something."""
    prompts = columns.get("instruction", [""] * len(completions))
    given = {"prompts": prompts, "completions": completions}
    if as_messages:
        given["prompts"] = [[{"role": "user", "content": text}] for text in prompts]
        given["completions"] = [[{"role": "assistant", "content": text}] for text in completions]
    return columns | given


def wanted(given: dict[str, Any], takes: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """All of it for a function with **columns, else what it names."""
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        return given
    return {name: value for name, value in given.items() if name in takes}


LONGEST_VALUE = 64 << 10
PLAIN: dict[Any, str] = {int: "int", float: "float", str: "str", bool: "bool", type(None): "none"}
HOLDERS: dict[Any, str] = {list: "list", tuple: "tuple", set: "set", frozenset: "set"}


class NotPlain(Exception):
    """A value that can't be told from outside, such as an object that says it equals everything."""


def described(value: Any, deeper: int = 20) -> list[Any]:
    """`value` as JSON that keeps its types. Exact types only: a subclass may lie about what it is."""
    kind = type(value)
    if kind in PLAIN:
        return [PLAIN[kind], repr(value) if kind in (int, float) else value]
    if not deeper:
        raise NotPlain("the result is nested too deeply")
    if kind in HOLDERS:
        return [HOLDERS[kind], [described(inner, deeper - 1) for inner in value]]
    if kind is dict:
        return ["dict", [[described(key, deeper - 1), described(inner, deeper - 1)] for key, inner in value.items()]]
    raise NotPlain(f"the result is a {kind.__name__}, no plain value")


class Program:
    """An answer's code: run at once and then asked for values, or run again for each input."""

    def __init__(self, source: str) -> None:
        self.code = compile(source, "<answer>", "exec")
        self.names: dict[str, object] = {}

    def run(self, text: str = "") -> str:
        """What it prints, given `text` as standard input."""
        self.names = {"__name__": "__main__"}
        before, printed = (sys.stdin, sys.stdout), Printed()
        sys.stdin, sys.stdout = io.StringIO(text), printed
        try:
            exec(self.code, self.names)  # noqa: S102  this process is the sandbox
        finally:
            sys.stdin, sys.stdout = before
        return printed.text

    def value(self, expression: str, setup: str) -> list[Any]:
        exec(compile(setup, "<test>", "exec"), self.names)  # noqa: S102
        return described(eval(compile(expression, "<test>", "eval"), self.names))  # noqa: S307


def tested(request: dict[str, Any], programs: list[Program]) -> Any:
    if "program" in request:
        programs[:] = [Program(request["program"])]
        return programs[0].run() if request["at_once"] else ""
    if "input" in request:
        return programs[0].run(request["input"])
    return programs[0].value(request["expression"], request["setup"])


def outcome(request: dict[str, Any], programs: list[Program]) -> dict[str, Any]:
    try:
        value = tested(request, programs)
        if len(json.dumps(value)) > LONGEST_VALUE:
            raise NotPlain(f"the result is longer than {LONGEST_VALUE >> 10} kB")
        return {"id": request["id"], "value": value}
    except BaseException as error:
        return {"id": request["id"], "error": explained(error)}


def serve_programs(channel: Channel) -> None:
    programs: list[Program] = []
    channel.send({"ready": True})
    while True:
        channel.send(outcome(channel.receive(), programs))


def serve_rewards(channel: Channel, code: str) -> None:
    printed = Printed()
    sys.stdout = sys.stderr = printed
    try:
        function = user_function(code)
    except BaseException as error:
        channel.send({"error": explained(error)})
        os._exit(1)
    channel.send({"ready": True})
    while True:
        channel.send(answer(function, channel.receive(), printed))


def received_code(channel: Channel) -> str | None:
    """The first request of a batch. When it is known what for, the process is locked down."""
    code: str | None = channel.receive()["code"]
    try:
        lock_batch(PROGRAM_CPU_SECONDS if code is None else CPU_SECONDS)
    except (CannotLock, OSError, ValueError) as error:
        channel.send({"refused": str(error)})
        os._exit(CANNOT_LOCK)
    return code


def forked_for_a_batch(control: socket.socket) -> Channel:
    """Forks for each descriptor that comes, and returns in the child only.

    A child is buried only when told, so until then its number can't become another's and be killed in its place.
    """
    nursery, told = os.getpid(), control.fileno()
    while descriptors := socket.recv_fds(control, 16, 1)[1]:
        child = os.fork()
        if child == 0:
            control.close()
            end_with(nursery)
            return Channel(descriptors[0])
        os.close(descriptors[0])
        os.write(told, struct.pack("<i", child))
        still_there = os.read(told, 16)
        status = os.waitpid(child, 0)[1]
        if not still_there:
            break
        os.write(told, struct.pack("<i", status))
    os._exit(0)


def moved_away(standard: int) -> int:
    """The descriptor behind standard input, so that a stray print or read can't meet it."""
    kept = os.dup(standard)
    nothing = os.open(os.devnull, os.O_RDWR)
    for place in (0, 1, 2):
        os.dup2(nothing, place)
    os.close(nothing)
    return kept


def locked_nursery(parent: int) -> socket.socket:
    for module in MODULES.split():
        importlib.import_module(module)
    control = socket.socket(fileno=moved_away(0))
    os.environ.clear()
    try:
        layers = lock_nursery(parent)
    except (CannotLock, OSError, ValueError) as error:
        os.write(control.fileno(), json.dumps({"refused": str(error)}).encode())
        os._exit(CANNOT_LOCK)
    os.write(control.fileno(), json.dumps({"layers": layers}).encode())
    # Pages that the collector does not touch stay shared with the processes of the batches.
    gc.collect()
    gc.freeze()
    return control


def main() -> None:
    # Few locals: user code can look into the frames below its own.
    channel = forked_for_a_batch(locked_nursery(int(sys.argv[1])))
    code = received_code(channel)
    if code is None:
        serve_programs(channel)
    else:
        serve_rewards(channel, code)


if __name__ == "__main__":
    main()
