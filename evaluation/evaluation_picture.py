"""The interval plots of a report as one SVG, for papers and slides: it stands alone, in colours for a white page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import chain

from evaluation.evaluation_page import Plot
from evaluation.report import Bar

WIDTH, LEFT, RIGHT, LINE, HEAD, MARGIN = 960, 310, 210, 26, 40, 16
# Of a name, whose end tells checkpoints apart.
BEGINNING, END = 20, 16
# As --session-1 and so on of the light theme, in the order of the models.
COLOURS = ("#2a5bd7", "#e06000", "#00a37a", "#c86fb5", "#5a2e00", "#1a1a1a")


def svg(heading: str, plots: Sequence[Plot]) -> str:
    parts, top = [text(MARGIN, MARGIN + 14, heading, size=16, weight=600)], MARGIN + HEAD
    for plot in plots:
        parts += plot_lines(plot, top)
        top += HEAD + LINE * len(plot.bars)
    height = top + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
            ' font-family="system-ui, sans-serif">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def plot_lines(plot: Plot, top: int) -> list[str]:
    bars = (bar_lines(bar, top + 12 + LINE * (place + 1)) for place, bar in enumerate(plot.bars))
    return [text(MARGIN, top + 12, plot.title, weight=600), *chain.from_iterable(bars)]


def bar_lines(bar: Bar, middle: int) -> list[str]:
    colour = COLOURS[(int(bar.kind.rpartition("-")[2]) - 1) % len(COLOURS)]
    low, high, mark = (place(value) for value in (bar.low, bar.high, bar.middle))
    return [
        text(MARGIN, middle + 4, shortened(bar.title)),
        f'<rect x="{LEFT}" y="{middle - 1}" width="{WIDTH - LEFT - RIGHT}" height="2" fill="#e2e5ea"/>',
        f'<rect x="{low:.1f}" y="{middle - 4}" width="{max(high - low, 1):.1f}" height="8" fill="{colour}"'
        ' opacity="0.5"/>',
        f'<rect x="{mark - 1.5:.1f}" y="{middle - 8}" width="3" height="16" fill="{colour}"/>',
        text(WIDTH - RIGHT + 14, middle + 4, bar.text),
    ]


def shortened(title: str) -> str:
    return title if len(title) <= BEGINNING + END + 1 else f"{title[:BEGINNING]}…{title[-END:]}"


def place(value: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * value / 100


def text(x: int, y: int, said: str, size: int = 13, weight: int = 400) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="#1f2933">{escape(said)}</text>'
