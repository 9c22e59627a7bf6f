"""Good files made bad at random, and what must hold for each: `python -m tests.datasets.mutations FORMAT SEED COUNT`.

It reads every one of them with the real readers under the real memory limit, in one process: what ends that process
ends the import's child too. Prints {"tried", "kept", "refused", "failed": [what went wrong]} as one JSON line.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets_app import limits, storing
from datasets_app.problems import DatasetProblem

ROWS: list[dict[str, Any]] = [
    {
        "question": f"What is {number} + {number}, “exactly”?",
        "answer": f"It is\n{2 * number}, or {number / 3}.",
        "level": number % 5,
        "share": number / 7,
        "easy": number % 2 == 0,
        "messages": [{"role": "user", "content": f"é{number}"}, {"role": "assistant", "content": None}],
    }
    for number in range(40)
]
# What readers are known to stumble over.
TOKENS = [
    *(bytes([byte]) for byte in b'\x00\xff\x1a"\\\n\r,;\t{}[]:'),
    *(b"\xfe\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\x80" * 8),
    *(b'\\"', b"\\u0000", b"\\ud800", b"\r\n", b"''", b'{"a": 1, "a": 2}', b"[" * 100, b"{}", b"x" * 3000),
    *(b"null", b"NaN", b"-Infinity", b"1e999", b"9" * 400, b"9" * 5000, b"-0", b"=1+1"),
    *(b"PAR1", b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"),
]


def jsonl() -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def document() -> bytes:
    return json.dumps({"version": 2, "data": ROWS}, ensure_ascii=False, indent=1).encode()


def listed() -> bytes:
    return json.dumps(ROWS).encode()


def table(delimiter: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([list(ROWS[0]), *(list(row.values()) for row in ROWS)])
    return text.getvalue().encode()


def simple_table() -> bytes:
    return b"question,answer,level\n" + b"".join(b"What is %d?,%d,%d\n" % (n, n * n, n % 3) for n in range(60))


def parquet(**options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), file, **options)
    return file.getvalue()


def zstd(raw: bytes) -> bytes:
    packed: bytes = pa.compress(raw, codec="zstd", asbytes=True)
    return packed


SEEDS: dict[str, list[Callable[[], bytes]]] = {
    "jsonl": [jsonl, jsonl, jsonl, lambda: gzip.compress(jsonl()), lambda: jsonl().decode().encode("utf-16")],
    "json": [listed, document, document, lambda: zstd(document()), lambda: listed().decode().encode("utf-16-le")],
    "csv": [
        table,
        table,
        simple_table,
        simple_table,
        lambda: table(";"),
        lambda: table("\t"),
        lambda: table().decode().encode("cp1252"),
    ],
    "parquet": [
        parquet,
        lambda: parquet(row_group_size=7, compression="zstd"),
        lambda: parquet(use_dictionary=False, compression="none"),
        lambda: parquet(data_page_version="2.0", compression="gzip", write_page_checksum=True),
    ],
    "txt": [lambda: "Zeile für Zeile\n".encode() * 30, lambda: b"plain\n" * 30],
}


def mutated(chance: random.Random, raw: bytes) -> bytes:
    for _ in range(chance.choice([1, 1, 1, 2, 3, 8])):
        raw = chance.choice(CHANGES)(chance, raw)
    return raw


def place(chance: random.Random, raw: bytes) -> int:
    # Beginning and end are where formats keep what they need.
    near = chance.choice([8, 64, len(raw), len(raw), len(raw)])
    at = chance.randrange(min(near, len(raw)) + 1)
    return at if chance.random() < 0.7 else len(raw) - at


def flip(chance: random.Random, raw: bytes) -> bytes:
    at = place(chance, raw)
    return raw[:at] + bytes([chance.randrange(256)]) + raw[at + 1 :]


def insert(chance: random.Random, raw: bytes) -> bytes:
    at = place(chance, raw)
    return raw[:at] + chance.choice(TOKENS) + raw[at:]


def overwrite(chance: random.Random, raw: bytes) -> bytes:
    at, token = place(chance, raw), chance.choice(TOKENS)
    return raw[:at] + token + raw[at + len(token) :]


def remove(chance: random.Random, raw: bytes) -> bytes:
    at = place(chance, raw)
    return raw[:at] + raw[at + chance.choice([1, 2, 7, 50, 1000]) :]


def cut(chance: random.Random, raw: bytes) -> bytes:
    return raw[: place(chance, raw)]


def repeat(chance: random.Random, raw: bytes) -> bytes:
    first, second = sorted((place(chance, raw), place(chance, raw)))
    return raw[:second] + raw[first:second] + raw[second:]


def noise(chance: random.Random, raw: bytes) -> bytes:
    at = place(chance, raw)
    return raw[:at] + chance.randbytes(chance.choice([4, 30, 200])) + raw[at:]


CHANGES = [flip, flip, insert, insert, overwrite, remove, cut, repeat, noise]


def lines_of(raw: bytes) -> int:
    return sum(bool(line.strip()) for line in raw.split(b"\n"))


def expected(raw: bytes, source: dict[str, Any]) -> int | None:
    """How many rows a reader that is not ours finds in the file; None where there is no such word."""
    if source["compression"] or source["encoding"] not in ("", "UTF-8"):
        return None
    if source["format"] in ("jsonl", "text"):
        return lines_of(raw.removeprefix(b"\xef\xbb\xbf"))
    if source["format"] == "parquet":
        return int(pq.ParquetFile(io.BytesIO(raw)).metadata.num_rows)
    if source["format"] == "json":
        value = json.loads(raw.decode("utf-8-sig", errors="surrogateescape"))
        lists = [value] if isinstance(value, list) else [item for item in value.values() if isinstance(item, list)]
        return len(lists[0]) if len(lists) == 1 else None
    return table_rows(raw, source["delimiter"])


def table_rows(raw: bytes, delimiter: str) -> int | None:
    """Without quotes a line is a row."""
    if b'"' in raw or b"\\" in raw or b"\r" in raw.replace(b"\r\n", b"\n"):
        return None
    return sum(bool(line.rstrip(b"\r")) for line in raw.removeprefix(b"\xef\xbb\xbf").split(b"\n")) - 1


def check(raw: bytes, name: str, folder: Path) -> str:
    """Raises if anything but rows, rejected lines and a refusal in words comes of a file."""
    file, out = folder / "file", folder / "out"
    file.write_bytes(raw)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    try:
        report = storing.store(file, out, name)
    except DatasetProblem as problem:
        assert len(problem.message) > 20, problem.message
        assert not list(out.iterdir()), "a refused file leaves nothing"
        return "refused"
    except MemoryError:
        # storing.main() has words for it.
        return "refused"
    kept = pq.ParquetFile(out / "rows.parquet").metadata.num_rows
    rejected = (out / "rejected.jsonl").read_text().splitlines() if report["rejected_count"] else []
    assert (kept, len(rejected)) == (report["row_count"], report["rejected_count"]), "the report counts right"
    assert all(line["line"] > 0 and line["reason"] for line in map(json.loads, rejected)), "each names row and reason"
    wanted = expected(raw, report["source"])
    assert wanted in (None, kept + len(rejected)), f"{wanted} rows, but {kept} kept and {len(rejected)} rejected"
    json.dumps(report).encode()
    return "kept"


def run(kind: str, seed: int, count: int) -> dict[str, Any]:
    found: Counter[str] = Counter()
    failed: list[str] = []
    seeds = [make() for make in SEEDS[kind]]
    folder = Path(mkdtemp(prefix="loracraft-mutations-"))
    for number in range(seed, seed + count):
        chance = random.Random(f"{kind} {number}")
        raw = mutated(chance, chance.choice(seeds))
        name = f"x.{kind}" if chance.random() < 0.8 else chance.choice(["", "x.csv", "x.json", "x.txt", "x.parquet"])
        try:
            found[check(raw, name, folder)] += 1
        except Exception:
            failed.append(f"{kind} {number} {name}: {traceback.format_exc(limit=-3)}")
    shutil.rmtree(folder)
    return {"tried": count, "kept": found["kept"], "refused": found["refused"], "failed": failed}


def main() -> None:
    kind, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    limits.bound_memory(limits.IMPORT_MEMORY_BYTES)
    sys.meta_path.insert(0, storing.WithoutPandas())
    sys.stdout.write(json.dumps(run(kind, seed, count)) + "\n")


if __name__ == "__main__":
    main()
