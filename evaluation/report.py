"""Did training help? Read from the evaluation events of a session: base and adapter on the same held-out questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from evaluation.statistics import mcnemar, mean_interval, paired_difference, wilson
from training.choices import Kind
from training.models import Event, Session

BASE, ADAPTER = "base", "adapter"
LABELS = {BASE: "Base model", ADAPTER: "With adapter"}
CHANCE = 0.05


@dataclass
class Side:
    """What one label has answered so far. `answers` is by row number of the dataset."""

    label: str
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    total: int = 0
    attempt: int = 0
    seconds: float | None = None
    finished: bool = False

    @property
    def title(self) -> str:
        return LABELS.get(self.label, self.label)

    @property
    def questions(self) -> int:
        return len(self.answers)

    @cached_property
    def judged(self) -> list[bool]:
        return [answer["correct"] for answer in self.answers.values() if answer.get("correct") is not None]

    @property
    def correct(self) -> int:
        return sum(self.judged)

    @property
    def accuracy(self) -> float | None:
        return self.correct / len(self.judged) if self.judged else None

    @cached_property
    def interval(self) -> tuple[float, float]:
        return wilson(self.correct, len(self.judged))

    @property
    def low(self) -> float:
        return self.interval[0]

    @property
    def high(self) -> float:
        return self.interval[1]

    @cached_property
    def rewards(self) -> list[float]:
        return [answer["reward"] for answer in self.answers.values() if answer.get("reward") is not None]

    @cached_property
    def reward(self) -> tuple[float, float, float] | None:
        """Mean reward with its 95 % interval."""
        return mean_interval(self.rewards) if self.rewards else None

    @property
    def unjudged(self) -> int:
        return self.questions - len(self.judged)

    @property
    def cut_off(self) -> int:
        return sum(bool(answer.get("cut_off")) for answer in self.answers.values())


@dataclass(frozen=True)
class Changed:
    row: int
    question: str
    reference: str
    base: str
    adapter: str
    gained: bool


@dataclass(frozen=True)
class Bar:
    """One line of the interval plot, in per cent of its width."""

    title: str
    text: str
    low: float
    middle: float
    high: float
    kind: str

    @property
    def width(self) -> float:
        return max(self.high - self.low, 0.3)

    @property
    def mark(self) -> float:
        """Left edge of the mark, which is 0.6 wide."""
        return min(max(self.middle - 0.3, 0.0), 99.4)


@dataclass
class Report:
    sides: dict[str, Side]

    @property
    def base(self) -> Side | None:
        return self.sides.get(BASE)

    @property
    def adapter(self) -> Side | None:
        return self.sides.get(ADAPTER)

    @property
    def running(self) -> Side | None:
        """The label that is being answered now."""
        return next((side for side in self.sides.values() if not side.finished), None)

    @property
    def complete(self) -> bool:
        return len(self.sides) == len(LABELS) and not self.running

    @cached_property
    def judged(self) -> bool:
        """Whether any answer was judged right or wrong. If not, mean rewards are compared."""
        return any(side.judged for side in self.sides.values())

    @cached_property
    def pairs(self) -> list[tuple[int, dict[str, Any], dict[str, Any]]]:
        """The rows that both have answered: (row, base's answer, adapter's answer)."""
        if not self.base or not self.adapter:
            return []
        theirs = self.adapter.answers
        return [(row, answer, theirs[row]) for row, answer in sorted(self.base.answers.items()) if row in theirs]

    @cached_property
    def judged_pairs(self) -> list[tuple[int, dict[str, Any], dict[str, Any]]]:
        return [p for p in self.pairs if p[1].get("correct") is not None and p[2].get("correct") is not None]

    @cached_property
    def changed(self) -> list[Changed]:
        return [_changed(*pair) for pair in self.judged_pairs if pair[1]["correct"] != pair[2]["correct"]]

    @property
    def gained(self) -> list[Changed]:
        return [change for change in self.changed if change.gained]

    @property
    def lost(self) -> list[Changed]:
        return [change for change in self.changed if not change.gained]

    @property
    def p_value(self) -> float | None:
        return mcnemar(len(self.gained), len(self.lost)) if self.judged_pairs else None

    @cached_property
    def difference(self) -> tuple[float, float, float] | None:
        """Gain on the same rows with its 95 % interval: in accuracy, or in reward if nothing is judged."""
        if self.judged_pairs:
            gained, lost, total = len(self.gained), len(self.lost), len(self.judged_pairs)
            return ((gained - lost) / total, *paired_difference(gained, lost, total))
        gains = [theirs["reward"] - ours["reward"] for _, ours, theirs in self.pairs if _both_rewarded(ours, theirs)]
        return mean_interval(gains) if gains and not self.judged else None

    @property
    def direction(self) -> str:
        """better, worse, same (nothing could be shown) or unknown (nothing to compare yet)."""
        if not self.complete or self.difference is None:
            return "unknown"
        gain, low, high = self.difference
        shown = self.p_value < CHANCE if self.p_value is not None else not low <= 0 <= high
        if not shown:
            return "same"
        return "better" if gain > 0 else "worse"

    @property
    def verdict(self) -> str:
        return _verdict(self)

    @property
    def bars(self) -> list[Bar]:
        named = [(side.title, side.label, side) for side in self.sides.values()]
        return accuracy_bars(named) if self.judged else reward_bars(named)


def before_after(session: Session) -> Report | None:
    """None if nothing has been answered yet."""
    events = session.events.filter(kind=Kind.EVALUATION, superseded=False).order_by("seq")
    return _collect(events.only("session", "attempt", "data").iterator(chunk_size=200))


def _collect(events: Iterable[Event]) -> Report | None:
    sides: dict[str, Side] = {}
    for event in events:
        label = event.data.get("label")
        if label not in LABELS:
            continue
        side = sides.get(label)
        if side is None or _starts_again(side, event):
            side = sides[label] = Side(label, attempt=event.attempt)
        _add(side, event.data)
    ordered = {label: sides[label] for label in LABELS if label in sides}
    return Report(ordered) if ordered else None


def _starts_again(side: Side, event: Event) -> bool:
    """A later attempt that answers from the first question on replaces the older answers; one that goes on adds."""
    answers = event.data.get("answers")
    return event.attempt > side.attempt and bool(answers) and event.data.get("done") == len(answers)


def _add(side: Side, data: dict[str, Any]) -> None:
    for answer in data.get("answers") or []:
        side.answers[answer["row"]] = answer
    side.total = data.get("total") or side.total
    summary = data.get("summary")
    if summary:
        side.finished, side.seconds = True, summary.get("seconds")
        side.total = summary.get("questions") or side.total


def _changed(row: int, ours: dict[str, Any], theirs: dict[str, Any]) -> Changed:
    return Changed(
        row=row,
        question=str(ours.get("question") or ""),
        reference=str(ours.get("reference") or ""),
        base=str(ours.get("completion") or ""),
        adapter=str(theirs.get("completion") or ""),
        gained=bool(theirs["correct"]),
    )


def _both_rewarded(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return ours.get("reward") is not None and theirs.get("reward") is not None


def percent(share: float) -> str:
    return f"{share * 100:.0f} %" if abs(share) >= 0.1 or share == 0 else f"{share * 100:.1f} %"


def _verdict(report: Report) -> str:
    if report.direction == "unknown" or report.difference is None:
        return "Not finished: the verdict comes when both have answered every question."
    return _accuracy_verdict(report) if report.judged_pairs else _reward_verdict(report)


def _accuracy_verdict(report: Report) -> str:
    base, adapter = report.base, report.adapter
    assert base and adapter and report.difference and report.p_value is not None
    gain, low, high = report.difference
    count = len(report.judged_pairs)
    if report.direction == "same":
        return (
            f"No difference could be shown: {percent(adapter.accuracy or 0)} against"
            f" {percent(base.accuracy or 0)} right."
            f" With {count} questions a change under {(high - low) / 2 * 100:.0f} points could not be seen."
        )
    word, change = ("Better", "gain") if gain > 0 else ("Worse", "loss")
    chance = "p < 0.001" if report.p_value < 0.001 else f"p = {report.p_value:.3f}"
    return (
        f"{word}: {percent(adapter.accuracy or 0)} against {percent(base.accuracy or 0)} right on {count} questions"
        f" that were not trained on. The {change} of {gain * 100:+.0f} points (95 % interval {low * 100:+.0f} to"
        f" {high * 100:+.0f}) is larger than chance ({chance})."
    )


def _reward_verdict(report: Report) -> str:
    assert report.base and report.adapter and report.difference
    gain, low, high = report.difference
    means = " against ".join(f"{side.reward[0]:.2f}" for side in (report.adapter, report.base) if side.reward)
    if report.direction == "same":
        return (
            f"No difference could be shown: mean reward {means}."
            f" With {len(report.pairs)} questions a change under {(high - low) / 2:.2f} could not be seen."
        )
    word = "Better" if gain > 0 else "Worse"
    interval = f"95 % interval {low:+.2f} to {high:+.2f}"
    return f"{word}: mean reward {means}. The difference of {gain:+.2f} ({interval}) is larger than chance."


# (title, kind, side) of each bar
Named = Sequence[tuple[str, str, Side]]


def accuracy_bars(named: Named) -> list[Bar]:
    return [
        Bar(
            title,
            f"{percent(side.accuracy)} ({percent(side.low)} to {percent(side.high)})",
            side.low * 100,
            side.accuracy * 100,
            side.high * 100,
            kind,
        )
        for title, kind, side in named
        if side.accuracy is not None
    ]


def reward_bars(named: Named) -> list[Bar]:
    """On one scale from the lowest to the highest end of the intervals, with 0 always on it."""
    rewards = [(title, kind, side.reward) for title, kind, side in named if side.reward]
    ends = [end for _, _, reward in rewards for end in reward]
    lowest, highest = min([0.0, *ends]), max([0.0, *ends])
    width = (highest - lowest) or 1.0

    def place(value: float) -> float:
        return (value - lowest) / width * 100

    return [
        Bar(title, f"{mean:.2f} ({low:.2f} to {high:.2f})", place(low), place(mean), place(high), kind)
        for title, kind, (mean, low, high) in rewards
    ]
