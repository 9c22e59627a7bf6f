"""Samples scored by code of users: in batches, in parts of one that fails, and one by one: a bad row costs itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rewards.registry import Sample
from rewards.sandbox.jail_process import BatchFailed, Jail
from rewards.sandbox.pool import pool
from rewards.scoring import RowScore

# Each batch is a process of its own, which costs milliseconds.
BATCH = 1024
PARTS = 16
# What a batch may take beyond the time of one row. Whoever needs longer is asked for one row at a time.
MORE_SECONDS = 10.0
# A function that hangs or dies for this many single rows in a row will do so for every row.
MOST_DEATHS = 3
PART = "reward"


def score_with_code(code: str, rows: list[Sample | RowScore]) -> list[RowScore]:
    """Calls reward(completions, instruction=[...], reference=[...], ...) of `code`. Raises SandboxError."""
    values = iter(values_of(code, [row for row in rows if isinstance(row, Sample)]))
    return [_row(next(values)) if isinstance(row, Sample) else row for row in rows]


def values_of(code: str, samples: Sequence[Sample], seconds: float = 10.0) -> list[float | str]:
    """A number for each sample, or the sentence why there is none. `seconds`: for a row. Raises SandboxError."""
    with pool.lent(code) as jail:
        return list(Rows(jail, samples, seconds).values())


class Rows:
    def __init__(self, jail: Jail, samples: Sequence[Sample], seconds: float) -> None:
        self.jail, self.samples, self.seconds = jail, samples, seconds
        self.names = sorted({name for sample in samples for name in sample.columns} - {"completions"})
        self.deaths = 0

    def values(self) -> Iterator[float | str]:
        return self._of(self.samples, BATCH)

    def _of(self, samples: Sequence[Sample], size: int) -> Iterator[float | str]:
        for start in range(0, len(samples), size):
            batch = samples[start : start + size]
            try:
                yield from self._ask(batch)
            except BatchFailed as error:
                if len(batch) > 1:
                    yield from self._of(batch, -(-len(batch) // PARTS))
                else:
                    self.deaths += not error.alive
                    yield str(error)

    def _ask(self, batch: Sequence[Sample]) -> list[float | str]:
        if self.deaths >= MOST_DEATHS:
            raise BatchFailed(f"not called, because it failed {MOST_DEATHS} times in a row", alive=True)
        seconds = min(self.seconds * len(batch), self.seconds + MORE_SECONDS)
        values = self.jail.rewards([sample.response for sample in batch], self._columns(batch), seconds)
        self.deaths = 0
        return values

    def _columns(self, batch: Sequence[Sample]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {name: [sample.columns.get(name) for sample in batch] for name in self.names}
        columns["instruction"] = [sample.instruction for sample in batch]
        columns["reference"] = [sample.reference for sample in batch]
        return columns


def _row(value: float | str) -> RowScore:
    if isinstance(value, str):
        return RowScore(parts={PART: None}, error=f"{PART}: {value}")
    return RowScore(total=value, parts={PART: value})
