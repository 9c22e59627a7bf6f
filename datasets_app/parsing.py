"""Starts the child processes that read what users bring, and waits for them within limits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, BinaryIO

from django.conf import settings

from datasets_app.limits import IMPORT_SECONDS, readable
from datasets_app.problems import DatasetProblem

CHUNK = 1024 * 1024
PREFIX = "importing-"
# A work folder this old belongs to a process that was killed.
STALE_SECONDS = 24 * 3600


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


@contextmanager
def child(
    module: str, *arguments: str, seconds: int, output: BinaryIO | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m module arguments` with pipes; killed after `seconds`, and when the block is left early."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=settings.BASE_DIR,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=output or subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
    finally:
        timer.cancel()


def parse(file: BinaryIO, target: Path) -> dict[str, Any]:
    """Stores the JSONL rows of `file` as Parquet in `target`. Returns storing.Report as a dict."""
    with child("datasets_app.storing", str(target), seconds=IMPORT_SECONDS) as process:
        feed(file, process)
        output, errors = process.communicate()
    if process.returncode or not output:
        raise DatasetProblem(
            f"The import was ended: it took more memory than allowed or longer than {IMPORT_SECONDS // 60} minutes."
            " Split the file and try again."
        ) from RuntimeError(errors.decode(errors="replace")[-2000:])
    answer: dict[str, Any] = json.loads(output)
    if "problem" in answer:
        raise DatasetProblem(answer["problem"], line=answer["line"])
    return answer


def feed(file: BinaryIO, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    sent = 0
    # The child may have seen enough before the end of the file, and says why on its standard output.
    with suppress(BrokenPipeError):
        while chunk := file.read(CHUNK):
            sent += len(chunk)
            if sent > settings.MAX_UPLOAD_BYTES:
                raise DatasetProblem(too_large())
            process.stdin.write(chunk)
        process.stdin.flush()


def too_large() -> str:
    return (
        f"The file is larger than {readable(settings.MAX_UPLOAD_BYTES)}, the limit of an upload. Split it, or have"
        " LORACRAFT_MAX_UPLOAD_MB raised."
    )
