"""How many groups will have no signal because all of their rewards are equal, told from k answers to some questions.

A group of G answers to a question is dead with the probability D(G) = sum over rewards r of p(r)^G.

- k >= G: the share of all ways to take G of the k answers in which all are equal is an unbiased estimate of D(G)
  (a U-statistic): sum of C(n_r, G) / C(k, G).
- k < G: no unbiased estimate exists. D(m) for m = 2, 3 are estimated like that and gone on from: D(m) is the mean of
  x^(m-1), where x is the probability of the reward that an answer happened to get, so D(2) and D(3) are its first two
  moments, and a beta distribution with these gives D(G). It is exact where p of a right answer is spread over the
  questions by a symmetric beta distribution.

The interval is Clopper and Pearson's at 95 %, with the number of questions as its size: of values between 0 and 1 with
a given mean, a share of yes and no has the largest variance, so it is rather too wide than too narrow. For k < G it is
that of D(k), carried on by what holds for every distribution: D(k)^((G-1)/(k-1)) <= D(G) <= D(k).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import comb, prod
from statistics import fmean

# Fewer answers to a question say nothing about larger groups.
FEWEST_ANSWERS = 3
# Upper edges of the histogram's bars between "never" and "always".
BARS = ((0.25, "up to 25 %"), (0.5, "25 to 50 %"), (0.75, "50 to 75 %"), (1.0, "over 75 %"))


@dataclass(frozen=True)
class DeadGroups:
    share: float
    low: float
    high: float
    extrapolated: bool


def dead_groups(rewards: Sequence[Sequence[Hashable]], group: int) -> DeadGroups | None:
    """`rewards` of each question's answers. None if no question has enough answers."""
    usable = [values for values in rewards if len(values) >= FEWEST_ANSWERS]
    if not usable:
        return None
    answers = min(len(values) for values in usable)
    if answers >= group:
        share = all_equal(usable, group)
        return DeadGroups(share, *interval(share, len(usable)), extrapolated=False)
    low, high = interval(all_equal(usable, answers), len(usable))
    low = low ** ((group - 1) / (answers - 1))
    share = carried_on(all_equal(usable, 2), all_equal(usable, 3), group)
    return DeadGroups(min(max(share, low), high), low, high, extrapolated=True)


def all_equal(rewards: Sequence[Sequence[Hashable]], group: int) -> float:
    """The U-statistic, meant over the questions. Each needs `group` answers or more."""
    return fmean(
        sum(comb(count, group) for count in Counter(values).values()) / comb(len(values), group) for values in rewards
    )


def carried_on(second: float, third: float, group: int) -> float:
    """D(group) of a beta distribution with the moments D(2) and D(3)."""
    variance = third - second**2
    if second in (0.0, 1.0) or variance <= 1e-12:
        return second ** (group - 1)
    size = (second - third) / variance
    first, other = second * size, (1 - second) * size
    return prod((first + place) / (first + other + place) for place in range(group - 1))


def interval(share: float, size: int) -> tuple[float, float]:
    """Of a mean of `size` values between 0 and 1."""
    from scipy.stats import beta

    hits = min(max(share, 0.0), 1.0) * size
    low = float(beta.ppf(0.025, hits, size - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(0.975, hits + 1, size - hits)) if hits < size else 1.0
    return low, high


def histogram(rates: Sequence[float]) -> list[tuple[str, int]]:
    """Questions by their share of right answers; never and always have bars of their own."""
    counts = Counter(bar_of(rate) for rate in rates)
    return [(label, counts[label]) for label in ("never", *(label for _, label in BARS), "always")]


def bar_of(rate: float) -> str:
    if rate in (0.0, 1.0):
        return "always" if rate else "never"
    return next(label for edge, label in BARS if rate <= edge)
