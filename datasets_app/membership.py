"""Which part each row is in, as one byte a row in a file of the cache: a search can't derive the parts of a million
rows for every page."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from uuid import uuid4

from django.conf import settings

from datasets_app import mapping, rows
from datasets_app.models import DatasetVersion
from datasets_app.problems import DatasetProblem

CODES = {"train": 1, "validation": 2, "test": 3}
# Up to here a page derives the parts itself, if the check has not done it yet.
QUICK_ROWS = 50_000


def at_hand(version: DatasetVersion) -> Path | None:
    """The file, if the rows have parts and it is there or quickly made."""
    if not version.mapping:
        return None
    file = file_of(version)
    if file.is_file():
        return file
    try:
        return write(version) if version.row_count <= QUICK_ROWS else None
    except DatasetProblem:
        # A split that can't be trained on as a whole has no parts to search in.
        return None


def file_of(version: DatasetVersion) -> Path:
    what = json.dumps([version.sha256, version.mapping, version.split], sort_keys=True)
    digest = hashlib.sha256(what.encode()).hexdigest()[:16]
    return folder() / f"{version.pk}-{digest}.bin"


def folder() -> Path:
    return Path(settings.CACHE_DIR) / "parts"


def write(version: DatasetVersion, parts: rows.Parts | None = None) -> Path:
    """Raises DatasetProblem as rows.parts() does."""
    parts = parts or rows.parts(version, mapping.section_of(version))
    codes = bytearray(version.row_count)
    for code, numbers in ((1, parts.train), (2, parts.validation), (3, parts.held_out)):
        for number in numbers:
            codes[number] = code
    file = file_of(version)
    file.parent.mkdir(parents=True, exist_ok=True)
    for old in file.parent.glob(f"{version.pk}-*.bin"):
        old.unlink(missing_ok=True)
    part = file.with_suffix(f".{uuid4().hex}")
    part.write_bytes(codes)
    os.replace(part, file)
    return file
