"""The test bench: what one reward, or two, make of the same answers. Importing this needs no Django."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from rewards.attacks import Subject, attacks, well_formed
from rewards.composition import Composition, Result
from rewards.gate import CLOSE, percentile
from rewards.registry import Sample

MOST_ANSWERS = 200
MOST_CHARACTERS = 400_000
BINS = 12
HEIGHT = 60
SEPARATOR = re.compile(r"^-{3,}[ \t]*$", re.MULTILINE)


class TooMuch(Exception):
    """More than the bench takes; the message names the limit."""


@dataclass(frozen=True)
class Item:
    label: str
    sample: Sample


@dataclass(frozen=True)
class Line:
    """`rank` and `other_rank` count from 1; answers with the same total share one, those without a total have none."""

    place: int
    item: Item
    result: Result
    rank: int | None
    other: Result | None = None
    other_rank: int | None = None

    @property
    def moved(self) -> int:
        """How many ranks the other reward puts it higher (or lower, below 0)."""
        return self.rank - self.other_rank if self.rank and self.other_rank else 0

    @property
    def disagree(self) -> bool:
        """They differ on whether it is right, or on whether it can be judged."""
        if self.other is None:
            return False
        verdicts = (self.result.correct, self.other.correct)
        return (None not in verdicts and verdicts[0] != verdicts[1]) or (
            (self.result.total is None) != (self.other.total is None)
        )


@dataclass(frozen=True)
class Bin:
    """A bar of the histogram in a box 10 wide for each bin and HEIGHT high."""

    x: int
    y: float
    height: float
    count: int
    low: float
    high: float


@dataclass(frozen=True)
class Latency:
    part: str
    median: float
    p95: float


def split_answers(text: str) -> list[str]:
    """Several answers are parted by a line of at least three dashes."""
    return [piece.strip("\r\n") for piece in SEPARATOR.split(text.replace("\r\n", "\n"))]


def of_question(subject: Subject, label: str) -> list[Item]:
    """The reference as a well-formed answer, and the attacks on it."""
    shape, right = well_formed(subject)[0]
    made = [("right", right), *((attack.label, attack.text) for attack in attacks(subject, shape))]
    return [Item(f"{label}, {name}", subject.answered(text)) for name, text in made]


def check(items: Sequence[Item]) -> None:
    """Raises TooMuch."""
    if len(items) > MOST_ANSWERS:
        raise TooMuch(f"These are {len(items)} answers; the bench scores {MOST_ANSWERS} at once. Give fewer.")
    size = sum(len(item.sample.response) for item in items)
    if size > MOST_CHARACTERS:
        raise TooMuch(f"The answers have {size:,} characters; the bench takes {MOST_CHARACTERS:,}. Give fewer.")


def compare(items: Sequence[Item], first: Composition, second: Composition | None = None) -> list[Line]:
    """In the order of `items`. Raises TooMuch."""
    check(items)
    samples = [item.sample for item in items]
    results = first.score_all(samples)
    others: Sequence[Result | None] = second.score_all(samples) if second else [None] * len(items)
    ranks, other_ranks = ranking(results), ranking(others)
    return [
        Line(place, item, results[place], ranks[place], others[place], other_ranks[place])
        for place, item in enumerate(items)
    ]


def ranking(results: Sequence[Result | None]) -> list[int | None]:
    totals = [result.total if result else None for result in results]
    known = [total for total in totals if total is not None]
    return [None if total is None else 1 + sum(other > total + CLOSE for other in known) for total in totals]


ORDERS = {"given": "As given", "best": "Best first", "worst": "Worst first", "moved": "Where they disagree most"}


def ordered(lines: list[Line], order: str) -> list[Line]:
    last = len(lines) + 1
    if order == "best":
        return sorted(lines, key=lambda line: line.rank or last)
    if order == "worst":
        return sorted(lines, key=lambda line: -(line.rank or last))
    if order == "moved":
        return sorted(lines, key=lambda line: (not line.disagree, -abs(line.moved)))
    return lines


def histogram(results: Sequence[Result]) -> list[Bin]:
    totals = [result.total for result in results if result.total is not None]
    if not totals:
        return []
    low, high = min(totals), max(totals)
    width = (high - low) / BINS or 1.0
    counts = [0] * BINS
    for total in totals:
        counts[min(int((total - low) / width), BINS - 1)] += 1
    tall = max(counts)
    heights = [HEIGHT * count / tall for count in counts]
    return [
        Bin(10 * at, HEIGHT - heights[at], heights[at], count, low + at * width, low + (at + 1) * width)
        for at, count in enumerate(counts)
    ]


def latencies(results: Sequence[Result]) -> list[Latency]:
    """Milliseconds an answer; of a part that judges in batches, its share of the batch."""
    parts = results[0].seconds if results else {}
    times = {part: [1000 * result.seconds[part] for result in results] for part in parts}
    return [Latency(part, median(taken), percentile(taken, 0.95)) for part, taken in times.items()]


def with_markers(sample: Sample, response: str) -> Sample:
    return replace(sample, response=response, tokens=-(-len(response) // 4))
