"""What can stop a run, in words a user can act on."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.engine.beats import Pulse


class EngineError(Exception):
    """`message` says what happened and where, `hint` what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class OutOfMemory(EngineError):
    """The worker tries once more with smaller passes."""


class StopRequested(Exception):
    """Someone asked the run to stop. Raised from wherever the run is, so that nobody waits for a rollout to end."""


# seconds
ASK_EVERY = 0.2


class Stopper:
    """Passes the question on at most five times a second, however often it is asked: once a token, once a layer."""

    def __init__(self, should_stop: Callable[[], bool], pulse: Pulse | None = None) -> None:
        self._should_stop, self._pulse = should_stop, pulse
        self._asked = 0.0
        self._stopping = False

    @property
    def stopping(self) -> bool:
        now = time.monotonic()
        if now - self._asked >= ASK_EVERY:
            self._asked = now
            if self._pulse:
                self._pulse.beat()
            self._stopping = self._stopping or self._should_stop()
        return self._stopping

    def check(self) -> None:
        if self.stopping:
            raise StopRequested

    def during(self, doing: str) -> AbstractContextManager[None]:
        """Who asks is alive, and the sign of life says what it does."""
        return self._pulse.during(doing) if self._pulse else nullcontext()


def never() -> bool:
    return False


def chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def is_disk_full(error: BaseException) -> bool:
    """safetensors keeps only the text of the operating system's error, torch's archive writer not even that."""
    return any(
        getattr(link, "errno", None) == errno.ENOSPC
        or any(
            sign in str(link) for sign in ("No space left on device", "os error 28", "iostream error", "unexpected pos")
        )
        for link in chain(error)
    )


def is_out_of_memory(error: BaseException) -> bool:
    return any(
        isinstance(link, MemoryError)
        or type(link).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(link)
        or "CUDA out of memory" in str(link)
        for link in chain(error)
    )


def is_not_a_number(error: BaseException) -> bool:
    """What torch says when it is to draw a token from such probabilities."""
    return any("probability tensor contains either" in str(link) for link in chain(error))


def not_a_number(what: str, step: int | None = None) -> EngineError:
    """A run that went on would train, save and export nothing but such values."""
    where = f"Step {step}: " if step else ""
    return EngineError(
        f"{where}{what} not a number (NaN) or infinite, so nothing can be learned from here on. No checkpoint with such"
        " values was saved.",
        "Lower training.learning_rate or grpo.kl_penalty, set training.precision to fp32, or set training.max_grad_norm"
        " lower, in a clone of the session; or resume from an earlier checkpoint. If it happens at the first step, the"
        " base model itself is broken: choose another.",
    )


def explained(error: BaseException, folder: Path) -> EngineError | None:
    """The plain words for `error`, or None for a fault of the program that only a traceback explains."""
    if isinstance(error, EngineError):
        return error
    if is_disk_full(error):
        return EngineError(
            f"The disk is full: a file could not be written in {folder}. Earlier checkpoints are intact.",
            "Free some space: the session then goes on by itself from its newest checkpoint.",
        )
    if is_not_a_number(error):
        return not_a_number("The model's output is")
    if is_out_of_memory(error):
        return OutOfMemory(
            "The machine ran out of memory while training.",
            "Lower training.batch_size (raise the gradient accumulation instead), training.max_new_tokens or the"
            " sequence length, switch gradient checkpointing on, or choose a smaller model.",
        )
    return None
