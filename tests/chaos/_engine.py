"""An engine without torch whose every value follows from the one before: a step that is lost, doubled or done from a
wrong state shows in all that come after it. Checkpoints, signs of life and errors are the product's own.

CHAOS_SECONDS is the length of a step. CHAOS_TRAPS is a JSON list of misbehaviours, each {"at": step, "do": name}; each
is sprung once in the life of a session unless it says "always".
"""

from __future__ import annotations

import json
import mmap
import os
import re
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from training.engine import beats, checkpoints, files
from training.engine.problems import explained
from training.engine.run import Outcome, RunSpec
from training.events import Emit, EngineEvent

__all__ = ["RunSpec", "run"]

BALLAST = 200_000
# The step whose checkpoint is being written.
saving = 0


def values(steps: int, start: tuple[int, int] = (0, 1)) -> Iterator[tuple[int, int]]:
    """(step, state) of each step after `start`."""
    step, state = start
    while step < steps:
        step, state = step + 1, (state * 6364136223846793005 + step + 1) % 2**61
        yield step, state


def reward_of(state: int) -> float:
    return state % 10**6 / 10**6


def run(spec: RunSpec, emit: Emit, should_stop: Callable[[], bool]) -> Outcome:
    try:
        return go(spec, emit, should_stop)
    except Exception as error:
        raise explained(error, spec.folder) or error from error


def go(spec: RunSpec, emit: Emit, should_stop: Callable[[], bool]) -> Outcome:
    checkpoints.remove_unfinished(spec.folder)
    pulse = beats.Pulse(spec.folder)
    steps, every = spec.config.training.max_steps or 0, spec.config.training.save_steps
    found = checkpoints.newest_verified(spec.folder, "training", print) if spec.resume else None
    start = loaded(found)
    data = {"status": "training", "label": "Training", "total_steps": steps}
    emit(EngineEvent("phase", "training", data | {"resumed_from": start[0] if spec.resume else None}))
    for step, state in values(steps, start):
        if should_stop():
            save(spec, emit, *start)
            return Outcome("stopped", None)
        pulse.enter(beats.TRAINING)
        spring(spec, step)
        time.sleep(float(os.environ.get("CHAOS_SECONDS", "0.02")))
        emit(EngineEvent("metrics", "training", {"reward": reward_of(state)}, step))
        start = step, state
        if step % every == 0:
            pulse.enter(beats.SAVING)
            save(spec, emit, step, state)
    (spec.folder / "adapter").mkdir(exist_ok=True)
    return Outcome("completed", spec.folder / "adapter")


def loaded(path: Path | None) -> tuple[int, int]:
    if path is None:
        return 0, 1
    step, state = json.loads((path / "state.json").read_text())
    assert (path / "ballast").stat().st_size == BALLAST, "half a checkpoint was taken for a whole one"
    return step, state


def save(spec: RunSpec, emit: Emit, step: int, state: int) -> None:
    """Slowly, so that a kill finds it at it."""
    global saving
    saving = step
    target = checkpoints.checkpoint_path(spec.folder, "training", step)
    with files.unfinished_folder(target.parent) as folder:
        (folder / "state.json").write_text(json.dumps([step, state]))
        with (folder / "ballast").open("wb") as file:
            for _ in range(10):
                file.write(b"x" * (BALLAST // 10))
                file.flush()
                time.sleep(0.01)
        made = files.publish(folder, target, step=step, reward=reward_of(state))
    checkpoints.rotate(spec.folder, "training", spec.config.training.save_total_limit)
    facts = {"path": f"checkpoints/{target.name}", "bytes": made.bytes, "sha256": made.sha256}
    emit(EngineEvent("checkpoint", "training", facts, step))


def spring(spec: RunSpec, step: int) -> None:
    for trap in json.loads(os.environ.get("CHAOS_TRAPS", "[]")):
        sprung = spec.folder / f"sprung-{trap['at']}-{trap['do'].replace(' ', '-')}"
        if trap["at"] == step and (trap.get("always") or not sprung.exists()):
            sprung.touch()
            TRAPS[trap["do"]](spec)


def hold_the_interpreter(spec: RunSpec) -> None:
    re.match(r"(a+)+$", "a" * 64 + "b")


def sleep_for_ever(spec: RunSpec) -> None:
    while True:
        time.sleep(60)


def freeze(spec: RunSpec) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def use_all_memory(spec: RunSpec) -> None:
    """Only passes of more than two answers do not fit."""
    if spec.config.training.batch_size > 2:
        room = 100 * 2**20
        used = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
        resource.setrlimit(resource.RLIMIT_AS, (used + room, resource.RLIM_INFINITY))
        bytearray(10 * room)


GROUP_BYTES = 64 * 2**20


def memory_group(name: str) -> tuple[Path, Path] | None:
    """A new control group and the file of its limit, if this process may make one: of version 1 or 2."""
    for parent, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        folder = Path(parent) / name
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / limit).exists():
            return folder, folder / limit
        folder.rmdir()
    return None


def crowd_the_machine(spec: RunSpec) -> None:
    """The kernel kills it: the machine is a control group, and only passes of more than two answers do not fit."""
    if spec.config.training.batch_size > 2:
        group = memory_group(f"loracraft-chaos-{os.getpid()}")
        assert group is not None, "no right to make a control group"
        folder, limit = group
        limit.write_text(str(GROUP_BYTES))
        (folder / "cgroup.procs").write_text(str(os.getpid()))
        # Pages count once they are written to.
        bytearray(b"x") * (4 * GROUP_BYTES)


def be_killed(spec: RunSpec) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


TRAPS: dict[str, Callable[[RunSpec], Any]] = {
    "hold": hold_the_interpreter,
    "sleep": sleep_for_ever,
    "freeze": freeze,
    "memory": use_all_memory,
    "crowd": crowd_the_machine,
    "kill": be_killed,
}
