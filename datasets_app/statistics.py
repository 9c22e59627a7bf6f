"""Numbers about many values in little memory, and the shapes of the pictures that pages draw of them.

The first half runs in the child process that checks a version and needs NumPy; the second makes SVG coordinates of
what it left in a report.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from loracraft.numbers import thousands

# Lengths below this are counted exactly, those above in steps of a twelfth.
EXACT = 4096
STEPS = 8
BUCKETS = EXACT + STEPS * 24
BINS = 24

# What reads the rows


class Lengths:
    """Counts whole numbers from 0 up: mean and maximum are exact, percentiles too up to EXACT."""

    def __init__(self) -> None:
        import numpy as np

        self.counts = np.zeros(BUCKETS, np.int64)
        self.sum = self.max = 0

    def add(self, values: Any) -> None:
        import numpy as np

        if not len(values):
            return
        self.sum += int(values.sum())
        self.max = max(self.max, int(values.max()))
        long = np.log2(np.maximum(values, EXACT) / EXACT) * STEPS
        places = np.where(values < EXACT, values, EXACT + long.astype(np.int64))
        self.counts += np.bincount(np.minimum(places, BUCKETS - 1).astype(np.int64), minlength=BUCKETS)

    @property
    def summary(self) -> dict[str, Any]:
        import numpy as np

        places = np.flatnonzero(self.counts)
        if not len(places):
            return {}
        values = np.where(places < EXACT, places, EXACT * 2 ** ((places - EXACT) / STEPS))
        return summary(values, self.counts[places]) | {
            "mean": round(self.sum / int(self.counts.sum()), 2),
            "max": self.max,
        }


def summary(values: Any, weights: Any = None) -> dict[str, Any]:
    """Count, mean, percentiles, maximum and histogram of whole numbers."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    values = np.asarray(values)[order]
    weights = np.ones(len(values), np.int64) if weights is None else np.asarray(weights)[order]
    total, below = int(weights.sum()), np.cumsum(weights)

    def percentile(share: float) -> int:
        return int(values[np.searchsorted(below, math.ceil(share * total))])

    return {
        "count": total,
        "mean": round(float((values * weights).sum()) / total, 2),
        "p50": percentile(0.5),
        "p90": percentile(0.9),
        "p99": percentile(0.99),
        "max": int(values[-1]),
        "bins": whole_bins(values, weights, percentile(0.99)),
    }


def whole_bins(values: Any, weights: Any, top: int) -> list[list[int | None]]:
    """[from, up to and including, rows] of equal width as far as `top`; one more without an end for what is above."""
    import numpy as np

    low, last = int(values[0]), int(values[-1])
    width = max(math.ceil((top + 1 - low) / BINS), 1)
    # What is a little above is no outlier.
    top = last if last <= top + width else top
    edges = [low + place * width for place in range(math.ceil((top + 1 - low) / width) + 1)]
    inside = values < edges[-1]
    counts, _ = np.histogram(values[inside], edges, weights=weights[inside])
    bins: list[list[int | None]] = [
        [start, end - 1, int(count)] for start, end, count in zip(edges, edges[1:], counts.tolist(), strict=False)
    ]
    above = int(weights[~inside].sum())
    return [*bins, [edges[-1], None, above]] if above else bins


class Numbers:
    """Counts numbers between known bounds; `whole` ones in bins that each hold as many of them."""

    def __init__(self, low: float, high: float, whole: bool = False) -> None:
        import numpy as np

        self.low, self.high = low, high
        size = max(math.ceil((high - low + 1) / BINS), 1) if whole else 0
        self.edges = whole_edges(low, high, size) if size else even_edges(low, high)
        self.counts = np.zeros(len(self.edges) - 1, np.int64)
        self.size = size
        self.count, self.mean = 0, 0.0

    def add(self, values: Any) -> None:
        import numpy as np

        if not len(values):
            return
        places = np.searchsorted(self.edges, values, side="right") - 1
        self.counts += np.bincount(np.clip(places, 0, len(self.counts) - 1), minlength=len(self.counts))
        self.count += len(values)
        # Not a sum of them all, which large numbers take beyond what a float can hold.
        self.mean += float(((values - self.mean) / self.count).sum())

    @property
    def summary(self) -> dict[str, Any]:
        if not self.count or not math.isfinite(self.mean):
            return {}
        ends = [edge - 1 for edge in self.edges[1:]] if self.size else self.edges[1:]
        bins = [[low, high, int(n)] for low, high, n in zip(self.edges, ends, self.counts, strict=False)]
        return {"min": self.low, "max": self.high, "mean": self.mean, "count": self.count, "bins": bins}


def whole_edges(low: float, high: float, size: int) -> list[float]:
    return [low + place * size for place in range(math.floor((high - low) / size) + 2)]


def even_edges(low: float, high: float) -> list[float]:
    # Halved, so that the distance between the largest floats there are is one, too.
    reach = high / 2 - low / 2
    edges = [low + reach / BINS * place * 2 for place in range(BINS)] if reach else [low]
    return [*edges, high]


# What draws


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    label: str
    rows: int
    open_end: bool = False


@dataclass(frozen=True)
class Picture:
    """A histogram in a box of `width` by `height`; the table behind it has the same `bars`."""

    width: int
    height: int
    bars: list[Bar]
    first: str
    last: str
    # Where a limit stands across the histogram, and what it is.
    limit_x: float | None = None


def picture(bins: list[list[Any]], width: int = 240, height: int = 48, limit: float | None = None) -> Picture | None:
    if not bins:
        return None
    most = max(rows for _, _, rows in bins) or 1
    step = width / len(bins)
    bars = [bar(place, step, height, low, high, rows, most) for place, (low, high, rows) in enumerate(bins)]
    last = bins[-1]
    return Picture(
        width, height, bars, figure(bins[0][0]), f"{figure(last[0])}+" if last[1] is None else figure(last[1]),
        place_of(limit, bins, step),
    )  # fmt: skip


def bar(place: int, step: float, height: int, low: Any, high: Any, rows: int, most: int) -> Bar:
    # A bar of one row among millions is still to be seen.
    tall = max(rows / most * (height - 2), 1.5) if rows else 0
    return Bar(
        x=round(place * step, 2),
        y=round(height - tall, 2),
        width=round(max(step - 1, 1), 2),
        height=round(tall, 2),
        label=span(low, high),
        rows=rows,
        open_end=high is None,
    )


def place_of(limit: float | None, bins: list[list[Any]], step: float) -> float | None:
    """None where the limit is beyond all that is drawn."""
    for place, (low, high, _) in enumerate(bins):
        if limit is not None and high is not None and low <= limit <= high:
            return round((place + (limit - low + 1) / (high - low + 1)) * step, 2)
    return None


def span(low: Any, high: Any) -> str:
    if high is None:
        return f"{figure(low)} and more"
    return figure(low) if low == high else f"{figure(low)} to {figure(high)}"


def figure(value: float) -> str:
    """As the filter `number` writes it."""
    if float(value).is_integer():
        return thousands(value)
    return f"{value:.4g}"


@dataclass(frozen=True)
class Stripe:
    """A part of a whole as a piece of one bar of width 100."""

    name: str
    title: str
    rows: int
    share: float
    x: float
    width: float


def stripes(parts: list[tuple[str, str, int]]) -> list[Stripe]:
    total = sum(rows for _, _, rows in parts) or 1
    found, x = [], 0.0
    for name, title, rows in parts:
        width = rows / total * 100
        if rows:
            found.append(Stripe(name, title, rows, rows / total, round(x, 3), round(max(width - 0.3, 0.2), 3)))
        x += width
    return found
