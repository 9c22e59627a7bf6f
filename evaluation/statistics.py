"""The few formulas behind "is it better?". Small enough to read, and tested against SciPy."""

import math
from collections.abc import Sequence

Z = 1.959963984540054


def wilson(successes: int, total: int) -> tuple[float, float]:
    """95 % Wilson score interval of a share (Wilson 1927)."""
    if total == 0:
        return 0.0, 1.0
    share, z2 = successes / total, Z * Z
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    # Exact at the ends, where rounding would leave the share outside its interval.
    low = centre - half if successes else 0.0
    return low, centre + half if successes < total else 1.0


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p: the chance of a split this uneven if both models were equally good (binomial, 1/2)."""
    changed, fewer = gained + lost, min(gained, lost)
    if gained == lost:
        return 1.0
    log_half = changed * math.log(0.5)
    tail = sum(
        math.exp(math.lgamma(changed + 1) - math.lgamma(k + 1) - math.lgamma(changed - k + 1) + log_half)
        for k in range(fewer + 1)
    )
    return min(1.0, 2 * tail)


def paired_difference(gained: int, lost: int, total: int) -> tuple[float, float]:
    """95 % interval of the difference between two shares on the same rows (Bonett and Price 2012)."""
    plus, minus = (gained + 1) / (total + 2), (lost + 1) / (total + 2)
    half = Z * math.sqrt((plus + minus - (plus - minus) ** 2) / (total + 2))
    return max(-1.0, plus - minus - half), min(1.0, plus - minus + half)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and its 95 % interval by the normal approximation. One value alone has an interval of no width."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, mean, mean
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = Z * math.sqrt(variance / len(values))
    return mean, mean - half, mean + half


def paired_mean(gains: Sequence[float]) -> tuple[float, float, float, float]:
    """Mean gain on the same rows, its 95 % interval and the two-sided p, all by the normal approximation."""
    mean, low, high = mean_interval(gains)
    if high == low:
        return mean, low, high, 1.0
    return mean, low, high, math.erfc(abs(mean) / (high - low) * 2 * Z / math.sqrt(2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted for how many tests are looked at, in the order given (Holm 1979)."""
    adjusted, worst = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = worst
    return adjusted
