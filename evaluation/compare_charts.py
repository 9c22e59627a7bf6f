"""The charts of compared sessions: one for each measure, with one line for each session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.compare import Entry
from training.charts import MOST_PART_LINES, NOTHING_YET, Chart, Line
from training.session_page import part_names


@dataclass(frozen=True)
class Measure:
    """`looks` are further fields of its Chart, `edges` the keys of an interval around it."""

    id: str
    key: str
    title: str
    meaning: str
    looks: dict[str, Any]
    edges: tuple[str, str] | None = None


PERCENT = {"style": "percent", "floor": 0, "can_log": False}
REWARD = Measure("reward", "reward", "Reward", "What the answers of each step scored on average.", {"size": "hero"})
MEASURES = [
    Measure("kl", "kl", "KL divergence", "How far the model has moved from its base.", {"floor": 0}),
    Measure("length", "completions/mean_length", "Completion length", "Tokens per answer, on average.",
            {"style": "tokens", "floor": 0}),
    Measure("truncated", "completions/clipped_ratio", "Truncated", "Answers that hit the token limit.", PERCENT),
    Measure("loss", "loss", "Loss, GRPO", "What the optimiser lowers. It need not fall.", {}),
    Measure("learning_rate", "learning_rate", "Learning rate", "Size of an update: the schedule at work.",
            {"style": "exponent"}),
    Measure("validation", "held_out/score", "Validation score", "Score on questions that are not trained on, taken"
            " while training, with its 95 % interval.",
            {"can_log": False, "empty": "No validation score was taken yet."}, ("held_out/low", "held_out/high")),
]  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """`parts_left_out`: reward parts that have no chart of their own."""

    charts: list[Chart]
    parts_left_out: int


def charts(entries: Sequence[Entry]) -> Drawn:
    having = {entry.number: part_names(entry.session) for entry in entries}
    common = Counter(name for names in having.values() for name in dict.fromkeys(names))
    # What most of them have comes first.
    names = [name for name, _ in common.most_common(MOST_PART_LINES)]
    parts = [
        part_chart(place, name, [entry for entry in entries if name in having[entry.number]])
        for place, name in enumerate(names, 1)
    ]
    first, *others = (chart(measure, entries) for measure in [REWARD, *MEASURES])
    return Drawn([first, *parts, *others], len(common) - len(names))


def part_chart(place: int, name: str, entries: Sequence[Entry]) -> Chart:
    meaning = f"What the part {name} gave on average, before its weight."
    return chart(Measure(f"part-{place}", f"rewards/{name}/mean", f"Reward: {name}", meaning, {}), entries)


def chart(measure: Measure, entries: Sequence[Entry]) -> Chart:
    lines = [line(measure, entry) for entry in entries]
    looks = {"empty": NOTHING_YET, **measure.looks}
    return Chart(measure.id, measure.title, measure.meaning, lines, **looks)


def line(measure: Measure, entry: Entry) -> Line:
    """Its keys carry the session's number: compare.js asks each session for its own."""
    low, high = measure.edges or ("", "")
    edges = (f"{entry.number}/{low}", f"{entry.number}/{high}") if measure.edges else None
    return Line(f"{entry.number}/{measure.key}", entry.label, entry.colour, edges=edges, sparse=bool(edges))
