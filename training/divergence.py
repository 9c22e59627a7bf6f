"""Places worth a look: where a run's numbers move as they often do when a reward is met in a way nobody meant.

Pure functions over the steps that were recorded. Each compares fifths of the run, and says nothing unless the change is
both large (the thresholds below) and far beyond the noise between steps. A note says "inspect": whether the answers got
worse, only somebody who reads them can tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import fmean, variance
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import AnyUser
from training.choices import Kind
from training.models import Session
from training.series import during_training, metric_events

# With fewer steps there is no trend to speak of.
ENOUGH_STEPS = 50
# Steps that are looked at; of longer runs every n-th, which is as good for means.
STEPS_READ = 1000
FIFTHS = 5
# A fifth's mean must differ by this many standard errors. Values of neighbouring steps are alike, so their number
# is divided by ALIKE.
ERRORS = 4.0
ALIKE = 4
LENGTH_FACTOR = 1.5
KL_HIGH, KL_FACTOR = 0.5, 3.0
ENTROPY_LEFT, ENTROPY_LOW = 0.25, 0.5
ENOUGH_SCORES = 3

KINDS = ("reward_without_score", "one_part", "length", "kl", "entropy")

Rows = Sequence[tuple[int, Mapping[str, Any]]]


@dataclass(frozen=True)
class Note:
    """`first` and `last`: the steps to look at."""

    kind: str
    title: str
    text: str
    first: int
    last: int

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "title": self.title, "text": self.text, "first": self.first, "last": self.last}


@dataclass(frozen=True)
class Fifth:
    """The values of a key in a fifth of the run."""

    first: int
    last: int
    values: list[float]

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return math.sqrt(variance(self.values) * ALIKE / len(self.values))


def notes(session: Session) -> list[Note]:
    weights = {part["name"]: part.get("weight", 1.0) for part in session.reward.get("parts") or []}
    return list(notes_of(sampled(session), scores(session), weights))


@dataclass(frozen=True)
class Dismissed:
    note: Note
    by: str
    at: datetime


def sorted_out(session: Session) -> tuple[list[Note], list[Dismissed]]:
    """Those to look at, and those that somebody has looked at."""
    found = notes(session)
    put_away = [
        Dismissed(note, known["by"], datetime.fromisoformat(known["at"]))
        for note in found
        if (known := session.dismissed.get(note.kind))
    ]
    return [note for note in found if note.kind not in session.dismissed], put_away


def dismiss(session: Session, by: AnyUser, kind: str) -> None:
    """A note of this kind is put away, for everybody, until somebody brings it back."""
    _change(session, lambda dismissed: {**dismissed, kind: {"by": str(by), "at": timezone.now().isoformat()}})


def bring_back(session: Session, kind: str) -> None:
    _change(session, lambda dismissed: {key: told for key, told in dismissed.items() if key != kind})


def _change(session: Session, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    with transaction.atomic():
        row = Session.objects.select_for_update().only("dismissed").get(pk=session.pk)
        session.dismissed = change(row.dismissed)
        Session.objects.filter(pk=session.pk).update(dismissed=session.dismissed)


def marks(session: Session) -> list[dict[str, Any]]:
    """Of the notes to look at, for the charts of the training."""
    return [
        {"at": None, "kind": "note", "title": f"Inspect: {note.title}", "phase": "training", "step": note.last}
        for note in sorted_out(session)[0]
    ]


def sampled(session: Session) -> list[tuple[int, dict[str, Any]]]:
    found = metric_events(session)
    last = found.order_by("-seq").values_list("step", flat=True).first() or 0
    # By their numbers: a condition on the remainder would read every step. And "in": SQLite finds no step by an index
    # behind "not superseded".
    every = -(-last // STEPS_READ) or 1
    wanted = found.filter(superseded__in=[False], step__in=range(every, last + 1, every))
    rows = wanted.order_by("step").values_list("step", "data")
    return [(step, data) for step, data in rows if step is not None and "reward" in data]


def scores(session: Session) -> list[tuple[int, dict[str, Any]]]:
    """The held-out scores during training, each with its interval."""
    found = session.events.filter(kind=Kind.EVALUATION, superseded=False).order_by("seq")
    return [(int(step), row) for step, row in during_training(found) if row["held_out/score"] is not None]


def notes_of(rows: Rows, held_out: Rows, weights: Mapping[str, float]) -> Iterator[Note]:
    looks: list[Callable[[], Note | None]] = [
        lambda: reward_without_score(rows, held_out),
        lambda: one_part(rows, weights),
        lambda: length(rows),
        lambda: kl(rows),
        lambda: entropy(rows),
    ]
    for look in looks:
        if found := look():
            yield found


def fifths(rows: Rows, key: str) -> list[Fifth]:
    """Five, or none where there are too few values."""
    known = [(step, float(data[key])) for step, data in rows if usable(data.get(key))]
    if len(known) < ENOUGH_STEPS:
        return []
    bounds = [len(known) * place // FIFTHS for place in range(FIFTHS + 1)]
    parts = [known[start:end] for start, end in pairwise(bounds)]
    return [Fifth(part[0][0], part[-1][0], [value for _, value in part]) for part in parts]


def usable(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def rise(found: Sequence[Fifth]) -> float:
    """From the first to the last fifth; 0 where it may be noise."""
    change = found[-1].mean - found[0].mean
    return change if abs(change) > ERRORS * math.hypot(found[0].error, found[-1].error) else 0.0


def reward_without_score(rows: Rows, held_out: Rows) -> Note | None:
    """The newest score is below the best one by more than its interval, while the reward went up since then."""
    if len(held_out) < ENOUGH_SCORES:
        return None
    best_step, best = max(held_out, key=lambda row: row[1]["held_out/score"])
    step, newest = held_out[-1]
    high, low = newest.get("held_out/high"), best.get("held_out/low")
    if high is None or low is None or high >= best["held_out/score"] or newest["held_out/score"] >= low:
        return None
    found = fifths([row for row in rows if best_step <= row[0] <= step], "reward")
    if not found or rise(found) <= 0:
        return None
    return Note(
        "reward_without_score",
        "Reward up, held-out score down",
        f"Since step {best_step} the reward rose from {found[0].mean:.3g} to {found[-1].mean:.3g}, while the held-out"
        f" score fell from {best['held_out/score']:.3g} to {newest['held_out/score']:.3g}. The adapter of step"
        f" {best_step} may be the better one.",
        best_step,
        step,
    )


def one_part(rows: Rows, weights: Mapping[str, float]) -> Note | None:
    """One part rose by at least as much as the whole reward, because others fell."""
    by_part = {name: found for name in weights if (found := fifths(rows, f"rewards/{name}/mean"))}
    changes = {name: weights[name] * rise(found) for name, found in by_part.items()}
    total = fifths(rows, "reward")
    fallen = {name: change for name, change in changes.items() if change < 0}
    if not fallen or not total or rise(total) <= 0:
        return None
    name = max(changes, key=lambda each: changes[each])
    lost = min(fallen, key=lambda each: fallen[each])
    return Note(
        "one_part",
        f"“{name}” takes over",
        f"The reward rose by {rise(total):.3g}. “{name}” gained {changes[name]:.3g} of it, while “{lost}” lost"
        f" {-fallen[lost]:.3g}. See whether that is the trade you want; weights and gates decide it.",
        by_part[name][-1].first,
        by_part[name][-1].last,
    )


def length(rows: Rows) -> Note | None:
    found = fifths(rows, "completions/mean_length")
    if not found or not rise(found) or found[0].mean <= 0:
        return None
    factor = found[-1].mean / found[0].mean
    if 1 / LENGTH_FACTOR < factor < LENGTH_FACTOR:
        return None
    way = "longer" if factor > 1 else "shorter"
    return Note(
        "length",
        f"Answers got much {way}",
        f"From {found[0].mean:.0f} to {found[-1].mean:.0f} tokens. See whether the {way} ones are what you want.",
        found[-1].first,
        found[-1].last,
    )


def kl(rows: Rows) -> Note | None:
    found = fifths(rows, "kl")
    if not found or found[-1].mean < KL_HIGH or rise(found[1:]) <= 0:
        return None
    if found[-1].mean < KL_FACTOR * found[1].mean:
        return None
    return Note(
        "kl",
        "The model runs away from its base",
        f"KL divergence went from {found[1].mean:.3g} to {found[-1].mean:.3g}. See whether the answers still read as"
        " they should. A lower learning rate or a higher KL penalty holds it closer.",
        found[-1].first,
        found[-1].last,
    )


def entropy(rows: Rows) -> Note | None:
    found = fifths(rows, "entropy")
    if not found or rise(found) >= 0 or found[-1].mean > min(ENTROPY_LOW, ENTROPY_LEFT * found[0].mean):
        return None
    return Note(
        "entropy",
        "Answers become all alike",
        f"Entropy fell from {found[0].mean:.3g} to {found[-1].mean:.3g}: the model hardly tries anything else any more."
        " See whether the answers of a group still differ. A higher temperature or a lower learning rate keeps them"
        " apart.",
        found[-1].first,
        found[-1].last,
    )
