"""What each group of a step was good for. The kinds exclude each other; the first that holds is the group's kind:

mixed      an advantage is not 0: there is a gradient
errored    fewer than two answers could be scored, so there was nothing to compare
truncated  every answer was cut off
right      every answer is judged correct; where nothing judges that, every total is the reward's best
wrong      the rest: also where a formula makes the total, whose best is not known, and nothing judges the answer
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rewards.composition import Result

KINDS = ("mixed", "errored", "truncated", "right", "wrong")
# Totals are sums of floats.
NEARLY = 1e-6


@dataclass(frozen=True)
class Answer:
    result: Result
    advantage: float
    tokens: int
    cut_off: bool


def kind_of(group: Sequence[Answer], best: float | None) -> str:
    if any(answer.advantage != 0 for answer in group):
        return "mixed"
    scored = [answer.result for answer in group if answer.result.total is not None]
    if len(scored) < 2:
        return "errored"
    if all(answer.cut_off for answer in group):
        return "truncated"
    return "right" if all(is_right(result, best) for result in scored) else "wrong"


def is_right(result: Result, best: float | None) -> bool:
    if result.correct is not None:
        return result.correct
    return best is not None and result.total is not None and result.total >= best - NEARLY


def counts(groups: Sequence[Sequence[Answer]], best: float | None) -> dict[str, float]:
    """Metrics of one round of answering: groups of each kind, tokens of all and of those without a gradient."""
    kinds = [kind_of(group, best) for group in groups]
    tokens = [sum(answer.tokens for answer in group) for group in groups]
    found = {f"signal/{kind}": float(kinds.count(kind)) for kind in KINDS}
    found["signal/tokens"] = float(sum(tokens))
    found["signal/tokens_without"] = float(sum(n for n, kind in zip(tokens, kinds, strict=True) if kind != "mixed"))
    return found
