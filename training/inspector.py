"""What the inspector shows of a step: its prompts, and the answers to one of them."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median, pstdev
from typing import Any

from django.db.models import Sum

from training import kept_answers, session_groups
from training.models import Completion, Event, Session
from training.schema import PromptSection

ORDERS = {
    "best": "Best first",
    "worst": "Worst first",
    "advantage": "Largest advantage",
    "length": "Longest first",
}
ONLY = {"": "All answers", "cut_off": "Only cut off", "errors": "Only with errors"}
# Words of each text that are compared. difflib needs well under a second for two such texts, whatever is in them.
WORDS_COMPARED = 1_500
WORDS = re.compile(r"\s+|\w+|[^\w\s]")


@dataclass(frozen=True)
class Prompt:
    number: int
    question: str
    mean: float | None
    spread: float | None
    without_signal: bool
    errors: int
    seq: int
    place: int


@dataclass(frozen=True)
class Neighbours:
    step: int
    steps: list[int]

    @property
    def previous(self) -> int | None:
        place = bisect_left(self.steps, self.step)
        return self.steps[place - 1] if place else None

    @property
    def next(self) -> int | None:
        place = bisect_right(self.steps, self.step)
        return self.steps[place] if place < len(self.steps) else None


def at_or_before(steps: Sequence[int], step: int | None) -> int | None:
    """The last one of `steps` that is not after `step`; the first one if all are; the last without a `step`."""
    if not steps:
        return None
    return steps[-1] if step is None else steps[max(bisect_right(steps, step) - 1, 0)]


def events_of(session: Session, step: int) -> list[Event]:
    return list(kept_answers.stored(session.pk).filter(step=step).order_by("seq"))


def prompts(events: Sequence[Event]) -> list[Prompt]:
    found = [(event, place, group) for event in events for place, group in enumerate(event.data.get("groups") or [])]
    return [prompt_of(number, *each) for number, each in enumerate(found, 1)]


def prompt_of(number: int, event: Event, place: int, group: dict[str, Any]) -> Prompt:
    answers = group.get("completions") or []
    totals = [answer["total"] for answer in answers if answer.get("total") is not None]
    advantages = [answer["advantage"] for answer in answers if answer.get("advantage") is not None]
    return Prompt(
        number=number,
        question=session_groups.text_of(group.get("question"))[:300],
        mean=fmean(totals) if totals else None,
        spread=pstdev(totals) if totals else None,
        without_signal=bool(advantages) and not any(advantages),
        errors=sum(bool(answer.get("errors")) for answer in answers),
        seq=event.seq,
        place=place,
    )


def group(
    session: Session, event: Event, place: int, section: PromptSection | None, order: str, only: str
) -> session_groups.Group:
    """One group with the whole texts of its answers, ordered, and without those that `only` leaves out."""
    given = event.data["groups"][place]
    whole = {row.index: row for row in Completion.objects.filter(event=event, group=place)}
    answers = [with_text(answer, whole.get(index)) for index, answer in enumerate(given.get("completions") or [])]
    everything = [answer for each in event.data["groups"] for answer in each.get("completions") or []]
    scale = session_groups.Scale.of(everything, session.reward)
    found = session_groups.group_of(place, {**given, "completions": answers}, scale, section, False, None)
    shown = [answer for answer in ordered(found.answers, order) if passes(answer, only)]
    found.answers[:] = shown
    return found


def with_text(answer: dict[str, Any], row: Completion | None) -> dict[str, Any]:
    if row is None:
        return answer
    return {**answer, "text": row.text, "characters": row.characters if row.characters > len(row.text) else 0}


def ordered(answers: list[session_groups.Answer], order: str) -> list[session_groups.Answer]:
    """`answers` come best first."""
    if order == "worst":
        return answers[::-1]
    if order == "advantage":
        return sorted(answers, key=lambda answer: -(answer.advantage if answer.advantage is not None else -1e9))
    return sorted(answers, key=lambda answer: -(answer.length or 0)) if order == "length" else answers


def passes(answer: session_groups.Answer, only: str) -> bool:
    return {"cut_off": answer.cut_off, "errors": answer.failed}.get(only, True)


# What is stored, in words


@dataclass(frozen=True)
class Stored:
    steps: int
    bytes: int
    budget: int
    every: int
    # About every how many steps are really there between the first and the last ones, where the budget thinned them.
    gap: int | None


def stored_words(session: Session, steps: Sequence[int]) -> Stored:
    every, budget = kept_answers.sampling(session.pk)
    size = Completion.objects.filter(session=session).aggregate(bytes=Sum("size"))["bytes"] or 0
    middle = steps[kept_answers.ALWAYS - 1 : -kept_answers.ALWAYS]
    gaps = [after - before for before, after in pairwise(middle)]
    gap = round(median(gaps)) if len(gaps) > 1 else 0
    return Stored(len(steps), size, budget, every, gap if gap > every else None)


# Two answers, word by word


@dataclass(frozen=True)
class Piece:
    """`kind`: same, removed (only in the first text) or added (only in the second)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Difference:
    pieces: list[Piece]
    left_out: int


def difference(first: str, second: str) -> Difference:
    """By words; beyond WORDS_COMPARED of a text nothing is compared, and `left_out` counts the words."""
    one, other = words(first), words(second)
    left_out = max(len(one) - WORDS_COMPARED, 0) + max(len(other) - WORDS_COMPARED, 0)
    return Difference(pieces(one[:WORDS_COMPARED], other[:WORDS_COMPARED]), left_out)


def words(text: str) -> list[str]:
    return WORDS.findall(text)


def pieces(one: list[str], other: list[str]) -> list[Piece]:
    found = list[Piece]()
    for tag, a, b, c, d in difflib.SequenceMatcher(None, one, other).get_opcodes():
        if tag == "equal":
            found.append(Piece("same", "".join(one[a:b])))
            continue
        found += [Piece("removed", "".join(one[a:b]))] if b > a else []
        found += [Piece("added", "".join(other[c:d]))] if d > c else []
    return found
