"""Is the right trading signal given? Corrects the original's, which gave full marks where there was no reference."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from rewards.registry import Example, Markers, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import LOOK_IN_HELP, LookIn, between, find_answer

MARKED = Markers(solution_start="<SOLUTION>", solution_end="</SOLUTION>")
TAG = ("<signal>", "</signal>")
Direction = Literal["buy", "hold", "sell"]
WORDS: dict[Direction, str] = {
    "buy": r"buy(?:ing)?|bullish|bull|go(?:ing)? long|long position|long|accumulate|outperform|overweight",
    "sell": r"sell(?:ing)?|bearish|bear|go(?:ing)? short|short position|short|underperform|underweight",
    "hold": r"hold(?:ing)?|neutral|wait|no trade|no position|flat|sideways|stand aside",
}
# "In the long term" and "a short time" are no positions.
NOT_A_TIME = r"(?![ -]?(?:term|run|time|period|list|er\b|est\b))"
STRENGTH = r"(?:(strong|strongly|high[ -]conviction|weak|weakly|slight|slightly|mild|mildly)[\s_-]{0,3})?"
SIGNAL = {
    direction: re.compile(rf"(?<![a-z0-9]){STRENGTH}(?:{words})(?![a-z0-9]){NOT_A_TIME}", re.IGNORECASE)
    for direction, words in WORDS.items()
}
DENIED = re.compile(
    r"(?:\bnot|n't|n’t|\bnever|\bneither|\bnor|\bavoid|\binstead of|\brather than)\s+(?:\w+\s+){0,2}$", re.IGNORECASE
)
NUMBER = r"[^\d\n]{0,20}?[$€£]?\s?(\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,12}(?:\.\d{1,8})?)"
LEVELS = {
    "entry": re.compile(rf"\bentry(?: price)?\b{NUMBER}", re.IGNORECASE),
    "stop": re.compile(rf"\bstop(?:[ -]?loss)?\b{NUMBER}", re.IGNORECASE),
    "target": re.compile(rf"\b(?:target|take[ -]profit)(?: price)?\b{NUMBER}", re.IGNORECASE),
}


class SignalAccuracy(Parameters):
    same_direction: float = Field(
        0.7, ge=0, le=1, title="Same direction", description="Score where only the strength differs: buy, strong buy."
    )
    levels: bool = Field(
        False,
        title="Price levels",
        description="Entry, stop and target must be given and fit the direction, else half the score. Not for hold.",
    )
    look_in: LookIn = Field("auto", title="Look in", description=f"<signal> tags first, then: {LOOK_IN_HELP}")


@dataclass(frozen=True)
class Signal:
    direction: Direction
    strength: Literal["strong", "weak", ""] = ""

    def __str__(self) -> str:
        return f"{self.strength} {self.direction}".strip()


def signals(text: str) -> set[Signal]:
    return {
        Signal(direction, _strength(hit[1] or ""))
        for direction, pattern in SIGNAL.items()
        for hit in pattern.finditer(text.replace("_", " "))
    }


def _strength(word: str) -> Literal["strong", "weak", ""]:
    if not word:
        return ""
    return "strong" if word.casefold().startswith(("strong", "high")) else "weak"


def denied(text: str) -> bool:
    """ "Don't buy" says what not to do, and not what to do."""
    plain = text.replace("_", " ")
    hits = [hit.start() for pattern in SIGNAL.values() for hit in pattern.finditer(plain)]
    return any(DENIED.search(plain[max(0, start - 60) : start]) for start in hits)


def signalled(response: str, reference: str, value: float, **parameters: object) -> Example:
    sample = Sample("RSI 28, price above the 200-day average. Signal?", response, reference, markers=MARKED)
    return Example(sample, value, parameters)


@reward_function(
    title="Trading signal",
    category="Answer",
    parameters=SignalAccuracy,
    judges_answer=True,
    needs_reference=True,
    examples=(
        signalled("Oversold in an uptrend. <signal>STRONG_BUY</signal>", "STRONG_BUY", 1.0),
        signalled("<SOLUTION>Go long</SOLUTION>", "buy", 1.0),
        signalled("<signal>WEAK_BUY</signal>", "STRONG_BUY", 0.7),
        signalled("<signal>BUY</signal> Entry: 100, stop: 95, target: 110", "BUY", 1.0, levels=True),
        signalled("<signal>BUY</signal> Entry: 100, stop: 105, target: 110", "BUY", 0.5, levels=True),
        signalled("<signal>SELL</signal>", "BUY", 0.0),
        signalled("<signal>BUY or SELL</signal>", "BUY", 0.0),
        signalled("Do not buy.", "BUY", 0.0),
    ),
)
def signal_accuracy(sample: Sample, parameters: SignalAccuracy) -> Score:
    """1 for the right signal, less for the right direction of another strength; 0 if none or several are named."""
    expected = _expected(sample.reference or "")
    pieces = between(sample.response, *TAG) or find_answer(sample, parameters.look_in).pieces
    named = set[Signal]().union(*map(signals, pieces))
    shown = ", ".join(sorted(map(str, named))) or "no signal"
    if {signal.direction for signal in named} != {expected.direction} or any(map(denied, pieces)):
        return Score(0.0, f"Expected {expected}, found {shown}.")
    right = not expected.strength or {signal.strength for signal in named} == {expected.strength}
    value = 1.0 if right else parameters.same_direction
    problem = levels_problem(sample.response, expected.direction) if parameters.levels else ""
    return Score(value / 2 if problem else value, f"Expected {expected}, found {shown}. {problem}".strip())


def _expected(reference: str) -> Signal:
    named = signals(reference)
    if not reference.strip():
        raise RewardError("This row has no reference signal.")
    if len(named) != 1 or denied(reference):
        raise RewardError(f"The reference {reference[:60]!r} names no single signal: buy, sell or hold.")
    return min(named, key=str)


def levels_problem(text: str, direction: Direction) -> str:
    if direction == "hold":
        return ""
    given = {name: [float(hit.replace(",", "")) for hit in found.findall(text)] for name, found in LEVELS.items()}
    if odd := [name for name, prices in given.items() if len(set(prices)) != 1]:
        return f"Give one price as {', '.join(odd)}."
    entry, stop, target = (given[name][0] for name in ("entry", "stop", "target"))
    fits = stop < entry < target if direction == "buy" else target < entry < stop
    return "" if fits else f"Stop {stop:g}, entry {entry:g} and target {target:g} do not fit a {direction}."
