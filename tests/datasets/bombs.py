"""Small files that want to become large ones."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MIB = 1024 * 1024


def archive(file: Path, pack: Any, gigabytes: int = 20, start: bytes = b"") -> None:
    """Parts of an archive may follow each other: 64 MB of zeros many times over."""
    piece = pack(b"x" * (64 * MIB))
    with open(file, "wb") as out:
        out.write(pack(start) if start else b"")
        for _ in range(gigabytes * 16):
            out.write(piece)


def zstd(raw: bytes) -> bytes:
    packed: bytes = pa.compress(raw, codec="zstd", asbytes=True)
    return packed


def texts(file: Path, rows: int = 40_000, size: int = MIB, compression: str = "zstd") -> None:
    """One text of `size` bytes in all rows, which a Parquet file holds once."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * size]))
    pq.write_table(pa.table({"c": column}), file, compression=compression, row_group_size=10_000)


def lists(file: Path, items: int = 100_000, size: int = MIB) -> None:
    """One row that is a list of the same text, `items` times."""
    words = pa.DictionaryArray.from_arrays(pa.array([0] * items, pa.int32()), pa.array(["x" * size]))
    column = pa.ListArray.from_arrays(pa.array([0, items], pa.int32()), words)
    pq.write_table(pa.table({"c": column}), file, compression="zstd")


def numbers(file: Path, rows: int = 60_000_000) -> None:
    with pq.ParquetWriter(file, pa.schema([("n", pa.int64())]), compression="zstd") as writer:
        for _ in range(rows // 10_000_000):
            writer.write_table(pa.table({"n": pa.nulls(10_000_000, pa.int64()).fill_null(7)}))


def every(folder: Path) -> Iterator[tuple[Path, str]]:
    """(file, the name it comes under), one at a time; each is removed before the next is made."""
    raw: dict[str, Callable[[], bytes]] = {
        "deep.jsonl": lambda: b'{"a": ' + b"[" * 2_000_000 + b"]" * 2_000_000 + b"}\n",
        "deep.json": lambda: b'[{"a": ' + b'{"a": ' * 1_000_000 + b"1" + b"}" * 1_000_000 + b"}]",
        "brackets.json": lambda: b"[" * 30_000_000,
        "wide.jsonl": lambda: b"".join(b'{"column %d": 1}\n' % number for number in range(300_000)),
        "names.jsonl": lambda: b'{"' + b"n" * 10_000_000 + b'": 1}\n',
        "digits.jsonl": lambda: (b'{"a": ' + b"9" * 4000 + b"}\n") * 5000,
        "digits.json": lambda: b'[{"a": ' + b"9" * 5_000_000 + b"}]",
        "quote.csv": lambda: b'a,b\n1,"' + b"line\n" * 8_000_000,
        "quotes.csv": lambda: b"a,b\n" + b'"\n' * 4_000_000,
        "commas.csv": lambda: b"," * 40_000_000 + b"\n1\n",
        "line.txt": lambda: b"x" * 150_000_000,
        "line.jsonl": lambda: b'{"a": "' + b"x" * 150_000_000 + b'"}\n',
        "zeros.bin": lambda: b"\x00" * 50_000_000,
        "utf16.csv": lambda: b"\xff\xfe" + b"\x00\xd8" * 5_000_000,
        "escapes.jsonl": lambda: (b'{"a": "' + b"\\u0000" * 2_000_000 + b'"}\n') * 3,
    }
    made: dict[str, Any] = {name: lambda file, data=data: file.write_bytes(data()) for name, data in raw.items()}
    for name, pack in (("gz", gzip.compress), ("zst", zstd)):
        made[f"x.jsonl.{name}"] = lambda file, pack=pack: archive(file, pack)
        made[f"lines.jsonl.{name}"] = lambda file, pack=pack: file.write_bytes(pack(b'{"a":1}\n' * 20_000_000)[:-50])
        made[f"twice.jsonl.{name}"] = lambda file, pack=pack: file.write_bytes(pack(pack(b'{"a": 1}\n' * 1_000_000)))
        made[f"table.csv.{name}"] = lambda file, pack=pack: archive(file, pack, 3, b"a,b\n1,2\n")
        made[f"rows.json.{name}"] = lambda file, pack=pack: archive(file, pack, 3, b'[{"a": "')
    for compression in ("zstd", "gzip", "snappy"):
        made[f"{compression}.parquet"] = lambda file, c=compression: texts(file, compression=c)
    made |= {"lists.parquet": lists, "numbers.parquet": numbers, "cells.parquet": lambda f: texts(f, 3000, 20 * MIB)}
    for name, make in made.items():
        file = folder / "bomb"
        make(file)
        yield file, name
        file.unlink()
