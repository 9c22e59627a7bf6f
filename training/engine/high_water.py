"""The most memory that this process has held since a moment: of the GPU where there is one, else of the machine."""

from __future__ import annotations

import contextlib
import re
import resource
from pathlib import Path

import torch


def begin() -> None:
    """From here on `peak` counts anew, where the system allows it: Linux does for a process's own mark."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Bytes."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resident_peak()


def resident_peak() -> int:
    """Not getrusage where it can be helped: a child inherits its parent's mark there."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
