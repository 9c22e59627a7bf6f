"""Is an export as good as the trained adapter? Both have answered the same held-out questions greedily; here their
scores are compared, and the log-probabilities that they give to the adapter's answers.

Scores alone would not do: a few dozen questions can't show a small drop. Log-probabilities of some thousand tokens can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings

from evaluation.statistics import mean_interval, paired_difference, paired_mean, wilson
from exports.models import Verdict

LONGEST_TEXT = 4_000


@dataclass(frozen=True)
class Answered:
    """An answer to one question. `log_probability`: what whoever answered gives to the adapter's answer, summed over
    its tokens; `correct` and `reward` are None where the session's reward could not judge."""

    ids: list[int]
    text: str
    log_probability: float
    correct: bool | None = None
    reward: float | None = None


@dataclass(frozen=True)
class Asked:
    row: int
    question: str
    reference: str


@dataclass(frozen=True)
class Finding:
    verdict: Verdict
    reason: str


def compared(asked: Sequence[Asked], adapter: Sequence[Answered], export: Sequence[Answered]) -> dict[str, Any]:
    """Shares from 0 to 1; intervals are of 95 %; differences are export minus adapter, on the same questions. Drops in
    log-probability are in nats a token."""
    pairs = list(zip(adapter, export, strict=True))
    tokens = sum(len(answer.ids) for answer in adapter)
    difference = sum(theirs.log_probability - ours.log_probability for ours, theirs in pairs) / max(tokens, 1)
    return {
        "questions": len(asked),
        "adapter": side(adapter),
        "export": side(export),
        "accuracy_difference": accuracy_difference(pairs),
        "reward_difference": reward_difference(pairs),
        "identical": share_of([ours.ids == theirs.ids for ours, theirs in pairs]),
        "tokens": tokens,
        "log_probability_difference": difference,
        "perplexity_ratio": math.exp(min(-difference, 50.0)),
        "rows": [row(*each) for each in zip(asked, adapter, export, strict=True)],
    }


def side(answers: Sequence[Answered]) -> dict[str, Any]:
    rewards = [answer.reward for answer in answers if answer.reward is not None]
    reward = mean_interval(rewards) if rewards else None
    return {
        "accuracy": share_of([answer.correct for answer in answers if answer.correct is not None]),
        "reward": dict(zip(("mean", "low", "high"), reward, strict=True)) if reward else None,
    }


def share_of(found: Sequence[bool]) -> dict[str, Any] | None:
    if not found:
        return None
    low, high = wilson(sum(found), len(found))
    return {"share": sum(found) / len(found), "of": len(found), "low": low, "high": high}


def accuracy_difference(pairs: Sequence[tuple[Answered, Answered]]) -> dict[str, Any] | None:
    judged = [(ours.correct, theirs.correct) for ours, theirs in pairs if None not in (ours.correct, theirs.correct)]
    if not judged:
        return None
    gained = sum(not ours and bool(theirs) for ours, theirs in judged)
    lost = sum(bool(ours) and not theirs for ours, theirs in judged)
    low, high = paired_difference(gained, lost, len(judged))
    return {"mean": (gained - lost) / len(judged), "low": low, "high": high, "gained": gained, "lost": lost}


def reward_difference(pairs: Sequence[tuple[Answered, Answered]]) -> dict[str, Any] | None:
    gains = [t.reward - o.reward for o, t in pairs if o.reward is not None and t.reward is not None]
    if not gains:
        return None
    mean, low, high, _ = paired_mean(gains)
    return {"mean": mean, "low": low, "high": high}


def row(asked: Asked, ours: Answered, theirs: Answered) -> dict[str, Any]:
    told = {name: text[:LONGEST_TEXT] for name, text in asdict(asked).items() if name != "row"}
    sides = {
        name: {"text": answer.text[:LONGEST_TEXT], "correct": answer.correct, "reward": answer.reward}
        for name, answer in (("adapter", ours), ("export", theirs))
    }
    return {"row": asked.row, **told, **sides, "same": ours.ids == theirs.ids}


def judged(result: dict[str, Any]) -> Finding:
    """By the limits of the settings; docs/exports.md has the measurements behind them."""
    fall = -result["log_probability_difference"]
    if fall > settings.PARITY_LOG_PROBABILITY_DROP:
        return Finding(
            Verdict.DEGRADED,
            f"It finds the adapter's answers less likely: {fall:.3f} nats a token, and the limit is"
            f" {settings.PARITY_LOG_PROBABILITY_DROP:g}. {identical(result)}",
        )
    for name, unit, limit in (
        ("accuracy_difference", "right answers", settings.PARITY_ACCURACY_DROP),
        ("reward_difference", "mean reward", settings.PARITY_REWARD_DROP * reward_scale(result)),
    ):
        found = result[name]
        if found and found["high"] < 0 and -found["mean"] > limit:
            return Finding(Verdict.DEGRADED, _dropped(name, unit, found, limit))
    return Finding(Verdict.AS_GOOD, f"{fall:.3f} nats a token less likely at most. {identical(result)}")


def reward_scale(result: dict[str, Any]) -> float:
    """The limit of a reward is a share of the adapter's mean: rewards have scales of their own."""
    reward = result["adapter"]["reward"]
    return abs(reward["mean"]) if reward else 0.0


def identical(result: dict[str, Any]) -> str:
    same = result["identical"]
    return f"{round(same['share'] * same['of'])} of {same['of']} answers are the adapter's, token by token."


def _dropped(name: str, unit: str, found: dict[str, Any], limit: float) -> str:
    if name == "accuracy_difference":
        numbers = [f"{value * 100:.1f}" for value in (-found["mean"], -found["high"], -found["low"], limit)]
        return (
            f"{numbers[0]} points fewer {unit} (95 % interval {numbers[1]} to {numbers[2]}), and the limit is"
            f" {numbers[3]}."
        )
    return (
        f"A lower {unit}: {-found['mean']:.3f} less (95 % interval {-found['high']:.3f} to {-found['low']:.3f}), and"
        f" the limit is {limit:.3f}."
    )
