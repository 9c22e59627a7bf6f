"""The test bench: what one reward, or two, make of the same answers. Importing this needs no Django."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loracraft.numbers import thousands
from rewards.attacks import Subject, attacks, well_formed
from rewards.composition import Composition, Part, Result
from rewards.functions.custom import custom_python
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
    def disagreement(self) -> int:
        """For ordering: whoever differs on the verdict comes before whoever differs on the rank."""
        return abs(self.moved) + MOST_ANSWERS * self.disagree

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
    """Milliseconds an answer. `batched`: the part judges all answers at once, so each has the same share."""

    part: str
    p50: float
    p95: float
    errors: int
    batched: bool


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
        raise TooMuch(
            f"The answers have {thousands(size)} characters; the bench takes {thousands(MOST_CHARACTERS)}. Give fewer."
        )


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


# What the answers can be filtered by on the page.
KINDS = ("errors", "zero", "max", "disagree")
AUTO = "auto"
ORDERS = {
    AUTO: "As given; two rewards: where they disagree most",
    "given": "As given",
    "best": "Best first",
    "worst": "Worst first",
    "moved": "Where they disagree most",
}


def ordered(lines: list[Line], order: str) -> list[Line]:
    last = len(lines) + 1
    if order == AUTO:
        order = "moved" if any(line.other for line in lines) else "given"
    if order == "best":
        return sorted(lines, key=lambda line: line.rank or last)
    if order == "worst":
        return sorted(lines, key=lambda line: -(line.rank or last))
    if order == "moved":
        return sorted(lines, key=lambda line: -line.disagreement)
    return lines


def sorts(first: Composition, second: Composition | None) -> list[tuple[str, str]]:
    """What the answers can be ordered by on the page: (name among `values`, label)."""
    found = [("place", "As given"), ("total", "Total"), *((f"a {part.name}", part.name) for part in first.parts)]
    if second is not None:
        found += [("moved", "Disagreement"), ("other", "Total of the other reward")]
        found += [(f"b {part.name}", f"{part.name} of the other reward") for part in second.parts]
    return found


def sorted_by(order: str, compared: bool) -> tuple[str, bool]:
    """(name among `sorts`, whether the highest comes first) of an order."""
    if order == AUTO:
        order = "moved" if compared else "given"
    return {"given": ("place", False), "best": ("total", True), "worst": ("total", False)}.get(order, ("moved", True))


def values(line: Line) -> dict[str, float | None]:
    found = {"place": float(line.place), "total": line.result.total}
    found |= {f"a {part}": value for part, value in line.result.parts.items()}
    if line.other is not None:
        found |= {"moved": float(line.disagreement), "other": line.other.total}
        found |= {f"b {part}": value for part, value in line.other.parts.items()}
    return found


def kinds(lines: Sequence[Line], best: float | None) -> list[list[str]]:
    """Of each line, what a filter can ask for: an error, a total of 0, the most there is, a disagreement. `best` is the
    highest total that can be had; None: nobody knows, so the highest that was."""
    totals = [line.result.total for line in lines if line.result.total is not None]
    most = max(totals, default=0.0) if best is None else best
    return [kinds_of(line, most) for line in lines]


def kinds_of(line: Line, most: float) -> list[str]:
    total = line.result.total
    found = {
        "errors": bool(line.result.errors) or bool(line.other and line.other.errors),
        "zero": total is not None and abs(total) < CLOSE,
        "max": total is not None and total > most - CLOSE,
        "disagree": line.disagree,
    }
    return [kind for kind, holds in found.items() if holds]


def histograms(results: Sequence[Result], others: Sequence[Result] = ()) -> list[list[Bin]]:
    """On one scale, so that they can be compared."""
    totals = [known(results), *([known(others)] if others else [])]
    together = [total for each in totals for total in each]
    return [histogram(each, min(together), max(together)) for each in totals] if together else []


def known(results: Sequence[Result]) -> list[float]:
    return [result.total for result in results if result.total is not None]


def histogram(totals: Sequence[float], low: float, high: float) -> list[Bin]:
    width = (high - low) / BINS or 1.0
    counts = [0] * BINS
    for total in totals:
        counts[min(int((total - low) / width), BINS - 1)] += 1
    heights = [HEIGHT * count / (max(counts) or 1) for count in counts]
    return [
        Bin(10 * at, HEIGHT - heights[at], heights[at], count, low + at * width, low + (at + 1) * width)
        for at, count in enumerate(counts)
    ]


def latencies(composition: Composition, results: Sequence[Result]) -> list[Latency]:
    return [latency(part, results) for part in composition.parts]


def latency(part: Part, results: Sequence[Result]) -> Latency:
    # What was not judged for its length took no time, and says nothing about the function.
    taken = [1000 * result.seconds[part.name] for result in results if result.seconds[part.name]]
    errors = sum(part.name in result.errors for result in results)
    return Latency(
        part.name, percentile(taken, 0.5), percentile(taken, 0.95), errors, part.definition.score_all is not None
    )


def columns_read(compositions: Sequence[Composition]) -> list[str] | None:
    """The dataset columns that these rewards name; [] if code may read any, None if nothing reads them."""
    named = sorted({column for each in compositions for column in each.columns})
    code = any(part.function == custom_python.__name__ for each in compositions for part in each.parts)
    return named if named or code else None


def edited(sample: Sample, response: str) -> Sample:
    """A model's own answer has a counted number of tokens, a changed one four characters a token."""
    return sample if sample.response == response else with_markers(sample, response)


def with_markers(sample: Sample, response: str) -> Sample:
    return replace(sample, response=response, tokens=-(-len(response) // 4))
