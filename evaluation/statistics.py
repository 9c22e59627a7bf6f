"""What is behind "is it better?". SciPy computes it, and is imported when it is first asked: the web starts without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

Z = 1.959963984540054
LEVEL = 0.95
CHANCE, POWER = 0.05, 0.8
RESAMPLES = 2000
# Resamples that are drawn together: 10,000 rows of them take 8 MB.
DRAWN_AT_ONCE = 100

Interval = tuple[float, float, float]


@lru_cache(maxsize=4096)
def wilson(successes: int, total: int) -> tuple[float, float]:
    """95 % Wilson score interval of a share (Wilson 1927)."""
    from scipy import stats

    if total == 0:
        return 0.0, 1.0
    found = stats.binomtest(successes, total).proportion_ci(LEVEL, method="wilson")
    # Exact at the ends, where rounding would leave the share outside its interval.
    return (float(found.low) if successes else 0.0), (float(found.high) if successes < total else 1.0)


@lru_cache(maxsize=4096)
def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p: the chance of a split this uneven if both models were equally good (binomial, 1/2)."""
    from scipy import stats

    return float(stats.binomtest(gained, gained + lost).pvalue) if gained != lost else 1.0


def paired_difference(gained: int, lost: int, total: int) -> tuple[float, float]:
    """95 % interval of the difference between two shares on the same rows (Bonett and Price 2012)."""
    plus, minus = (gained + 1) / (total + 2), (lost + 1) / (total + 2)
    half = Z * math.sqrt((plus + minus - (plus - minus) ** 2) / (total + 2))
    return max(-1.0, plus - minus - half), min(1.0, plus - minus + half)


def smallest_difference(changed: int, total: int) -> float | None:
    """The least gain in a share that McNemar's exact test at 5 % would have shown with 80 % power, where `changed` of
    `total` rows are right for one model alone. None where not even all of them for one side could have shown it."""
    from scipy import optimize, stats

    fewest = most_lost(changed)
    if fewest is None:
        return None

    def lacks(share: float) -> float:
        return float(stats.binom.cdf(fewest, changed, 1 - share)) - POWER

    return (2 * float(optimize.brentq(lacks, 0.5, 1.0)) - 1) * changed / total


def most_lost(changed: int) -> int | None:
    """Of the rows that changed, how many may have changed the other way in a result that still counts as shown."""
    low, high = -1, changed // 2
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if mcnemar(changed - middle, middle) < CHANCE else (low, middle - 1)
    return low if low >= 0 else None


def mean_interval(values: Sequence[float]) -> Interval:
    """Mean and its 95 % interval by the normal approximation. One value alone has an interval of no width."""
    from scipy import stats

    mean = math.fsum(values) / len(values)
    spread = float(stats.sem(values)) if min(values) < max(values) else 0.0
    return mean, mean - Z * spread, mean + Z * spread


def paired_mean(gains: Sequence[float]) -> tuple[float, float, float, float]:
    """Mean gain on the same rows, its 95 % interval and the two-sided p, all by the normal approximation."""
    from scipy import stats

    mean, low, high = mean_interval(gains)
    if high == low:
        return mean, low, high, 1.0
    return mean, low, high, 2 * float(stats.norm.sf(abs(mean) / ((high - low) / 2 / Z)))


def bootstrapped(values: Sequence[float], seed: int = 0) -> Interval:
    """Mean and its 95 % percentile interval over resampled `values`: the same for the same seed. `values` of one kind
    alone have an interval of no width."""
    import numpy as np
    from scipy import stats

    mean = math.fsum(values) / len(values)
    if min(values) == max(values):
        return mean, mean, mean
    found = stats.bootstrap(
        (np.asarray(values, dtype=float),),
        np.mean,
        n_resamples=RESAMPLES,
        batch=DRAWN_AT_ONCE,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return mean, float(found.confidence_interval.low), float(found.confidence_interval.high)


def pass_at(k: int, samples: int, right: int) -> float:
    """The chance that one of `k` answers is right, of `samples` of which `right` are: unbiased (Chen et al. 2021)."""
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted for how many tests are looked at, in the order given (Holm 1979)."""
    adjusted, worst = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = worst
    return adjusted
