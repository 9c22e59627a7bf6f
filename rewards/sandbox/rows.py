"""Rows scored by a user's code: in batches, and one by one where a batch fails, so that a bad row costs only itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rewards.registry import Sample
from rewards.sandbox.jail_process import BatchFailed, Jail
from rewards.scoring import RowScore

BATCH = 64
# A function that hangs or dies this often in a row will do so for every row.
MOST_DEATHS = 3
PART = "reward"


def score_with_code(code: str, rows: list[Sample | RowScore]) -> list[RowScore]:
    """Calls reward(completions, instruction=[...], reference=[...], ...) of `code`. Raises SandboxError."""
    samples = [row for row in rows if isinstance(row, Sample)]
    with Jail(code) as jail:
        scored = iter(list(Rows(jail, samples).scores()))
    return [next(scored) if isinstance(row, Sample) else row for row in rows]


class Rows:
    def __init__(self, jail: Jail, samples: list[Sample]) -> None:
        self.jail, self.samples = jail, samples
        self.names = sorted({name for sample in samples for name in sample.columns} - {"completions"})
        self.deaths = 0

    def scores(self) -> Iterator[RowScore]:
        for start in range(0, len(self.samples), BATCH):
            batch = self.samples[start : start + BATCH]
            try:
                yield from self._ask(batch)
            except BatchFailed:
                yield from map(self._one, batch)

    def _one(self, sample: Sample) -> RowScore:
        try:
            return self._ask([sample])[0]
        except BatchFailed as error:
            self.deaths += not error.alive
            return RowScore(error=f"{PART}: {error}")

    def _ask(self, batch: list[Sample]) -> list[RowScore]:
        if self.deaths >= MOST_DEATHS:
            raise BatchFailed(f"not called, because it failed {MOST_DEATHS} times in a row", alive=True)
        values = self.jail.rewards([sample.response for sample in batch], self._columns(batch))
        self.deaths = 0
        return [_row(value) for value in values]

    def _columns(self, batch: list[Sample]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {name: [sample.columns.get(name) for sample in batch] for name in self.names}
        columns["instruction"] = [sample.instruction for sample in batch]
        columns["reference"] = [sample.reference for sample in batch]
        return columns


def _row(value: float | str) -> RowScore:
    if isinstance(value, str):
        return RowScore(parts={PART: None}, error=f"{PART}: {value}")
    return RowScore(total=value, parts={PART: value})
