"""Files as bodies of answers: Django reads a FileResponse into memory under ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

BLOCK = 1 << 20


async def blocks(path: Path, first: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
    """The bytes of the file from `first` on, `length` of them or all, in constant memory."""
    stream = await asyncio.to_thread(path.open, "rb")
    try:
        await asyncio.to_thread(stream.seek, first)
        while length is None or length > 0:
            block = await asyncio.to_thread(stream.read, BLOCK if length is None else min(BLOCK, length))
            if not block:
                return
            length = None if length is None else length - len(block)
            yield block
    finally:
        await asyncio.to_thread(stream.close)
