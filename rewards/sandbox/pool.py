"""Warm jails: what a function needs to start is kept between its batches, so that a batch costs milliseconds."""

from __future__ import annotations

import atexit
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

from rewards.sandbox.jail_process import Jail

MOST_WARM = 8
# Nothing is left in a jail after a batch, and teams still never share one. "": a program of one team, as a trainer is.
_owner: ContextVar[Callable[[], str]] = ContextVar("owner", default=str)


class Pool:
    """Jails by owner and code, the least recently used ended first. Thread-safe: a jail is lent to one at a time."""

    def __init__(self, most: int = MOST_WARM) -> None:
        self.most = most
        self.lock = Lock()
        self.warm: OrderedDict[tuple[str, str], Jail] = OrderedDict()

    @contextmanager
    def lent(self, code: str) -> Iterator[Jail]:
        """A running jail of this code. Raises SandboxError if it can't be started."""
        key = (_owner.get()(), code)
        with self.lock:
            jail = self.warm.pop(key, None)
        jail = jail or Jail(code)
        try:
            if not jail.is_alive:
                jail.start()
            yield jail
        except BaseException:
            jail.stop()
            raise
        self._take_back(key, jail)

    def _take_back(self, key: tuple[str, str], jail: Jail) -> None:
        with self.lock:
            superfluous = [self.warm.pop(key)] if key in self.warm else []
            self.warm[key] = jail
            while len(self.warm) > self.most:
                superfluous.append(self.warm.popitem(last=False)[1])
        for old in superfluous:
            old.stop()

    def close(self) -> None:
        with self.lock:
            jails = list(self.warm.values())
            self.warm.clear()
        for jail in jails:
            jail.stop()


pool = Pool()
atexit.register(pool.close)


@contextmanager
def owned_by(owner: Callable[[], str]) -> Iterator[None]:
    """Within the block, code runs in processes that nobody else's rows were in. Asked when code is run."""
    before = _owner.set(owner)
    try:
        yield
    finally:
        _owner.reset(before)
