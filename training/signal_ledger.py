"""What the groups of a session were good for: how many taught something, and what the others cost.

The trainer counts each step's groups (training/engine/signal.py defines the kinds) into its metrics; here the database
adds them up, so that a run of any length costs one query.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import FloatField, Q, Sum
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, NullIf

from rewards.composition import Composition
from training.models import Session
from training.series import metric_events

TITLES = {
    "mixed": "Taught something",
    "right": "All right",
    "wrong": "All wrong",
    "truncated": "All cut off",
    "errored": "Not scored",
}
# With fewer groups a share says little.
ENOUGH_GROUPS = 20
# Shares of all groups from which there is something to say.
MANY_WRONG, MANY_RIGHT, MANY_TRUNCATED, MANY_ERRORED = 0.5, 0.5, 0.2, 0.05
MOSTLY_MIXED = 0.5


# Of each kind the least share that is worth a word, and the word.
ADVICE = {
    "wrong": (
        MANY_WRONG,
        "were all wrong: the task is too hard for this model. Try an SFT warm-up, easier rows, a larger model, or a"
        " reward that also values steps towards the answer.",
    ),
    "right": (
        MANY_RIGHT,
        "were all right: the model knows these questions. Harder rows teach more; if the held-out score is good, it is"
        " done.",
    ),
    "truncated": (
        MANY_TRUNCATED,
        "were cut off at the token limit in every answer. Raise Max new tokens, or ask for shorter answers in the"
        " system prompt.",
    ),
    "errored": (
        MANY_ERRORED,
        "could not be scored. The reasons are at the top of Overview and beside the answers in Groups.",
    ),
}
ALL_ALIKE = (
    "scored all alike. This reward's best total is not known, so it can't be told whether they were right or wrong:"
    " look at some in Groups."
)


@dataclass(frozen=True)
class Ledger:
    """`right_is_known`: whether a group of equal totals can be told to be right."""

    groups: dict[str, int]
    tokens: int
    tokens_without: int
    seconds: float
    seconds_without: float
    right_is_known: bool = True

    @property
    def total(self) -> int:
        return sum(self.groups.values())

    def share(self, kind: str) -> float:
        return self.groups[kind] / self.total if self.total else 0.0

    @property
    def is_early(self) -> bool:
        return self.total < ENOUGH_GROUPS

    @property
    def kinds(self) -> list[tuple[str, str, int, float]]:
        """(kind, title, groups, percent)"""
        return [(kind, title, self.groups[kind], 100 * self.share(kind)) for kind, title in TITLES.items()]

    @property
    def tokens_percent(self) -> float:
        return 100 * self.tokens_without / self.tokens if self.tokens else 0.0

    @property
    def advice(self) -> list[str]:
        return [] if self.is_early else list(advice(self))

    def as_json(self) -> dict[str, Any]:
        return {
            "groups": {**self.groups, "total": self.total},
            "tokens": self.tokens,
            "tokens_without_gradient": self.tokens_without,
            "seconds": round(self.seconds, 1),
            "seconds_without_gradient": round(self.seconds_without, 1),
            "advice": self.advice,
        }


def ledger(session: Session) -> Ledger | None:
    """None where no step counted its groups: none was made yet, or it was made before they were counted."""
    found = metric_events(session).filter(data__has_key="signal/tokens")
    sums = found.aggregate(
        **{kind: Sum(number(f"signal/{kind}")) for kind in TITLES},
        tokens=Sum(number("signal/tokens")),
        without=Sum(number("signal/tokens_without")),
        seconds=Sum(number("step_time"), filter=Q(data__step_time__gte=0)),
        # Answering, scoring and training all grow with the tokens.
        seconds_without=Sum(
            number("step_time") * number("signal/tokens_without") / NullIf(number("signal/tokens"), 0.0),
            filter=Q(data__step_time__gte=0),
        ),
    )
    if sums["tokens"] is None:
        return None
    return Ledger(
        {kind: round(sums[kind] or 0) for kind in TITLES},
        round(sums["tokens"]),
        round(sums["without"] or 0),
        sums["seconds"] or 0.0,
        sums["seconds_without"] or 0.0,
        knows_right(session),
    )


def tokens(session: Session) -> int | None:
    """Of the ledger these alone, which is several times as quick."""
    found = metric_events(session).aggregate(tokens=Sum(number("signal/tokens")))["tokens"]
    return None if found is None else round(found)


def number(key: str) -> Combinable:
    return Cast(KT(f"data__{key}"), FloatField())


def knows_right(session: Session) -> bool:
    try:
        return Composition.model_validate(session.reward).best_total is not None
    except ValueError:
        return False


def is_older(session: Session) -> bool:
    """Whether it trained before groups were counted."""
    return bool(metric_events(session).exists())


def advice(found: Ledger) -> Iterator[str]:
    many = [kind for kind, (least, _) in ADVICE.items() if found.share(kind) >= least]
    for kind in many:
        yield f"{percent(found, kind)} of the groups {told(found, kind)}"
    if not many and found.share("mixed") >= MOSTLY_MIXED:
        yield f"{percent(found, 'mixed')} of the groups taught something. That is a good share: nothing needs a change."
    elif not many:
        yield (
            f"Only {percent(found, 'mixed')} of the groups taught something; no single reason stands out. More answers"
            " per question (Generations) make groups mixed more often."
        )


def told(found: Ledger, kind: str) -> str:
    return ALL_ALIKE if kind == "wrong" and not found.right_is_known else ADVICE[kind][1]


def percent(found: Ledger, kind: str) -> str:
    return f"{100 * found.share(kind):.0f} %"
