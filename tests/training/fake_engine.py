"""An engine without torch: quick steps with known values, real checkpoints on disk, and misbehaviour on demand.

FAKE_STEPS, FAKE_SAVE_EVERY and FAKE_SECONDS (a step) set its size. FAKE_MODE makes it fail;
"stuck once" in the first attempt only.
"""

import ctypes
import errno
import os
import signal
import time
from pathlib import Path

from training.engine import beats
from training.engine.problems import EngineError, OutOfMemory
from training.engine.run import Outcome, RunSpec
from training.events import EngineEvent

__all__ = ["RunSpec", "run"]

PRE_STEPS = 2


def reward_at(step):
    return round(step / 7, 6)


def run(spec, emit, should_stop):
    mode = os.environ.get("FAKE_MODE", "")
    if mode == "stuck once" and spec.resume:
        mode = ""
    pulse = beats.Pulse(spec.folder)
    misbehave(mode)
    assert spec.train_rows and spec.composition.parts and spec.config.training.max_steps
    done = newest(spec.folder) if spec.resume else None
    emit(EngineEvent("phase", "starting", {"status": "starting", "label": "Loading the model", "total_steps": None}))
    if done is None:
        phase(emit, "pretraining", PRE_STEPS, 0 if spec.resume else None)
        for step in range(1, PRE_STEPS + 1):
            emit(EngineEvent("metrics", "pretraining", {"loss": 1 / step}, step))
    phase(emit, "training", spec.config.training.max_steps, done if done is not None else (0 if spec.resume else None))
    for step in range((done or 0) + 1, spec.config.training.max_steps + 1):
        if should_stop() and mode != "deaf":
            save(spec.folder, step - 1, emit)
            return Outcome("stopped", None)
        pulse.enter(beats.TRAINING)
        train(spec, emit, step, mode)
    (spec.folder / "adapter").mkdir(exist_ok=True)
    return Outcome("completed", spec.folder / "adapter", {"adapter": {"accuracy": 0.5}})


def phase(emit, name, steps, resumed_from):
    data = {"status": name, "label": name.title(), "total_steps": steps, "resumed_from": resumed_from}
    emit(EngineEvent("phase", name, data))


def train(spec, emit, step, mode):
    if mode == "disk full" and step == 3:
        raise OSError(errno.ENOSPC, "No space left on device")
    if mode == "killed at 3" and step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if mode.startswith("stuck") and step == 3:
        stay_here_for_ever()
    if mode.startswith("too large") and step == 3 and spec.config.training.batch_size > 2:
        raise OutOfMemory("The machine ran out of memory while training.", "Use less.")
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0.02")))
    emit(
        EngineEvent("metrics", "training", {"reward": reward_at(step), "loss": float("nan"), "seconds_left": 1.5}, step)
    )
    if step % spec.config.training.save_steps == 0:
        save(spec.folder, step, emit)


def stay_here_for_ever():
    # Holds the interpreter, as a regular expression without an end does, but sleeps: no thread of the trainer runs.
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)


def misbehave(mode):
    if mode == "engine error":
        raise EngineError("No rows fit.", "Use shorter rows.")
    if mode == "bug":
        raise RuntimeError("a fault of the program")
    if mode == "dies at once":
        os.kill(os.getpid(), signal.SIGKILL)


def save(folder: Path, step, emit):
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / f".{step}").write_text("whole")
    (folder / "checkpoints" / f".{step}").rename(folder / "checkpoints" / str(step))
    emit(EngineEvent("checkpoint", "training", {"path": f"checkpoints/{step}"}, step))


def newest(folder: Path):
    steps = [int(path.name) for path in (folder / "checkpoints").glob("[0-9]*")]
    return max(steps, default=None)
