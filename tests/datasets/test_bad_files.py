"""Hostile and broken files against the real child, with its real limits: refused in words, and nothing is left."""

import contextlib
import gzip
import io
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from accounts.models import Team
from datasets_app import importing, limits, parsing
from datasets_app.models import Dataset
from datasets_app.problems import DatasetProblem
from tests.datasets import bombs
from tests.datasets.conftest import jsonl, sums

pytestmark = pytest.mark.usefixtures("real_child")


@pytest.fixture
def store(tmp_path: Path, uploads: Path) -> Callable[..., dict[str, Any]]:
    def store(raw: bytes | Path, name: str = "rows.jsonl") -> dict[str, Any]:
        file, out = tmp_path / "file", tmp_path / "out"
        if isinstance(raw, bytes):
            file.write_bytes(raw)
        else:
            file = raw
        out.mkdir()
        try:
            return parsing.store_file(file, out, name)
        except DatasetProblem:
            assert not list(out.iterdir()), "nothing half-imported is left"
            raise

    return store


class Peak:
    """MiB of this process's largest child, looked at every few milliseconds."""

    def __init__(self) -> None:
        self.mib, self.over = 0.0, threading.Event()
        self.watching = threading.Thread(target=self.watch)

    def __enter__(self) -> "Peak":
        self.watching.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        self.watching.join()

    def watch(self) -> None:
        while not self.over.wait(0.005):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.mib = max(self.mib, child.memory_info().rss / limits.MIB)


def test_an_archive_that_expands_without_end_is_refused(store: Any, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb"
    bombs.archive(bomb, bombs.zstd, gigabytes=20)
    assert bomb.stat().st_size < 3 * limits.MIB
    with Peak() as peak, pytest.raises(DatasetProblem, match="expands to more than 2 GB"):
        store(bomb)
    assert 0 < peak.mib < 2048


def test_a_parquet_file_that_expands_without_end_is_refused(store: Any, tmp_path: Path) -> None:
    """40 GB. Neither the size nor the footer shows it."""
    bomb = tmp_path / "bomb.parquet"
    bombs.texts(bomb)
    about = pq.ParquetFile(bomb).metadata
    assert bomb.stat().st_size < 6 * limits.MIB
    assert sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups)) < 6 * limits.MIB
    with pytest.raises(DatasetProblem, match="expands to more than 2 GB"):
        store(bomb, "bomb.parquet")


def test_a_parquet_file_with_a_row_that_no_memory_holds_is_refused(store: Any, tmp_path: Path) -> None:
    """Lists are read as a whole: here one row alone is 100 GB."""
    bomb = tmp_path / "bomb.parquet"
    bombs.lists(bomb)
    with Peak() as peak, pytest.raises(DatasetProblem, match=r"more memory|damaged"):
        store(bomb, "bomb.parquet")
    assert 0 < peak.mib < 2048


def test_a_line_of_100_mb_is_rejected_and_its_neighbours_are_kept(store: Any) -> None:
    raw = b'{"a": 1}\n{"a": "' + b"x" * (100 * limits.MIB) + b'"}\n{"a": 2}\n'
    report = store(raw)
    assert (report["row_count"], report["rejected_count"]) == (2, 1)
    assert report["rejected"][0]["line"] == 2
    assert report["rejected"][0]["reason"] == "Longer than 16 MB, the limit of a line."


@pytest.mark.parametrize(
    ("raw", "name", "words"),
    [
        (gzip.compress(jsonl(*sums(10_000)))[:-500], "x.jsonl.gz", "cut off"),
        (b"PAR1" + os.urandom(500) + b"\xff\xff\xff\x7fPAR1", "x.parquet", "Parquet file is damaged"),
        (b"[" * 5_000_000, "x.json", "nested more than 64 deep"),
        (os.urandom(200_000), "x.bin", "no text, and no other format"),
    ],
    ids=["truncated gzip", "random footer", "deep document", "noise"],
)
def test_a_broken_file_is_refused_in_words(store: Any, raw: bytes, name: str, words: str) -> None:
    with pytest.raises(DatasetProblem, match=words):
        store(raw, name)


@pytest.mark.parametrize("name", ["../../etc/passwd.csv", "--help", "x\x00\ud800" * 5000])
def test_the_name_of_a_file_is_only_a_name(store: Any, tmp_path: Path, name: str) -> None:
    before = set(tmp_path.rglob("*"))
    assert store(b"q,a\n1,2\n", name)["row_count"] == 1
    out = tmp_path / "out"
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "file", out, out / "rows.parquet"}


def test_a_disk_that_fills_up_in_the_middle_leaves_nothing_visible(
    team: Team, uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files may not grow beyond 1 MB in the child, which is what a full disk looks like to it."""
    rows = jsonl(*({"a": os.urandom(500).hex()} for _ in range(5000)))
    monkeypatch.setattr(sys, "executable", full_disk(uploads.parent))
    with pytest.raises(DatasetProblem, match="The disk is full, so nothing was stored"):
        importing.import_jsonl(team, None, "x.jsonl", io.BytesIO(rows))
    assert not Dataset.objects.exists()
    assert not list(uploads.iterdir())


def full_disk(folder: Path) -> str:
    """A Python whose files stay small: 512 blocks of 1 KB, or of 512 bytes."""
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nulimit -f 512\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_a_child_whose_parent_is_gone_ends_by_itself(tmp_path: Path) -> None:
    """The import's process may be killed; what it started must not go on writing."""
    import subprocess

    file, out = tmp_path / "rows.jsonl", tmp_path / "out"
    file.write_bytes(jsonl(*({"a": "x" * 2000, "n": n} for n in range(60_000))))
    out.mkdir()
    code = (
        "import subprocess, sys; command = [sys.executable, '-m', 'datasets_app.storing', *sys.argv[1:]];"
        " child = subprocess.Popen(command, stdout=subprocess.PIPE);"
        " child.stdout.readline(); print(child.pid, flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", code, str(file), str(out), "rows.jsonl"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()
    assert not (out / "rows.parquet").exists()
