"""The WebSocket of a session: /ws/sessions/<id>/?after=<seq>."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import get_user_model

from training.hub import hub
from training.models import Session

logger = logging.getLogger(__name__)

SIGN_IN, NOT_FOUND, INVALID, TRY_AGAIN = 4401, 4404, 4400, 1011
ACCESS_SECONDS = 60


class SessionConsumer(AsyncWebsocketConsumer):
    """Handlers return at once: Channels runs one at a time, and a loop in connect() would keep disconnect() waiting."""

    _tasks: tuple[asyncio.Task[None], ...] = ()

    async def connect(self) -> None:
        # Accepted first: a client of a refused handshake sees no code.
        await self.accept()
        self.session_id: UUID = self.scope["url_route"]["kwargs"]["session_id"]
        after = _after(self.scope["query_string"])
        if not getattr(self.scope.get("user"), "is_authenticated", False):
            await self.close(SIGN_IN)
        elif after is None:
            await self.close(INVALID)
        elif not await self._may_watch():
            await self.close(NOT_FOUND)
        else:
            self._tasks = (asyncio.create_task(self._pump(after)), asyncio.create_task(self._check_access()))

    async def disconnect(self, code: int) -> None:
        for task in self._tasks:
            task.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Clients have nothing to say."""

    async def _pump(self, after: int) -> None:
        """A client that stops reading is closed by Daphne, whose pings it does not answer."""
        try:
            await hub.pump(self.session_id, after, self._send_text)
        except Exception:
            # The database is away, for example: the client comes back and says where it left off.
            logger.warning("A socket of session %s ends.", self.session_id, exc_info=True)
            await self.close(TRY_AGAIN)

    async def _send_text(self, text: str) -> None:
        await self.send(text_data=text)

    async def _check_access(self) -> None:
        """Whoever leaves the team, or whose account is switched off, sees nothing new for longer than a minute."""
        while True:
            await asyncio.sleep(ACCESS_SECONDS)
            if not await self._may_watch():
                self._tasks[0].cancel()
                await self.close(NOT_FOUND)
                return

    async def _may_watch(self) -> bool:
        return await may_watch(self.scope["user"], self.session_id)


@database_sync_to_async
def may_watch(user: Any, session_id: UUID) -> bool:
    # The class of a socket's user is a lazy wrapper without a manager.
    active = get_user_model().objects.filter(pk=user.pk, is_active=True).exists()
    return active and Session.objects.of_user(user).filter(pk=session_id).exists()


def _after(query: bytes) -> int | None:
    """Where the client left off; 0 for the whole history, None for nonsense."""
    text = parse_qs(query.decode("latin1")).get("after", ["0"])[-1]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
