"""Starts the child processes that read what users bring, and waits for them within limits."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, BinaryIO, Protocol

from django.conf import settings

from datasets_app.limits import STALL_SECONDS, readable
from datasets_app.problems import DatasetProblem
from datasets_app.tables import REJECTED, ROWS

logger = logging.getLogger(__name__)

CHUNK = 1024 * 1024
PREFIX = "importing-"
# A work folder this old belongs to a process that was killed.
STALE_SECONDS = 24 * 3600


class Progress(Protocol):
    def __call__(self, rows: int, bytes_read: int, bytes_total: int, message: str = "") -> None: ...


@contextmanager
def work_folder() -> Iterator[Path]:
    remove_stale_folders()
    folder = Path(mkdtemp(prefix=PREFIX, dir=settings.UPLOADS_DIR))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_stale_folders() -> None:
    for folder in Path(settings.UPLOADS_DIR).glob(f"{PREFIX}*"):
        # Another process may be removing the same one.
        with suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


class Clock:
    """Kills a process whose time is up, unless it is started again before."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.process = process
        self.seconds = seconds
        self.ends = time.monotonic() + seconds
        self.stopped = threading.Event()
        threading.Thread(target=self.run, daemon=True, name="clock").start()

    def restart(self) -> None:
        self.ends = time.monotonic() + self.seconds

    def run(self) -> None:
        while (left := self.ends - time.monotonic()) > 0:
            if self.stopped.wait(left):
                return
        self.process.kill()


class TimedProcess(subprocess.Popen[bytes]):
    clock: Clock


@contextmanager
def child(
    module: str,
    *arguments: str,
    seconds: float,
    output: BinaryIO | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[TimedProcess]:
    """`python -m module arguments` with pipes; killed after `seconds` (of its clock), and when the block is left
    early. `environment` replaces this process's own."""
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    environment = {**(os.environ if environment is None else environment), **single}
    process = TimedProcess(
        [sys.executable, "-m", module, *arguments],
        cwd=settings.BASE_DIR,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=output or subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.clock = Clock(process, seconds)
    try:
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
    finally:
        process.clock.stopped.set()


def answer_of(
    module: str,
    *arguments: str,
    stall_seconds: float,
    heard: Callable[[dict[str, Any]], None] | None = None,
    request: bytes = b"",
    environment: dict[str, str] | None = None,
) -> dict[str, Any] | None:
    """The last of the JSON lines that `python -m module arguments` prints when it is given `request`; None if it was
    killed. Each line before is given to `heard`, and shows that the child is alive: one that is silent for
    `stall_seconds` is killed."""
    answer = None
    with child(module, *arguments, seconds=stall_seconds, environment=environment) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(request)
        process.stdin.close()
        for line in process.stdout:
            process.clock.restart()
            if answer is not None and heard:
                heard(answer)
            # Of a child that was killed the last line may be only the start of one.
            answer = json.loads(line) if line.endswith(b"\n") else None
        errors = process.stderr.read().decode(errors="replace")
    if process.returncode > 0:
        raise RuntimeError(f"{module} failed: {errors[-3000:]}")
    if process.returncode:
        logger.warning("%s was killed by signal %s: %s", module, -process.returncode, errors[-2000:])
        return None
    return answer


def store_file(path: Path, folder: Path, file_name: str, progress: Progress | None = None) -> dict[str, Any]:
    """Turns a file of any accepted format into `folder`/rows.parquet and, if lines were rejected, rejected.jsonl.

    Returns {"row_count", "rejected_count", "rejected": the first 100, "columns": [{"name", "type", "filled", "mixed"
    if types were}], "sha256" and "bytes" of the rows, "source": {"format", "compression", "encoding", "delimiter",
    "bytes", "sha256", "unit": what is counted, "notes": sentences}}. Kept and rejected rows are all that were read.
    Raises DatasetProblem, and then leaves nothing; what `progress` raises ends the import.
    """
    size = path.stat().st_size
    if size > settings.MAX_UPLOAD_BYTES:
        raise DatasetProblem(too_large())

    def heard(told: dict[str, Any]) -> None:
        if progress:
            progress(told["rows"], told["bytes"], size, told["message"])

    try:
        return store_in_child(path, folder, file_name, heard)
    except BaseException:
        for left in (folder / ROWS, folder / REJECTED):
            left.unlink(missing_ok=True)
        shutil.rmtree(folder / "spool", ignore_errors=True)
        raise


def store_in_child(path: Path, folder: Path, file_name: str, heard: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    # Only the name's end says anything.
    name = file_name[-200:].encode(errors="replace").decode().replace("\x00", "")
    arguments = (str(path.resolve()), str(folder.resolve()), name)
    answer = answer_of("datasets_app.storing", *arguments, stall_seconds=STALL_SECONDS, heard=heard)
    if answer is None or not answer.keys() & {"report", "problem"}:
        raise DatasetProblem(
            "The import was ended: it took more memory than allowed, or did not get on for"
            f" {STALL_SECONDS // 60} minutes. Split the file and try again."
        )
    if "problem" in answer:
        raise DatasetProblem(answer["problem"], line=answer.get("line"))
    report: dict[str, Any] = answer["report"]
    return report


def parse(file: BinaryIO, target: Path, file_name: str = "") -> dict[str, Any]:
    """store_file() for an open file: its rows go to `target`, what was rejected beside it."""
    copy = target.parent / "source"
    try:
        copy_within_limit(file, copy)
        # What the user calls the dataset may lack the ending that the file has.
        report = store_file(copy, target.parent, str(getattr(file, "name", "") or file_name))
    finally:
        copy.unlink(missing_ok=True)
    os.replace(target.parent / ROWS, target)
    return report


def store_bytes(data: bytes, folder: Path, file_name: str = "") -> dict[str, Any]:
    """store_file() for text that was pasted: its format is found by its content."""
    return parse(BytesIO(data), folder / ROWS, file_name)


def copy_within_limit(file: BinaryIO, copy: Path) -> None:
    sent = 0
    with open(copy, "wb") as out:
        while chunk := file.read(CHUNK):
            sent += len(chunk)
            if sent > settings.MAX_UPLOAD_BYTES:
                raise DatasetProblem(too_large())
            out.write(chunk)


def too_large() -> str:
    return (
        f"The file is larger than {readable(settings.MAX_UPLOAD_BYTES)}, the limit of an upload. Split it, or have"
        " LORACRAFT_MAX_UPLOAD_MB raised."
    )
