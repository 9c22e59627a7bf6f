"""Answers that the app above hands to the test bench: rows of datasets, and completions of sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accounts.models import AnyUser
from rewards.registry import Sample

# (user, version, number of rows, seed or None for the first ones) -> (sample without an answer, reasoning)
Rows = Callable[[AnyUser, str, int, int | None], list[tuple[Sample, str]]]
# (user, session, step or None for the newest) -> samples
Completions = Callable[[AnyUser, str, int | None], list[Sample]]


@dataclass
class Provided:
    rows: Rows | None = None
    completions: Completions | None = None


provided = Provided()


def provide(rows: Rows, completions: Completions) -> None:
    provided.rows, provided.completions = rows, completions
