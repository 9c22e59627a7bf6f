"""What this machine computes on, found out without torch."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings

from jobs import leases


@dataclass(frozen=True)
class Device:
    """`name` and `memory` (bytes) are those of the first GPU; without one they are empty and None."""

    kind: str
    name: str = ""
    memory: int | None = None
    count: int = 0
    unsloth: bool = False

    @property
    def mode(self) -> str:
        if self.kind == "cpu":
            return "No GPU detected - running in CPU mode"
        more = f" and {self.count - 1} more" if self.count > 1 else ""
        return f"GPU detected - {self.name} ({(self.memory or 0) / 1024**3:.0f} GB){more}"

    @property
    def unsloth_line(self) -> str:
        if self.kind == "cpu":
            return "Unsloth optimizations: DISABLED (requires CUDA)"
        return f"Unsloth optimizations: {'ENABLED' if self.unsloth else 'DISABLED (not installed)'}"

    @property
    def lines(self) -> list[str]:
        return [self.mode, self.unsloth_line]

    @property
    def status(self) -> str:
        return "CPU Mode (No GPU Detected)" if self.kind == "cpu" else self.name


@functools.cache
def detect() -> Device:
    with _nvml() as nvml:
        if nvml is None or not nvml.nvmlDeviceGetCount():
            return Device("cpu")
        first = _first_visible(nvml)
        return Device(
            "cuda",
            name=str(nvml.nvmlDeviceGetName(first)),
            memory=int(nvml.nvmlDeviceGetMemoryInfo(first).total),
            count=int(nvml.nvmlDeviceGetCount()),
            unsloth=importlib.util.find_spec("unsloth") is not None,
        )


@dataclass(frozen=True)
class Offer:
    """A device that sessions are given, so many at a time. No other machine has one of the same `key`."""

    key: str
    title: str
    slots: int
    is_gpu: bool


def offered() -> list[Offer]:
    """The GPUs of this machine, for one session each; without one its CPU. LORACRAFT_DEVICES chooses among them."""
    named = dict(gpus())
    wanted = settings.DEVICES or list(named) or ["cpu"]
    return [_cpu() if key == "cpu" else Offer(key, named.get(key, key), 1, True) for key in wanted]


def _cpu() -> Offer:
    return Offer(f"cpu@{leases.place()}", "CPU", settings.MAX_SESSIONS_PER_WORKER, False)


@functools.cache
def gpus() -> tuple[tuple[str, str], ...]:
    """(UUID, name) of every GPU that this process may use."""
    with _nvml() as nvml:
        if nvml is None:
            return ()
        cards = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        found = [(str(nvml.nvmlDeviceGetUUID(card)), str(nvml.nvmlDeviceGetName(card))) for card in cards]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(found)
    named = [word.strip() for word in visible.split(",")]
    return tuple(card for number, card in enumerate(found) if str(number) in named or card[0] in named)


def sample(folder: Path) -> dict[str, Any]:
    """Data of a `system` event; the disk is the one that holds `folder`."""
    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(folder))
    return {
        "cpu_percent": psutil.cpu_percent(),
        "ram_used": memory.total - memory.available,
        "ram_total": memory.total,
        "disk_used": disk.used,
        # What root keeps for itself is neither used nor free: the line at the top is where writing fails.
        "disk_total": disk.used + disk.free,
        **_gpu_sample(),
    }


def _gpu_sample() -> dict[str, Any]:
    nothing = dict.fromkeys(("gpu_name", "gpu_memory", "gpu_memory_total", "gpu_utilization"))
    with _nvml() as nvml:
        if nvml is None or not nvml.nvmlDeviceGetCount():
            return nothing
        gpu = _first_visible(nvml)
        memory = nvml.nvmlDeviceGetMemoryInfo(gpu)
        return {
            "gpu_name": str(nvml.nvmlDeviceGetName(gpu)),
            "gpu_memory": int(memory.used),
            "gpu_memory_total": int(memory.total),
            "gpu_utilization": int(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu),
        }


def _first_visible(nvml: Any) -> Any:
    """The card that torch calls cuda:0: CUDA_VISIBLE_DEVICES hides others from torch, but not from NVML."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    if named.startswith("GPU-"):
        return nvml.nvmlDeviceGetHandleByUUID(named)
    index = int(named) if named.isascii() and named.isdigit() else 0
    return nvml.nvmlDeviceGetHandleByIndex(index if index < nvml.nvmlDeviceGetCount() else 0)


@contextlib.contextmanager
def _nvml() -> Iterator[Any]:
    """NVIDIA's management library, or None where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()
