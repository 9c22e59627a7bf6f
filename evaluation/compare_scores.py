"""Final scores of compared sessions, and which differences between their adapters can be shown.

Two adapters are tested against each other, question by question, only where they answered the same held-out questions
and the same reward judged them. As several pairs are looked at together, their p are adjusted by Holm's method.

What a session came to is kept in this process until it has new events: a look at six ended ones reads none of their
answers and steps again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import combinations, groupby
from statistics import fmean
from typing import Any
from uuid import UUID

from django.db.models import Max

from evaluation.compare import Entry
from evaluation.report import CHANCE, Bar, Report, Side, accuracy_bars, before_after, reward_bars
from evaluation.statistics import holm, mcnemar, paired_difference, paired_mean
from rewards.registry import REGISTRY
from training import series, signal_ledger
from training.choices import Kind
from training.models import Event, Session

LAST_SHARE = 0.1
# Sessions of which it is kept what they came to. A thousand answers take a third of a megabyte.
KEPT = 48
NOTHING = "–"
# The normal approximation of a mean reward's gain says nothing about fewer questions.
FEWEST_REWARDS = 20


@dataclass
class Score:
    """What one session came to."""

    entry: Entry
    report: Report | None
    last_reward: LastReward | None
    tokens: int | None

    @property
    def session(self) -> Session:
        return self.entry.session

    @property
    def before(self) -> Side | None:
        return self.report.base if self.report else None

    @property
    def after(self) -> Side | None:
        return self.report.adapter if self.report else None

    @property
    def is_final(self) -> bool:
        return bool(self.after and self.after.finished)

    @cached_property
    def questions(self) -> str | None:
        """The same for sessions that are asked the same held-out questions; None where that is not known."""
        was = self.session.dataset_fingerprint
        if not was.get("sha256"):
            return None
        asked = [self.session.config["dataset"].get(key) for key in ("instruction_field", "response_field")]
        return json.dumps([was["sha256"], was.get("split"), was.get("mapping"), asked], sort_keys=True)

    @cached_property
    def judge(self) -> str:
        """The same for rewards that call the same answers right."""
        parts = [part for part in self.session.reward.get("parts") or [] if judges(part)]
        return json.dumps(sorted(([part[key] for key in JUDGING if key in part] for part in parts), key=str))


JUDGING = ("function", "parameters", "gate")


def judges(part: dict[str, Any]) -> bool:
    known = REGISTRY.get(part.get("function", ""))
    return known is None or known.judges_answer or part.get("gate") is not None


@dataclass(frozen=True)
class LastReward:
    """Mean reward of the steps from `first` to `last`, the last tenth of those that were done."""

    mean: float
    first: int
    last: int


@lru_cache(maxsize=KEPT)
def last_reward(pk: UUID, until: int) -> LastReward | None:
    found = series.metric_events(Session(pk=pk)).filter(data__reward__isnull=False)
    last = found.order_by("-seq").values_list("step", flat=True).first()
    if last is None:
        return None
    first = last - max(1, math.ceil(last * LAST_SHARE)) + 1
    values = [
        value for value in found.filter(step__gte=first).values_list("data__reward", flat=True) if is_number(value)
    ]
    return LastReward(fmean(values), first, last) if values else None


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@lru_cache(maxsize=KEPT)
def tokens(pk: UUID, until: int) -> int | None:
    return signal_ledger.tokens(Session(pk=pk))


@lru_cache(maxsize=KEPT)
def report(pk: UUID, until: int) -> Report | None:
    """Without texts: of each answer what a comparison needs."""
    found = before_after(Session(pk=pk))
    for side in found.sides.values() if found else ():
        side.answers = {row: compared(answer) for row, answer in side.answers.items()}
    return found


def compared(answer: dict[str, Any]) -> dict[str, Any]:
    """`asked` is the same for the same question with the same reference."""
    asked = json.dumps([answer.get("question"), answer.get("reference")]).encode()
    return {
        "asked": blake2b(asked, digest_size=16).digest(),
        "correct": answer.get("correct"),
        "reward": answer.get("reward"),
    }


def answered_until(session: Session) -> int:
    """The number of the newest event that may have changed the answers that count."""
    if session.is_terminal:
        return session.last_seq
    found = Event.objects.filter(session=session, kind__in=[Kind.EVALUATION, Kind.PHASE])
    return found.aggregate(last=Max("seq"))["last"] or 0


def score(entry: Entry) -> Score:
    session = entry.session
    pk, until = session.pk, session.last_seq
    return Score(entry, report(pk, answered_until(session)), last_reward(pk, until), tokens(pk, until))


# Pairs


@dataclass(frozen=True)
class Gain:
    """Of the second over the first, on the questions that both answered. `unit` is "points" or "reward"."""

    questions: int
    gain: float
    low: float
    high: float
    p: float
    unit: str

    @property
    def reach(self) -> float:
        """The smallest difference that these questions could have shown."""
        return (self.high - self.low) / 2

    def text(self, value: float, sign: str = "+") -> str:
        return format(value * 100, f"{sign}.0f") if self.unit == "points" else format(value, f"{sign}.2f")


@dataclass
class Pair:
    one: Score
    other: Score
    gain: Gain | None
    # Why they can't be tested against each other.
    reason: str = ""
    # Adjusted for the pairs beside it.
    p: float | None = None

    @property
    def better(self) -> Score | None:
        """The one that both the test and the interval show to be better."""
        if self.gain is None or self.p is None or self.p >= CHANCE or self.gain.low <= 0 <= self.gain.high:
            return None
        return self.other if self.gain.gain > 0 else self.one

    @property
    def difference_text(self) -> str:
        return f"{self.gain.text(self.gain.gain)} {self.gain.unit}" if self.gain else NOTHING

    @property
    def interval_text(self) -> str:
        return f"{self.gain.text(self.gain.low)} to {self.gain.text(self.gain.high)}" if self.gain else NOTHING

    @property
    def p_text(self) -> str:
        if self.p is None:
            return NOTHING
        return "< 0.001" if self.p < 0.001 else f"{self.p:.3f}"

    @property
    def verdict(self) -> str:
        if self.gain is None:
            return self.reason
        unit = "points" if self.gain.unit == "points" else "of reward"
        if self.better is None:
            unseen = self.gain.text(self.gain.reach, "")
            return f"No difference could be shown. One under {unseen} {unit} could not be seen."
        size = self.gain.text(abs(self.gain.gain), "")
        return f"{self.better.entry.number} is better here: {size} {unit} more on the same questions."


def pairs(scores: Sequence[Score]) -> list[Pair]:
    """Of those that have an adapter's answers, each with each."""
    found = [pair(one, other) for one, other in combinations([s for s in scores if s.after], 2)]
    tested = [(each, each.gain.p) for each in found if each.gain]
    for (each, _), adjusted in zip(tested, holm([p for _, p in tested]), strict=True):
        each.p = adjusted
    return found


