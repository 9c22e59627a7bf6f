"""The beginning of a file that lies on the hub, so that a preview fetches little of it. For the child of hub.py."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets_app.limits import HUB_PREVIEW_BYTES

# A first line longer than this is not waited for.
MOST_BYTES = 32 * HUB_PREVIEW_BYTES
ROWS = 50


def parquet_tables(file: Any) -> Iterator[Any]:
    """Page by page instead of a whole row group at once."""
    import pyarrow
    import pyarrow.parquet

    stored = pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=HUB_PREVIEW_BYTES // 2)
    for batch in stored.iter_batches(batch_size=ROWS):
        yield pyarrow.Table.from_batches([batch])


def whole_rows(file: Any, path: str, reader: str, target: Path) -> Path:
    """The first rows of a text file as a file of the same format, for the reader that all rows will be read with."""
    packed, size = path.endswith(".gz"), HUB_PREVIEW_BYTES
    head = file.read(size)
    while not (rows := cut(unpacked(head) if packed else head, reader, len(head) < size)) and size < MOST_BYTES:
        head, size = head + file.read(3 * size), 4 * size
    kept = target / Path(path.removesuffix(".gz")).name
    kept.write_bytes(rows)
    return kept


def unpacked(head: bytes) -> bytes:
    return zlib.decompressobj(wbits=31).decompress(head, MOST_BYTES)


def cut(head: bytes, reader: str, complete: bool) -> bytes:
    """`head` without the row that it breaks off in."""
    if complete:
        return head
    if reader == "json" and head.lstrip()[:1] == b"[":
        return listed(head.decode(errors="ignore"))
    end = head.rfind(b"\n") + 1
    while reader == "csv" and end and head.count(b'"', 0, end) % 2:
        end = head.rfind(b"\n", 0, end - 1) + 1
    return head[:end]


def listed(text: str) -> bytes:
    """The whole elements at the beginning of a JSON list, as a list."""
    found: list[Any] = []
    decoder, at = json.JSONDecoder(), text.index("[") + 1
    while at < len(text) and len(found) < ROWS:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            break
        found.append(value)
    return json.dumps(found).encode() if found else b""
