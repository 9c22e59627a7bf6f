"""From a file on disk to a stream of UTF-8 bytes: counted, hashed, decompressed and decoded as it is read."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from datasets_app.limits import (
    EXPANDED_BYTES,
    EXPANDED_FLOOR,
    EXPANDED_TIMES,
    MAX_LINE_BYTES,
    MIB,
    REJECTED_TEXT,
    readable,
)
from datasets_app.problems import DatasetProblem
from datasets_app.readers.meter import Meter

CHUNK = MIB
HEAD_BYTES = 256 * 1024
COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
UTF8_BOM = b"\xef\xbb\xbf"


class Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class SuspectEncoding(Exception):
    """The text is not UTF-8 throughout, and nobody has looked yet what it is instead."""


class Counted(io.RawIOBase):
    """The raw file: says how far it is and hashes what goes by."""

    def __init__(self, path: Path, meter: Meter) -> None:
        self.file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        self.size = os.fstat(self.file.fileno()).st_size
        self.meter = meter
        self.hash = hashlib.sha256()
        meter.bytes, meter.total = 0, self.size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data: bytes = self.file.read(size) or b""
        self.hash.update(data)
        self.meter.bytes += len(data)
        self.meter.tick()
        return data

    def digest(self) -> str:
        """Of the whole file: what no reader asked for is read now."""
        while data := self.file.read(CHUNK):
            self.hash.update(data)
            self.meter.tick()
        return self.hash.hexdigest()

    def close(self) -> None:
        self.file.close()
        super().close()


class Expanded:
    """What an archive holds. Counts it, because an archive's own word about that is worth nothing."""

    def __init__(self, packed: Reader, compression: str, size: int) -> None:
        import pyarrow as pa

        self.compression = compression
        self.stream = pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), compression)
        self.allowance = allowance(size)

    def read(self, size: int, /) -> bytes:
        try:
            data: bytes = self.stream.read(size)
        except (OSError, ValueError) as error:
            raise DatasetProblem(damaged(self.compression, str(error))) from error
        self.allowance.take(len(data))
        return data


class Allowance:
    """How much a file may still expand."""

    def __init__(self, total: int) -> None:
        self.total = self.left = total

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise DatasetProblem(
                f"The file expands to more than {readable(self.total)}, far beyond its own size. Import it uncompressed"
                " or in parts."
            )


def allowance(size: int) -> Allowance:
    return Allowance(min(max(EXPANDED_FLOOR, EXPANDED_TIMES * size), EXPANDED_BYTES))


def damaged(compression: str, error: str) -> str:
    if "runcated" in error:
        return f"The {compression} archive is cut off: its end is missing. Upload it again; nothing was imported."
    return f"The {compression} archive is damaged and can't be unpacked. Pack it again; nothing was imported."


class Decoded:
    """Any encoding as UTF-8. What can't be decoded stays invalid, so that the readers reject its row."""

    def __init__(self, source: Reader, encoding: str) -> None:
        self.source = source
        errors = "surrogatepass" if encoding.startswith("utf-") else "surrogateescape"
        self.errors = errors
        self.decoder = codecs.getincrementaldecoder(encoding)(errors)
        self.ended = False

    def read(self, size: int, /) -> bytes:
        text = ""
        while not text and not self.ended:
            raw = self.source.read(size)
            self.ended = not raw
            text = self.decode(raw)
        return text.encode(errors=self.errors)

    def decode(self, raw: bytes) -> str:
        try:
            return self.decoder.decode(raw, not raw)
        except UnicodeDecodeError as error:
            raise DatasetProblem(
                f"The text can't be decoded: {error.reason}. Save it as UTF-8 and upload it again."
            ) from None


class Certain:
    """UTF-8 as it is; raises SuspectEncoding where it is something else."""

    def __init__(self, source: Reader) -> None:
        self.source = source
        self.decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self, size: int, /) -> bytes:
        raw = self.source.read(size)
        try:
            self.decoder.decode(raw, not raw)
        except UnicodeDecodeError:
            raise SuspectEncoding from None
        return raw


class Stream(io.RawIOBase):
    """Bytes whose beginning can be looked at before they are read."""

    def __init__(self, source: Reader) -> None:
        self.source = source
        self.head = source.read(HEAD_BYTES)
        while len(self.head) < HEAD_BYTES and (more := source.read(HEAD_BYTES)):
            self.head += more
        self.held = self.head
        # `head` is all there is.
        self.whole = len(self.head) < HEAD_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if self.held:
            data, self.held = self.held[:size], self.held[size:]
            return data
        return self.source.read(size)

    def chunks(self) -> Iterator[bytes]:
        while chunk := self.read(CHUNK):
            yield chunk


def text_of(stream: Stream, encoding: str) -> Stream:
    """`stream` as UTF-8 without a byte order mark. No `encoding` means: UTF-8, or SuspectEncoding is raised."""
    source: Reader = Decoded(stream, encoding) if encoding not in ("", "utf-8") else stream
    text = Stream(source if encoding else Certain(source))
    text.head = text.held = text.held.removeprefix(UTF8_BOM)
    return text


class Long(bytes):
    """The start of a line that is over the limit."""


def blocks(stream: Stream) -> Iterator[list[bytes]]:
    """Lines without their ends, about 1 MB at a time. Of a line that is too long only the start is kept."""
    parts: list[bytes] = []
    size = 0
    for chunk in stream.chunks():
        first, *others = chunk.split(b"\n")
        if size <= MAX_LINE_BYTES:
            parts.append(first)
        size += len(first)
        if others:
            parts, size, lines = [others[-1]], len(others[-1]), [line_of(parts, size), *others[:-1]]
            yield lines
    if size:
        yield [line_of(parts, size)]


def line_of(parts: list[bytes], size: int) -> bytes:
    if size > MAX_LINE_BYTES:
        return Long(b"".join(parts)[: REJECTED_TEXT * 4])
    return b"".join(parts)


def too_long() -> str:
    return f"Longer than {readable(MAX_LINE_BYTES)}, the limit of a line."


def compression_of(start: bytes) -> str:
    return next((name for magic, name in COMPRESSIONS.items() if start.startswith(magic)), "")


def unpacked(raw: Counted) -> tuple[str, Stream]:
    """(compression or "", what is inside)."""
    stream = Stream(raw)
    compression = compression_of(stream.head)
    return compression, Stream(Expanded(stream, compression, raw.size)) if compression else stream