def pair(one: Score, other: Score) -> Pair:
    reason = why_not(one, other)
    if reason:
        return Pair(one, other, None, reason)
    gain = gain_of(one, other)
    return Pair(one, other, gain, "" if gain else "They share too few questions that were judged.")


def why_not(one: Score, other: Score) -> str:
    if one.questions is None or other.questions is None:
        return "It is not known which rows were held out, so they are not compared."
    if one.questions != other.questions:
        return "They answered different held-out questions, so their scores can't be ranked."
    unfinished = [str(score.entry.number) for score in (one, other) if not score.is_final]
    if unfinished:
        return f"{' and '.join(unfinished)} did not answer every question yet."
    if is_judged(one) != is_judged(other) or (is_judged(one) and one.judge != other.judge):
        return "Their rewards judge answers differently, so right answers of one may be wrong ones of the other."
    if not is_judged(one) and one.session.reward != other.session.reward:
        return "Nothing judges answers right or wrong, and their rewards differ, so there is no common scale."
    return ""


def is_judged(score: Score) -> bool:
    return bool(score.after and score.after.judged)


def gain_of(one: Score, other: Score) -> Gain | None:
    found = shared(one, other)
    return gain_in_points(found) if is_judged(one) else gain_in_reward(found)


Answers = tuple[dict[str, Any], dict[str, Any]]


def shared(one: Score, other: Score) -> list[Answers]:
    """The answers of both to the rows that both were asked, where the stored questions are the same, too."""
    assert one.after and other.after
    theirs = other.after.answers
    both = [(answer, theirs[row]) for row, answer in sorted(one.after.answers.items()) if row in theirs]
    return [(a, b) for a, b in both if a["asked"] == b["asked"]]


def gain_in_points(found: Sequence[Answers]) -> Gain | None:
    judged = [
        (a["correct"], b["correct"]) for a, b in found if a.get("correct") is not None and b.get("correct") is not None
    ]
    if not judged:
        return None
    gained, lost = sum(b and not a for a, b in judged), sum(a and not b for a, b in judged)
    low, high = paired_difference(gained, lost, len(judged))
    return Gain(len(judged), (gained - lost) / len(judged), low, high, mcnemar(gained, lost), "points")


def gain_in_reward(found: Sequence[Answers]) -> Gain | None:
    gains = [b["reward"] - a["reward"] for a, b in found if a.get("reward") is not None and b.get("reward") is not None]
    return Gain(len(gains), *paired_mean(gains), "reward") if len(gains) >= FEWEST_REWARDS else None


# The page


@dataclass(frozen=True)
class Group:
    """Sessions that were asked the same held-out questions."""

    title: str
    bars: list[Bar]


@dataclass
class Scores:
    scores: list[Score]

    @cached_property
    def pairs(self) -> list[Pair]:
        return pairs(self.scores)

    @property
    def tested(self) -> int:
        return sum(pair.gain is not None for pair in self.pairs)

    @cached_property
    def groups(self) -> list[Group]:
        answered = sorted((s for s in self.scores if s.report), key=lambda s: (s.questions or "", s.entry.number))
        found = [list(members) for _, members in groupby(answered, key=lambda s: (s.questions, is_judged_at_all(s)))]
        return [
            Group(title_of(members[0]), bars(members)) for members in sorted(found, key=lambda m: m[0].entry.number)
        ]

    @property
    def same_rewards(self) -> bool:
        """Whether mean rewards are on one scale."""
        return all(score.session.reward == self.scores[0].session.reward for score in self.scores)


def is_judged_at_all(score: Score) -> bool:
    return bool(score.report and score.report.judged)


def title_of(score: Score) -> str:
    was = score.session.dataset_fingerprint
    what = "Right answers" if is_judged_at_all(score) else "Mean reward"
    if not was.get("sha256"):
        return f"{what} on held-out questions of an unknown version"
    return f"{what} on held-out questions of {was.get('dataset')}, version {was.get('version')}"


def bars(members: Sequence[Score]) -> list[Bar]:
    sides = [
        (f"{score.entry.number} {word}", f"{when} interval-{score.entry.colour}", side)
        for score in members
        for word, when, side in (("before", "before", score.before), ("after", "after", score.after))
        if side
    ]
    return accuracy_bars(sides) if is_judged_at_all(members[0]) else reward_bars(sides)


def scores(entries: Sequence[Entry]) -> Scores:
    return Scores([score(entry) for entry in entries])
