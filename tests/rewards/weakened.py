"""Jails with a protection really removed: controls that show what each one contains."""

from __future__ import annotations

import os
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
    """The jail at `path`, whose code may import what makes attacks easy."""
    wide = {'"linecache encodings.idna "': f'"linecache encodings.idna {HOSTILE_MODULES}"'}
    return changed(wide, path, path.read_text())


def changed(replaced: dict[str, str], path: Path, source: str = "") -> Path:
    source = source or jail_process.JAIL.read_text()
    for old, new in replaced.items():
        assert source.count(old) == 1, f"jail.py has no longer one {old!r}"
        source = source.replace(old, new)
    path.write_text(source)
    # It is read by users that own nothing here.
    path.chmod(0o644)
    for folder in path.parents[:3]:
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o055)
    return path
