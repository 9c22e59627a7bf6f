"""Answers with artefacts: whole, in ranges, or zipped while they are sent."""

from __future__ import annotations

import asyncio
import re
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import http_date

from loracraft.streaming import BLOCK, blocks

RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Unsatisfiable(Exception):
    pass


def file_response(request: HttpRequest, path: Path, name: str, sha256: str) -> HttpResponseBase:
    """200, 206 or 416 for `path`, which must come from a row and never from the address."""
    stat = path.stat()
    etag = f'"{sha256}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Last-Modified": http_date(stat.st_mtime),
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("If-None-Match") == etag:
        return HttpResponse(status=304, headers={"ETag": etag})
    try:
        part = wanted_range(request.headers.get("Range", ""), stat.st_size)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{stat.st_size}"})
    if request.headers.get("If-Range", etag) != etag:
        part = None
    first, last = part or (0, stat.st_size - 1)
    headers["Content-Length"] = str(last - first + 1)
    if part:
        headers["Content-Range"] = f"bytes {first}-{last}/{stat.st_size}"
    body = b"" if request.method == "HEAD" else blocks(path, first, last - first + 1)
    return _answer(body, 206 if part else 200, headers)


def _answer(body: Any, status: int, headers: dict[str, str]) -> HttpResponseBase:
    kind = HttpResponse if body == b"" else StreamingHttpResponse
    return kind(body, status=status, headers=headers, content_type="application/octet-stream")


def wanted_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte; None for the whole file, also where the header is one that may be ignored."""
    match = RANGE.fullmatch(header.strip())
    if not match or match.group(1) == match.group(2) == "":
        return None
    start, end = match.groups()
    if start == "":
        first, last = max(0, size - int(end)), size - 1
        if int(end) == 0:
            raise Unsatisfiable
    else:
        first, last = int(start), min(int(end), size - 1) if end else size - 1
        if end and int(end) < int(start):
            return None
    if first >= size:
        raise Unsatisfiable
    return first, last


def zip_response(files: list[tuple[Path, str]], name: str) -> HttpResponseBase:
    """All `files` (path, name inside) as one zip, made while it is sent: no second copy on disk, so no ranges."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return StreamingHttpResponse(_in_thread(zipped(files).__next__), headers=headers, content_type="application/zip")


class _Sink:
    """What zipfile writes to: it cannot seek, so zipfile writes sizes and checksums after each file."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.written.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        data, self.written = b"".join(self.written), []
        return data


def zipped(files: list[tuple[Path, str]]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for path, name in files:
            with path.open("rb") as source, archive.open(name, "w", force_zip64=True) as target:
                while block := source.read(BLOCK):
                    target.write(block)
                    yield sink.take()
    yield sink.take()


async def _in_thread(following: Callable[[], bytes]) -> AsyncIterator[bytes]:
    def step() -> bytes | None:
        # A StopIteration can't cross a thread into a coroutine.
        try:
            return following()
        except StopIteration:
            return None

    while (block := await asyncio.to_thread(step)) is not None:
        yield block
