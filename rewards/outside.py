"""What the pages of rewards show of the apps above, which hand it in when they start: rows of datasets, and who uses a
preset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from accounts.models import AnyUser
from rewards.models import RewardPreset


class RowMissing(Exception):
    """The row can't be shown; the message says why and what to do."""


@dataclass(frozen=True)
class Source:
    """A version of a dataset whose rows can be taken. `value` names it in forms."""

    value: str
    title: str


@dataclass(frozen=True)
class SampleRow:
    """A row as the reward gets it. `place` counts the usable rows from 0; `more`: there is one after it."""

    instruction: str
    reasoning: str
    reference: str
    columns: dict[str, Any] = field(default_factory=dict)
    place: int = 0
    more: bool = False


@dataclass(frozen=True)
class Use:
    """Something that names a preset. `keeps`: it has its own copy, and goes on without the preset."""

    title: str
    url: str
    what: str
    keeps: bool


Sources = Callable[[AnyUser], list[Source]]
Row = Callable[[AnyUser, str, int], SampleRow]
Uses = Callable[[RewardPreset], list[Use]]


@dataclass
class Outside:
    sources: Sources = lambda user: []
    row: Row | None = None
    uses: Uses = lambda preset: []


outside = Outside()


def provide(sources: Sources, row: Row, uses: Uses) -> None:
    outside.sources, outside.row, outside.uses = sources, row, uses


def sources(user: AnyUser) -> list[Source]:
    return outside.sources(user)


def row(user: AnyUser, source: str, place: int) -> SampleRow:
    """Raises RowMissing."""
    if outside.row is None:
        raise RowMissing("There are no datasets here: type a question and an answer.")
    return outside.row(user, source, place)


def uses(preset: RewardPreset) -> list[Use]:
    """Newest first."""
    return outside.uses(preset)
