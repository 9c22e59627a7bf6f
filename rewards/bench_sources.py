"""Answers that the apps above hand to the test bench: rows of datasets, completions of sessions, and models that
answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from accounts.models import AnyUser
from rewards.outside import RowMissing
from rewards.registry import Sample


class NotAsked(Exception):
    """The model can't be asked this; `field` is the field of the form that it is about, "" for none."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Choice:
    """Something to pick from a list. `value` names it in forms."""

    value: str
    title: str
    about: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class Found:
    """`notes`: what the samples lack, as sentences."""

    samples: list[Sample]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Asking:
    """What a model is asked: `question`, or with `source` that many of its rows, each `answers` times."""

    model: str
    question: str
    reference: str
    source: str
    rows: int
    rows_seed: int | None
    answers: int
    temperature: float
    max_new_tokens: int
    seed: int
    use_system_prompt: bool
    with_adapter: bool


@dataclass(frozen=True)
class Answered:
    """How far a model is. `samples` are the answers so far; `labels` say to which question each is."""

    value: str
    title: str
    about: str
    status: str
    open: bool
    progress: float
    message: str
    error: str
    may_change: bool
    samples: list[Sample] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    edited: list[bool] = field(default_factory=list)

    @property
    def rows(self) -> list[tuple[str, Sample, bool]]:
        return list(zip(self.labels, self.samples, self.edited, strict=True))


class Sessions(Protocol):
    def rows(self, user: AnyUser, source: str, count: int, seed: int | None) -> list[tuple[Sample, str]]:
        """(sample without an answer, reasoning); without a seed the first ones. Raises RowMissing."""

    def completions(
        self,
        user: AnyUser,
        session_id: str,
        step: int | None,
        columns: Sequence[str] | None,
        prompt: int | None = None,
        answer: int | None = None,
    ) -> Found:
        """Of a step, or the newest one; of one prompt, or one answer, counted from 1, where given. `columns` are those
        that a reward names, whose lack is noted; with none named, code may read any; None: nothing reads them.
        Raises RowMissing."""

    def sessions(self, user: AnyUser, text: str, chosen: str) -> list[Choice]:
        """The newest ones with stored completions that have `text` in them, the chosen one first."""

    def steps(self, user: AnyUser, session_id: str) -> list[int]:
        """Those with stored completions, newest first."""


class Models(Protocol):
    def offered(self, user: AnyUser, text: str, chosen: str) -> list[Choice]: ...

    def may_ask(self, user: AnyUser) -> bool: ...

    def ask(self, user: AnyUser, asking: Asking) -> str:
        """The value of what will be Answered. Raises NotAsked, and PermissionDenied for somebody who may only look."""

    def answered(self, user: AnyUser, value: str) -> Answered:
        """Raises Http404."""

    def recent(self, user: AnyUser) -> list[Choice]: ...

    def cancel(self, user: AnyUser, value: str) -> None:
        """Raises Http404, PermissionDenied."""

    def remove(self, user: AnyUser, value: str) -> None:
        """Raises Http404, PermissionDenied, and NotAsked while the model still answers."""

    def keep(self, user: AnyUser, value: str, texts: Sequence[str]) -> int:
        """Keeps the answers as they were edited, and says how many differ from what the model wrote. Raises Http404,
        PermissionDenied, NotAsked."""


@dataclass
class Provided:
    sessions: Sessions | None = None
    models: Models | None = None


provided = Provided()


def provide(sessions: Sessions) -> None:
    provided.sessions = sessions


def provide_models(models: Models) -> None:
    provided.models = models


def sessions() -> Sessions:
    """Raises RowMissing."""
    if provided.sessions is None:
        raise RowMissing("There are no datasets and sessions here: paste answers.")
    return provided.sessions


def models() -> Models:
    """Raises RowMissing."""
    if provided.models is None:
        raise RowMissing("There are no models here: paste answers.")
    return provided.models
