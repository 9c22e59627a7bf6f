"""What an evaluation came to: each model with its intervals, each pair of them on the same rows, in JSON.

It is made once, in the child process at the end, and stored: pages, the API, exports and the command show the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from evaluation import statistics
from evaluation.models import EvaluatedModel, Evaluation
from evaluation.report import percent
from evaluation.statistics import CHANCE, bootstrapped
from loracraft.numbers import thousands

# The interval of a mean gain in reward says nothing about fewer rows.
FEWEST_REWARDS = 20


@dataclass
class Answers:
    """Of one model. `right`, `reward` (the greedy answer's) and `sampled` (right or not, of each sample) are by row."""

    model: EvaluatedModel
    right: dict[int, bool] = field(default_factory=dict)
    reward: dict[int, float] = field(default_factory=dict)
    sampled: dict[int, list[bool | None]] = field(default_factory=dict)
    greedy: int = 0
    failed: int = 0
    unjudged: int = 0
    cut_off: int = 0
    tokens: int = 0
    answers: int = 0

    def add(
        self, row: int, sample: int, error: str, right: bool | None, total: float | None, cut_off: bool, tokens: int
    ) -> None:
        if error:
            self.failed += 1
            return
        self.answers, self.tokens = self.answers + 1, self.tokens + tokens
        self.cut_off += cut_off
        if sample:
            self.sampled.setdefault(row, []).append(right)
        else:
            self.add_greedy(row, right, total)

    def add_greedy(self, row: int, right: bool | None, total: float | None) -> None:
        self.greedy += 1
        if right is None:
            self.unjudged += 1
        else:
            self.right[row] = right
        if total is not None:
            self.reward[row] = total

    def pass_at(self, k: int) -> dict[int, float]:
        """By row, for those of which every sample was judged."""
        judged = {row: [bool(each) for each in rights] for row, rights in self.sampled.items() if None not in rights}
        return {row: statistics.pass_at(k, len(rights), sum(rights)) for row, rights in judged.items()}


READ = ("row__number", "sample", "error", "right", "total", "cut_off", "tokens")


def answers_of(model: EvaluatedModel) -> Answers:
    found = Answers(model)
    for line in model.answers.order_by("row__number", "sample").values_list(*READ).iterator():
        found.add(*line)
    return found


def made(evaluation: Evaluation) -> dict[str, Any]:
    samples, seed = int(evaluation.settings["samples"]), int(evaluation.settings["seed"])
    found = [answers_of(model) for model in evaluation.models.all()]
    ks = sizes(samples)
    return {
        "rows": evaluation.evaluation_set.row_count,
        "samples": samples,
        "judged_by": evaluation.reward_name,
        "models": [model_as_json(each, ks, seed) for each in found],
        "pairs": pairs(found, ks, seed),
    }


def sizes(samples: int) -> list[int]:
    """1, 2, 4 and so on, and all of them."""
    return sorted({1 << power for power in range(samples.bit_length())} | {samples}) if samples else []


def model_as_json(found: Answers, ks: Sequence[int], seed: int) -> dict[str, Any]:
    right, judged, seconds = sum(found.right.values()), len(found.right), found.model.generation_seconds
    low, high = statistics.wilson(right, judged)
    return {
        "number": found.model.number,
        "key": found.model.key,
        "title": found.model.title,
        "trained_on": found.model.trained_on,
        "answered": found.greedy,
        "not_asked": found.failed,
        "unjudged": found.unjudged,
        "right": right,
        "judged": judged,
        "accuracy": interval(right / judged, low, high) if judged else None,
        "reward": mean_of(list(found.reward.values()), seed),
        "pass_at": [{"k": k, **value} for k in ks if (value := mean_of(list(found.pass_at(k).values()), seed))],
        "answers": found.answers,
        "cut_off": found.cut_off,
        "tokens": found.tokens,
        "tokens_per_second": found.tokens / seconds if seconds else None,
    }


def interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def mean_of(values: Sequence[float], seed: int) -> dict[str, float] | None:
    return interval(*bootstrapped(values, seed)) if values else None


# Pairs


def pairs(found: Sequence[Answers], ks: Sequence[int], seed: int) -> list[dict[str, Any]]:
    """Each model with each, the p values adjusted for how many pairs there are (Holm)."""
    made = [pair(one, other, ks, seed) for one, other in combinations(found, 2)]
    tested = [each for each in made if each["p"] is not None]
    for each, adjusted in zip(tested, statistics.holm([each["p"] for each in tested]), strict=True):
        each["p_adjusted"] = adjusted
    for each in made:
        each["direction"] = direction(each)
        each["verdict"] = verdict(each, found[each["one"] - 1], found[each["other"] - 1])
    return made


def pair(one: Answers, other: Answers, ks: Sequence[int], seed: int) -> dict[str, Any]:
    """What the second gained over the first. `p` is that of right answers, or of rewards where nothing judges."""
    accuracy, reward = gain_in_right(one.right, other.right), gain_in_reward(one.reward, other.reward, seed)
    tested = accuracy or reward
    return {
        "one": one.model.number,
        "other": other.model.number,
        "measure": "accuracy" if accuracy else "reward" if reward else None,
        "accuracy": accuracy,
        "reward": reward,
        "pass_at": [
            {"k": k, **gained}
            for k in ks
            if (gained := mean_of(list(gains(one.pass_at(k), other.pass_at(k)).values()), seed))
        ],
        "p": tested["p"] if tested else None,
        "p_adjusted": None,
    }


def gains(one: Mapping[int, float], other: Mapping[int, float]) -> dict[int, float]:
    return {row: other[row] - value for row, value in one.items() if row in other}


def gain_in_right(one: Mapping[int, bool], other: Mapping[int, bool]) -> dict[str, Any] | None:
    """McNemar's exact test. None if no row was judged for both."""
    rows = len(one.keys() & other.keys())
    if not rows:
        return None
    changes = gains(one, other)
    gained, lost = sum(change > 0 for change in changes.values()), sum(change < 0 for change in changes.values())
    return {
        "rows": rows,
        "gained": gained,
        "lost": lost,
        **interval((gained - lost) / rows, *statistics.paired_difference(gained, lost, rows)),
        "p": statistics.mcnemar(gained, lost),
        "smallest": statistics.smallest_difference(gained + lost, rows),
    }


def gain_in_reward(one: Mapping[int, float], other: Mapping[int, float], seed: int) -> dict[str, Any] | None:
    """The interval is bootstrapped over rows, the p that of the mean's normal approximation."""
    found = list(gains(one, other).values())
    if len(found) < FEWEST_REWARDS:
        return None
    return {"rows": len(found), **interval(*bootstrapped(found, seed)), "p": statistics.paired_mean(found)[3]}


def direction(found: Mapping[str, Any]) -> str:
    """better or worse (the second than the first), same (nothing could be shown) or unknown (nothing to compare)."""
    if found["measure"] is None:
        return "unknown"
    gain = found[found["measure"]]
    if found["p_adjusted"] >= CHANCE or gain["low"] <= 0 <= gain["high"]:
        return "same"
    return "better" if gain["value"] > 0 else "worse"


def verdict(found: Mapping[str, Any], one: Answers, other: Answers) -> str:
    if found["measure"] is None:
        return "They share too few rows that were judged."
    said = said_of_right if found["measure"] == "accuracy" else said_of_reward
    gain = found[found["measure"]]
    had, has, change, unseen = said(gain, one, other)
    if found["direction"] == "same":
        return (
            f"No difference could be shown: {one.model.title} has {had}, {other.model.title} has {has}."
            f" {unseen_after(found, unseen)}"
        )
    chance = "p < 0.001" if found["p_adjusted"] < 0.001 else f"p = {found['p_adjusted']:.3f}"
    return (
        f"{found['direction'].capitalize()}: {other.model.title} has {has}, {one.model.title} has {had}."
        f" {change} is larger than chance ({chance})."
    )


def unseen_after(found: Mapping[str, Any], unseen: str) -> str:
    """For one that would count alone, but not among so many pairs."""
    if found["p"] < CHANCE <= found["p_adjusted"]:
        return f"Alone it would count (p = {found['p']:.3f}), but not as one of several comparisons."
    return unseen


# (what the first has, what the second has, the difference, what could not be seen)
Said = tuple[str, str, str, str]


def said_of_right(gain: Mapping[str, Any], one: Answers, other: Answers) -> Said:
    shared = one.right.keys() & other.right.keys()
    had, has = (percent(sum(each.right[row] for row in shared) / len(shared)) for each in (one, other))
    points = {name: f"{gain[name] * 100:+.1f}" for name in ("value", "low", "high")}
    change = f"The difference of {points['value']} points (95 % interval {points['low']} to {points['high']})"
    return f"{had} right", f"{has} right", change, unseen_in_right(gain)


def unseen_in_right(gain: Mapping[str, Any]) -> str:
    changed = gain["gained"] + gain["lost"]
    if gain["smallest"] is None:
        answers = "answer differs" if changed == 1 else "answers differ"
        return f"Only {changed} {answers} between right and wrong, and the test needs six to show anything."
    return (
        f"These {thousands(gain['rows'])} rows could have shown one of {gain['smallest'] * 100:.1f} points or more"
        " (80 % power at the 5 % level, from how many answers differ)."
    )


def said_of_reward(gain: Mapping[str, Any], one: Answers, other: Answers) -> Said:
    shared = one.reward.keys() & other.reward.keys()
    had, has = (sum(each.reward[row] for row in shared) / len(shared) for each in (one, other))
    change = f"The difference of {gain['value']:+.3f} (95 % interval {gain['low']:+.3f} to {gain['high']:+.3f})"
    half = (gain["high"] - gain["low"]) / 2
    unseen = f"With {thousands(gain['rows'])} rows a difference under {half:.3f} could not be seen."
    return f"a mean reward of {had:.3f}", f"one of {has:.3f}", change, unseen
