"""Jails with a protection really removed: controls that show what each one contains."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rewards.sandbox import jail_process

# What stands in jail.py, and what stands there instead.
REMOVED = {
    "seccomp": ("libc.syscall(SYS_SECCOMP, SECCOMP_SET_FILTER, SECCOMP_EVERY_THREAD, header)", "0"),
    "landlock": ("*landlock()", ""),
    "limits": ("        resource.setrlimit(limit, (value, value))", "        continue"),
    "rights": ("    if os.geteuid() == 0:\n", "    if False:\n"),
    "self-test": ("    escaped = [", "    return\n    escaped = ["),
}  # fmt: skip
ALL = frozenset(REMOVED)
# So that it is the kernel that refuses, and not a missing file.
HOSTILE_MODULES = "subprocess multiprocessing.shared_memory sqlite3 threading ssl encodings.utf_16"


def without(removed: Iterable[str], path: Path) -> Path:
    return changed(dict(REMOVED[name] for name in removed), path)


def preloaded(path: Path) -> Path:
    """A jail whose code may import what makes attacks easy."""
    return changed({'"linecache encodings.idna "': f'"linecache encodings.idna {HOSTILE_MODULES}"'}, path)


def changed(replaced: dict[str, str], path: Path) -> Path:
    source = jail_process.JAIL.read_text()
    for old, new in replaced.items():
        assert source.count(old) == 1, f"jail.py has no longer one {old!r}"
        source = source.replace(old, new)
    path.write_text(source)
    # The nursery may be started by a user who has nothing but that right.
    path.chmod(0o644)
    return path
