"""The real child process: pipes, limits, and what is left behind."""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project

from accounts.models import Team
from datasets_app import importing, parsing, tables
from datasets_app.models import Dataset
from datasets_app.problems import DatasetProblem
from tests.datasets.conftest import GSM8K, jsonl, sums

pytestmark = pytest.mark.usefixtures("real_child")


def test_gsm8k_is_imported_and_mapped_by_itself(team: Team) -> None:
    """S7.5, S7.6, S18.2: the real file, as a user uploads it."""
    if not GSM8K.exists():
        pytest.skip(f"{GSM8K} is not there.")
    with open(GSM8K, "rb") as file:
        version = importing.import_jsonl(team, None, "train.jsonl", file)
    assert (version.row_count, version.rejected_count, version.accepted) == (7473, 0, True)
    chosen = {name: version.mapping[name] for name in ("instruction", "response", "rule")}
    assert chosen == {"instruction": "question", "response": "answer", "rule": "after_hashes"}
    assert version.split == {"seed": 42, "held_out": 500}
    assert version.report["parts"]["train"] == 6973
    with open(GSM8K) as lines:
        assert tables.page(version.path, 0, 10_000) == [json.loads(line) for line in lines]


def test_the_file_is_stored_under_a_random_name_and_nothing_else_is_left(team: Team, uploads: Path) -> None:
    version = importing.import_jsonl(team, None, "../../etc/pass wd.jsonl", io.BytesIO(jsonl(*sums(3))))
    assert [file.name for file in uploads.iterdir()] == [version.file]
    assert len(version.file) == len("0" * 32 + ".parquet")
    assert version.dataset.name == "pass wd"
    assert version.report["bytes"] == version.path.stat().st_size


def test_a_hopeless_file_leaves_nothing(team: Team, uploads: Path) -> None:
    with pytest.raises(DatasetProblem, match="no usable row"):
        importing.import_jsonl(team, None, "bad.jsonl", io.BytesIO(b"bad\n" * 1000))
    assert not Dataset.objects.exists()
    assert not list(uploads.iterdir())


def test_a_file_over_the_limit_is_refused_while_it_streams(team: Team, uploads: Path, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 2 * 1024 * 1024
    with pytest.raises(DatasetProblem, match="larger than 2 MB"):
        importing.import_jsonl(team, None, "big.jsonl", io.BytesIO(jsonl({"a": "x" * 1000}) * 3000))
    assert not list(uploads.iterdir())


def test_a_child_that_gets_nowhere_is_ended_and_reported_in_words(
    team: Team, uploads: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stuck = tmp_path / "stuck.jsonl"
    os.mkfifo(stuck)
    # Nobody ever writes into it, but it can be opened.
    keeper = os.open(stuck, os.O_RDWR)
    monkeypatch.setattr(parsing, "STALL_SECONDS", 1)
    (tmp_path / "out").mkdir()
    with pytest.raises(DatasetProblem, match="did not get on"):
        parsing.store_file(stuck, tmp_path / "out", "stuck.jsonl")
    os.close(keeper)
    assert not list((tmp_path / "out").iterdir())


def test_a_child_that_gets_on_may_take_as_long_as_it_needs() -> None:
    heard: list[Any] = []
    answer = parsing.answer_of("tests.datasets.slow_child", "4", "0.5", stall_seconds=1.2, heard=heard.append)
    assert answer == {"at": 4}
    assert heard == [{"at": 1}, {"at": 2}, {"at": 3}]
    assert parsing.answer_of("tests.datasets.slow_child", "2", "5", stall_seconds=1) is None


def test_progress_is_told_and_what_it_raises_ends_the_import(uploads: Path, tmp_path: Path) -> None:
    class Cancelled(Exception):
        pass

    def progress(rows: int, bytes_read: int, bytes_total: int, message: str = "") -> None:
        told.append((rows, bytes_read, bytes_total, message))
        if len(told) == limit:
            raise Cancelled

    file, told, limit = tmp_path / "rows.jsonl", [], 1_000_000
    file.write_bytes(jsonl(*sums(10)))
    (tmp_path / "out").mkdir()
    report = parsing.store_file(file, tmp_path / "out", "rows.jsonl", progress)
    assert report["row_count"] == 10
    assert told[-1] == (10, file.stat().st_size, file.stat().st_size, "Writing the rows")
    limit = len(told) + 1
    with pytest.raises(Cancelled):
        parsing.store_file(file, tmp_path / "out", "rows.jsonl", progress)
    assert not list((tmp_path / "out").iterdir())


def test_pasted_text_may_have_any_format_of_text(tmp_path: Path) -> None:
    for number, text in enumerate((b'{"a": 1}', b'[{"a": 1}]', b"a\tb\n1\t2\n")):
        folder = tmp_path / str(number)
        folder.mkdir()
        report = parsing.store_bytes(text, folder)
        assert (report["row_count"], [path.name for path in folder.iterdir()]) == (1, ["rows.parquet"])


def test_a_full_disk_is_a_problem_that_a_user_can_read(
    team: Team, uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DatasetProblem, match="The disk is full"):
        importing.import_jsonl(team, None, "x.jsonl", io.BytesIO(jsonl(*sums(3))))
    assert not list(uploads.iterdir())
    assert not Dataset.objects.exists()


def test_the_file_goes_again_if_the_row_cannot_be_saved(
    team: Team, uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("database away")

    monkeypatch.setattr(importing, "save", fail)
    with pytest.raises(RuntimeError, match="database away"):
        importing.import_jsonl(team, None, "x.jsonl", io.BytesIO(jsonl(*sums(3))))
    assert not list(uploads.iterdir())


def test_work_folders_of_killed_processes_are_removed_after_a_day(uploads: Path) -> None:
    old, new = uploads / f"{parsing.PREFIX}old", uploads / f"{parsing.PREFIX}new"
    for folder in (old, new):
        folder.mkdir()
    long_ago = time.time() - parsing.STALE_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    with parsing.work_folder() as folder:
        assert folder.is_dir()
    assert list(uploads.iterdir()) == [new]


def test_importing_and_reading_rows_needs_no_pandas_in_the_web_process(team: Team) -> None:
    version = importing.import_jsonl(team, None, "x.jsonl", io.BytesIO(jsonl(*sums(5))))
    code = (
        "import sys; from pathlib import Path; from datasets_app import tables;"
        f"path = Path({str(version.path)!r}); rows = tables.page(path, 0, 5);"
        "assert len(rows) == 5; list(tables.records(path, ['question', 'answer'])); tables.pick(path, [1]);"
        "print([name for name in ('pandas', 'torch', 'datasets', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=project.BASE_DIR
    )
    assert done.stdout.strip() == "[]"
