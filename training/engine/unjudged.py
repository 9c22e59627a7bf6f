"""Answers that the reward could not judge: left out of the gradient one by one, and too many of them end the run."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from rewards.composition import Result
from training.engine.problems import EngineError

# The newest answers that the share is taken of. With fewer, one odd question would end a run.
NEWEST = 64
REASONS_KEPT = 5
LONGEST_REASON = 200


def reasons_of(result: Result) -> list[str]:
    """Why an answer has no total, each with its part; none where it has one."""
    if result.total is not None:
        return []
    return [f"{part}: {reason}"[:LONGEST_REASON] for part, reason in result.errors.items()]


def most_frequent(results: Iterable[Result]) -> dict[str, int]:
    counted = Counter(reason for result in results for reason in reasons_of(result))
    return dict(counted.most_common(REASONS_KEPT))


class Unjudged:
    """Watches the newest answers of a run."""

    def __init__(self, most: float) -> None:
        self.most = most
        self.newest: deque[Result] = deque(maxlen=NEWEST)

    def saw(self, results: list[Result]) -> None:
        # A batch that is larger than the window counts as a whole.
        if len(results) > (self.newest.maxlen or 0):
            self.newest = deque(self.newest, maxlen=len(results))
        self.newest.extend(results)

    def check(self) -> None:
        """Raises EngineError when more than the allowed share could not be judged."""
        failed = sum(result.total is None for result in self.newest)
        seen = len(self.newest)
        if seen < NEWEST or failed <= self.most * seen:
            return
        said = "; ".join(f"{reason} ({count}×)" for reason, count in most_frequent(self.newest).items())
        raise EngineError(
            f"{failed} of the last {seen} answers could not be judged ({failed / seen:.0%}), and the session allows"
            f" {self.most:.0%}. Most frequent: {said}",
            "Correct the reward or the dataset's columns and start a new session, or raise reward.max_error_share to go"
            " on with what can be judged.",
        )
