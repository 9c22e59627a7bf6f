"""Streams a version's rows in constant memory. What needs computing is done by a child process (extracting.py)."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.utils.text import slugify

from datasets_app.extracting import REJECTED_COLUMNS
from datasets_app.models import DatasetVersion
from datasets_app.searching import Query
from loracraft import spreadsheets
from loracraft.streaming import blocks

BLOCK = 1 << 18
FORMATS = {
    "jsonl": "application/jsonl",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


class DownloadFailed(Exception):
    """Raised in the middle of a download, so that the connection breaks and nobody takes half a file for all of it."""


def rows(version: DatasetVersion, format: str, query: Query, marks: Path | None) -> AsyncIterator[bytes]:
    if format == "parquet" and not query:
        return blocks(version.path)
    request = {
        "path": str(version.path),
        "format": format,
        "query": asdict(query),
        "marks": str(marks) if marks else None,
        "columns": version.columns,
    }
    return extracted(request)


def size(version: DatasetVersion, format: str, query: Query) -> int | None:
    """In bytes, where it is known beforehand."""
    return version.path.stat().st_size if format == "parquet" and not query else None


def rejected(version: DatasetVersion, format: str) -> AsyncIterator[bytes]:
    """Every line that the import rejected, or row that a filter dropped, with its number and the reason."""
    path = version.rejected_path
    if path and path.is_file():
        return blocks(path) if format == "jsonl" else extracted({"rejected": str(path)})
    return remembered(version.report.get("rejected", []), format)


async def remembered(lines: list[dict[str, Any]], format: str) -> AsyncIterator[bytes]:
    """The few that the report holds, of versions from before all were kept."""
    if format == "csv":
        yield spreadsheets.csv_line(REJECTED_COLUMNS).encode()
    for line in lines:
        cells = [line.get(name) for name in REJECTED_COLUMNS]
        yield (
            spreadsheets.csv_line(cells) if format == "csv" else json.dumps(line, ensure_ascii=False) + "\n"
        ).encode()


def file_name(version: DatasetVersion, ending: str, *more: str) -> str:
    """Made of letters, digits and dashes alone, whatever the dataset is called."""
    name = slugify(version.dataset.name)[:60].strip("-") or "dataset"
    return "-".join([name, f"v{version.number}", *filter(None, more)]) + f".{ending}"


async def extracted(request: dict[str, Any]) -> AsyncIterator[bytes]:
    process = await asyncio.to_thread(start, request)
    assert process.stdout
    try:
        while block := await asyncio.to_thread(read, process.stdout):
            yield block
        if await asyncio.to_thread(process.wait):
            raise DownloadFailed("The rows could not be written. The server's log says why.")
    finally:
        # The reader may have gone in the middle.
        process.kill()
        process.stdout.close()
        await asyncio.to_thread(process.wait)


def start(request: dict[str, Any]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "datasets_app.extracting"],
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    with process.stdin as stdin:
        stdin.write(json.dumps(request).encode() + b"\n")
    return process


def read(stream: BinaryIO | Any) -> bytes:
    return bytes(stream.read(BLOCK))
