"""Searching all stored answers of a session.

Rows are looked through from the newest, a stretch at a time, and a search that takes too long ends with where it came
to: whoever asked goes on from there. So time and memory are bounded, however much is stored.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from training import kept_answers
from training.models import Completion, Session

PAGE, MOST = 25, 100
LONGEST_QUERY = 200
STRETCH = 5_000
SEARCH_SECONDS = 2.0
# Characters on both sides of what was found.
AROUND = 90


@dataclass(frozen=True)
class Filters:
    """`failed`: a part of the reward could not judge it. None: whatever it is."""

    text: str = ""
    first_step: int | None = None
    last_step: int | None = None
    lowest: float | None = None
    highest: float | None = None
    cut_off: bool | None = None
    failed: bool | None = None

    def query(self) -> Q:
        asked = {
            "text__icontains": self.text[:LONGEST_QUERY] or None,
            "step__gte": self.first_step,
            "step__lte": self.last_step,
            "total__gte": self.lowest,
            "total__lte": self.highest,
            "cut_off": self.cut_off,
            "failed": self.failed,
        }
        return Q(**{name: value for name, value in asked.items() if value is not None})


@dataclass(frozen=True)
class Page:
    """`cursor` leads on and is None at the end. `complete` is False where time ran out before the page was full."""

    rows: list[Completion]
    cursor: int | None
    complete: bool = True


def of_session(session: Session) -> QuerySet[Completion]:
    return Completion.objects.filter(session=session, event__in=kept_answers.stored(session.pk).values("pk"))


def search(session: Session, filters: Filters, before: int | None = None, limit: int = PAGE) -> Page:
    """The newest answers that `filters` let through, older ones than the cursor `before`."""
    limit = min(limit, MOST)
    all_rows, found = of_session(session), list[Completion]()
    end = time.monotonic() + SEARCH_SECONDS
    while time.monotonic() < end:
        stretch = Completion.objects.filter(session=session).order_by("-id")
        if before is not None:
            stretch = stretch.filter(id__lt=before)
        lowest = stretch.values_list("id", flat=True)[STRETCH - 1 : STRETCH].first()
        here = all_rows.filter(within(lowest, before), filters.query()).order_by("-id")
        found += here[: limit + 1 - len(found)]
        if len(found) > limit:
            return Page(found[:limit], found[limit - 1].pk)
        if lowest is None:
            return Page(found, None)
        before = lowest
    return Page(found, before, complete=False)


def within(lowest: int | None, before: int | None) -> Q:
    above = Q() if lowest is None else Q(id__gte=lowest)
    return above if before is None else above & Q(id__lt=before)


@dataclass(frozen=True)
class Snippet:
    before: str
    hit: str
    after: str
    begins: bool
    ends: bool


def snippet(text: str, asked: str) -> Snippet:
    """What is around the first place of `asked`, or the beginning of `text`."""
    # Some capitals have a lower form of two letters, which would move the place.
    folded = text.lower() if len(text.lower()) == len(text) else text
    place = max(folded.find(asked.lower()), 0) if asked else 0
    hit = text[place : place + len(asked)] if folded[place:].startswith(asked.lower()) else ""
    start, rest = max(0, place - AROUND), place + len(hit)
    end = rest + (AROUND if asked else 2 * AROUND)
    return Snippet(text[start:place], hit, text[rest:end], start == 0, end >= len(text))


def places(rows: list[Completion]) -> dict[int, int]:
    """The number of the prompt, from 1, of each answer: a step of several rounds counts on from one to the next."""
    events = {row.event_id: row.step for row in rows}
    counted = dict[int, int]()
    for event, step in events.items():
        counted[event] = groups_before(rows[0].session_id, step, event)
    return {row.pk: counted[row.event_id] + row.group + 1 for row in rows}


def groups_before(session_id: Any, step: int, event_id: int) -> int:
    earlier = kept_answers.stored(session_id).filter(step=step, pk__lt=event_id).values("pk")
    return Completion.objects.filter(event__in=earlier, index=0).count()


def located(rows: list[Completion], asked: str) -> list[dict[str, Any]]:
    """Each answer with where it is and what was found in it."""
    numbers = places(rows)
    return [{"row": row, "prompt": numbers[row.pk], "snippet": snippet(row.text, asked)} for row in rows]
