"""The rows of a file, whatever its format, encoding and packing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from datasets_app.readers import document, encodings, jsonl, kinds, parquet, table, text
from datasets_app.readers.meter import Meter
from datasets_app.readers.rows import Batch, Source
from datasets_app.readers.streams import Counted, Stream, text_of, unpacked


def batches(
    path: Path, folder: Path, file_name: str, source: Source, meter: Meter, encoding: str = ""
) -> Iterator[Batch]:
    """Fills in `source` on the way. Without an `encoding` it may raise streams.SuspectEncoding at any moment."""
    with closing(Counted(path, meter)) as raw:
        source.compression, stream = unpacked(raw)
        kinds.refuse_others(stream.head)
        if stream.head.startswith(kinds.PARQUET):
            source.format = "parquet"
            packed = source.compression
            yield from parquet.read(saved(stream, folder / "unpacked") if packed else path, source, meter)
        else:
            yield from of_text(stream, file_name, source, encoding)
        source.sha256, source.bytes = raw.digest(), raw.size


def saved(stream: Stream, target: Path) -> Path:
    with open(target, "wb") as file:
        for chunk in stream.chunks():
            file.write(chunk)
    return target


def of_text(stream: Stream, file_name: str, source: Source, encoding: str) -> Iterator[Batch]:
    marked = encodings.by_start(stream.head)
    source.encoding = encodings.NAMES[marked or encoding or "utf-8"]
    if encoding and (note := encodings.told(encoding)):
        source.notes.append(note)
    stream = text_of(stream, marked or encoding)
    head, ending = stream.head.decode(errors="replace"), kinds.ending_of(file_name)
    source.format = kinds.of_text(head, whole=stream.whole, ending=ending)
    if source.format == "csv":
        dialect = table.detect(head, whole=stream.whole, ending=ending)
        source.delimiter, source.loose = dialect.delimiter, True
        return table.read(stream, dialect, source)
    if source.format == "json":
        return document.read(stream, source)
    return jsonl.read(stream) if source.format == "jsonl" else text.read(stream)
