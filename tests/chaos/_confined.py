"""Runs the attacks of tests/chaos/sandbox.py as on other systems: `python -m tests.chaos._confined NAME SIZES`.

The whole process, and so everything that it starts, first takes itself what such a system does not give. Nothing in the
product knows of this, and no setting of the product weakens its sandbox.
"""

# ruff: noqa: T201
from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.sandbox import jail, jail_process
from tests.chaos import sandbox
from tests.rewards.weakened import ALL, preloaded, without

# What Docker's default profile refuses to a process without capabilities: every call of x86_64 that it does not list.
DOCKER_REFUSES = {
    "syslog": 103, "uselib": 134, "ustat": 136, "sysfs": 139, "vhangup": 153, "pivot_root": 155, "_sysctl": 156,
    "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168,
    "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174,
    "init_module": 175, "delete_module": 176, "get_kernel_syms": 177, "query_module": 178, "quotactl": 179,
    "nfsservctl": 180, "getpmsg": 181, "putpmsg": 182, "afs_syscall": 183, "tuxcall": 184, "security": 185,
    "lookup_dcookie": 212, "clock_settime": 227, "vserver": 236, "mbind": 237, "set_mempolicy": 238,
    "get_mempolicy": 239, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "migrate_pages": 256,
    "unshare": 272, "move_pages": 279, "perf_event_open": 298, "fanotify_init": 300, "open_by_handle_at": 304,
    "setns": 308, "kcmp": 312, "finit_module": 313, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438, "process_madvise": 440,
    "mount_setattr": 442, "quotactl_fd": 443, "set_mempolicy_home_node": 450,
}  # fmt: skip
CLONE3 = 435
NEW_NAMESPACES = 0x7E020000
LANDLOCK = {"landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446}
ORDINARY_USER = 1000


@dataclass(frozen=True)
class Configuration:
    """`refused`: errno by the number of the system call. `removed`: protections taken out of the jail itself."""

    expected: str = "contained"
    refused: tuple[tuple[int, int], ...] = ()
    docker: bool = False
    preloaded: bool = False
    removed: frozenset[str] = frozenset()


NO_LANDLOCK = tuple((number, errno.ENOSYS) for number in LANDLOCK.values())
CONFIGURATIONS = {
    "native": Configuration(),
    "preloaded": Configuration(preloaded=True),
    "docker": Configuration(docker=True),
    "docker-preloaded": Configuration(docker=True, preloaded=True),
    "seccomp-only": Configuration(refused=NO_LANDLOCK),
    "docker-seccomp-only": Configuration(docker=True, refused=NO_LANDLOCK),
    "landlock-fails": Configuration("refused", refused=((LANDLOCK["landlock_restrict_self"], errno.EPERM),)),
    "no-seccomp": Configuration("refused", refused=((jail.SYS_SECCOMP, errno.ENOSYS),)),
    "unprotected": Configuration("escapes", removed=ALL),
}


def confine(configuration: Configuration) -> None:
    """Can't be taken back: for this process and all that it starts."""
    if configuration.docker and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER)
        os.setresuid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER)
        sys.executable = interpreter_of_all()
    refused = dict(configuration.refused)
    if configuration.docker:
        refused |= dict.fromkeys(DOCKER_REFUSES.values(), errno.EPERM) | {CLONE3: errno.ENOSYS}
    if not refused:
        return
    jail.require(jail.libc.prctl(jail.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no new privileges")
    program = b"".join(refusing(refused, configuration.docker))
    instructions = ctypes.create_string_buffer(program, len(program))
    header = jail.struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(instructions))
    jail.require(jail.libc.syscall(jail.SYS_SECCOMP, jail.SECCOMP_SET_FILTER, 0, header) == 0, "seccomp")


def interpreter_of_all() -> str:
    """This one, or the system's where this one lies in a home folder that is closed to others."""
    found = [one for one in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3") if os.access(one, os.X_OK)]
    if not found:
        raise SystemExit(f"user {ORDINARY_USER} can't run {sys.executable} and there is no python3 in /usr/bin")
    return found[0]


def refusing(errors: dict[int, int], no_namespaces: bool) -> list[bytes]:
    allow = jail.statement(jail.BPF_RETURN, jail.SECCOMP_ALLOW)
    program = [jail.statement(jail.BPF_LOAD, 0)]
    for number, error in errors.items():
        refuse = jail.statement(jail.BPF_RETURN, jail.SECCOMP_ERRNO | error)
        program += [jail.jump(jail.BPF_EQUAL, number, 0, 1), refuse]
    if no_namespaces:
        refuse = jail.statement(jail.BPF_RETURN, jail.SECCOMP_ERRNO | errno.EPERM)
        flags = jail.statement(jail.BPF_LOAD, 16)
        program += [jail.jump(jail.BPF_EQUAL, jail.CLONE, 0, 3), flags]
        program += [jail.jump(jail.BPF_ANY_BIT, NEW_NAMESPACES, 0, 1), refuse]
    return [*program, allow]


def found(configuration: Configuration, folder: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Without sizes only what the sandbox says of itself."""
    if not sizes:
        return sandbox.said()
    # Without limits a bomb would be one: only attacks that show themselves and end.
    return sandbox.control(folder) if configuration.removed else sandbox.measured(folder, **sizes)


def main() -> None:
    configuration = CONFIGURATIONS[sys.argv[1]]
    confine(configuration)
    with tempfile.TemporaryDirectory(prefix="loracraft-sandbox-") as folder:
        Path(folder).chmod(0o755)
        path = without(configuration.removed, Path(folder) / "jail.py")
        if configuration.preloaded:
            preloaded(path)
        if configuration.preloaded or configuration.removed:
            jail_process.JAIL = path
        sizes = json.loads(sys.argv[2])
        print(json.dumps(found(configuration, Path(folder), sizes)))


if __name__ == "__main__":
    main()
