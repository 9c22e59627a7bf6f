"""A chart of compared sessions as a table: every step, one row for each session and step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from evaluation.compare import Entry
from loracraft import spreadsheets
from training import series
from training.models import Event
from training.streams import READ_AT_ONCE, Range

HEAD = ["number", "session", "name", "step", "seconds"]


class SessionRows:
    """The rows of one session, within steps or within seconds since its start."""

    def __init__(self, entry: Entry, keys: Sequence[str], within: Range, by_time: bool) -> None:
        self.session, self.keys, self.within, self.by_time = entry.session, keys, within, by_time
        self.before = [entry.number, str(entry.session.pk), entry.session.name]
        # Read now: streaming is asynchronous. A score is taken at few of the steps.
        self.evaluated = list(self.evaluations()) if set(keys) & set(series.EVALUATED) else []

    async def rows(self) -> AsyncIterator[list[Any]]:
        """What evaluations measured comes last."""
        async for event in self.events.aiterator(READ_AT_ONCE):
            if any(key in event.data for key in self.keys):
                yield self.row(event.step, self.seconds(event.created_at), event.data)
        for row in self.evaluated:
            yield row

    def row(self, step: float | None, seconds: float | None, data: dict[str, Any]) -> list[Any]:
        return [*self.before, step, seconds, *(data.get(key) for key in self.keys)]

    @property
    def events(self) -> QuerySet[Event]:
        found = series.metric_events(self.session)
        return found.filter(self.during if self.by_time else self.within.of_events(by_time=False))

    @property
    def during(self) -> Q:
        begun, found = self.session.started_at, Q()
        for lookup, end in (("gte", self.within.first), ("lte", self.within.last)):
            if begun is not None and end is not None:
                found &= Q(**{f"created_at__{lookup}": begun + timedelta(seconds=end)})
        return found

    def seconds(self, at: datetime) -> float | None:
        begun = self.session.started_at
        return None if begun is None else round((at - begun).total_seconds(), 3)

    def evaluations(self) -> Iterator[list[Any]]:
        found = sorted(series.evaluations(self.session, Range()), key=lambda row: row[0])
        times = series.seconds_at(self.session, [step for step, _ in found])
        for (step, data), seconds in zip(found, times, strict=True):
            place = seconds if self.by_time else step
            inside = place is None or self.within.low <= place <= self.within.high
            if inside and any(key in data for key in self.keys):
                yield self.row(step, seconds, data)


async def csv_lines(sessions: Sequence[SessionRows], keys: Sequence[str]) -> AsyncIterator[str]:
    yield spreadsheets.csv_line([*HEAD, *keys])
    for session in sessions:
        async for row in session.rows():
            yield spreadsheets.csv_line(row)
