"""One reader of the database for all WebSockets of a process.

While anyone watches, the hub asks every POLL_SECONDS which watched sessions have something new, in one query. New rows
are read once and encoded once, whoever watches; a socket that is behind (just connected, or slow) reads its own pages
until it has caught up. So the database's numbering decides what a client gets, and nothing depends on a nudge that may
be lost.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async

from training.choices import Kind
from training.models import Event, Session

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.3
PAGE = 200
KEPT = 500

TYPES = {Kind.METRICS.value: "training_update", Kind.SYSTEM.value: "system_update"}

Frame = tuple[int, str]
Send = Callable[[str], Awaitable[None]]


def message(event: Event) -> dict[str, Any]:
    """An event as clients get it, over the socket and from the history."""
    return {
        **event.data,
        "type": TYPES.get(event.kind, event.kind),
        "seq": event.seq,
        "attempt": event.attempt,
        "phase": event.phase,
        "step": event.step,
        "at": event.created_at.isoformat(),
    }


@database_sync_to_async
def read_frames(session_id: UUID, after: int) -> list[Frame]:
    rows = Event.objects.filter(session_id=session_id, seq__gt=after, superseded=False).order_by("seq")[:PAGE]
    return [(row.seq, json.dumps(message(row), ensure_ascii=False)) for row in rows]


@database_sync_to_async
def newest_seqs(session_ids: list[UUID]) -> dict[UUID, int]:
    return dict(Session.objects.filter(pk__in=session_ids).values_list("pk", "last_seq"))


@dataclass
class Topic:
    """A watched session. `frames` are the newest, without a gap: everything with first <= seq <= last."""

    session_id: UUID
    last: int
    first: int = 0
    frames: deque[Frame] = field(default_factory=lambda: deque(maxlen=KEPT))
    watchers: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def since(self, after: int) -> list[Frame] | None:
        """What a socket that has `after` needs; None if that begins before what is kept."""
        if after + 1 < self.first:
            return None
        return [frame for frame in self.frames if frame[0] > after]

    async def read_up_to(self, newest: int) -> None:
        while self.last < newest:
            page = await read_frames(self.session_id, self.last)
            self._keep(page)
            if len(page) < PAGE:
                # Superseded rows at the end are skipped like all others.
                self.last = max(self.last, newest)
        async with self.changed:
            self.changed.notify_all()

    def _keep(self, page: list[Frame]) -> None:
        for frame in page:
            if len(self.frames) == KEPT:
                self.first = self.frames[0][0] + 1
            self.frames.append(frame)
            self.last = frame[0]


class Hub:
    def __init__(self) -> None:
        self._topics: dict[UUID, Topic] = {}
        self._poller: asyncio.Task[None] | None = None

    async def pump(self, session_id: UUID, after: int, send: Send) -> None:
        """Sends everything after `after`, each event once and in order, until it is cancelled."""
        topic = await self._join(session_id)
        try:
            while True:
                frames = topic.since(after)
                if frames is None:
                    frames = await read_frames(session_id, after)
                for seq, text in frames:
                    await send(text)
                    after = seq
                if not frames:
                    after = await self._wait(topic, after)
        finally:
            self._leave(topic)

    async def _wait(self, topic: Topic, after: int) -> int:
        """Until there is more than `after`. Returns what counts as sent: rows that are never sent do, too."""
        async with topic.changed:
            if topic.last <= after:
                await topic.changed.wait()
                return after
            return topic.last

    async def _join(self, session_id: UUID) -> Topic:
        topic = self._topics.get(session_id)
        if topic is None:
            newest = await newest_seqs([session_id])
            # Somebody else may have joined while the database was asked.
            seq = newest.get(session_id, 0)
            topic = self._topics.setdefault(session_id, Topic(session_id, last=seq, first=seq + 1))
        topic.watchers += 1
        if self._poller is None or self._poller.done():
            self._poller = asyncio.get_running_loop().create_task(self._poll())
        return topic

    def _leave(self, topic: Topic) -> None:
        topic.watchers -= 1
        if not topic.watchers:
            self._topics.pop(topic.session_id, None)

    async def _poll(self) -> None:
        """One for all topics; it also sets the pace: a socket gets at most a batch an interval."""
        while self._topics:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._look()
            except Exception:
                # The database is away: sockets stay open and go on when it is back.
                logger.warning("The hub could not read events; trying again.", exc_info=True)

    async def _look(self) -> None:
        newest = await newest_seqs(list(self._topics))
        for topic in list(self._topics.values()):
            if newest.get(topic.session_id, 0) > topic.last:
                await topic.read_up_to(newest[topic.session_id])


hub = Hub()
