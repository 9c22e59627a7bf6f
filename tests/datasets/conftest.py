"""Imports run in the test process here, which is quick; tests that ask for `real_child` start the real one."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts.models import Team
from datasets_app import importing, parsing, storing
from datasets_app.models import DatasetVersion

GSM8K = Path(__file__).resolve().parents[3] / "shared" / "data" / "gsm8k" / "train.jsonl"
Importer = Callable[..., DatasetVersion]


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def sums(count: int) -> list[dict[str, Any]]:
    return [{"question": f"What is {number} + 1?", "answer": str(number + 1)} for number in range(count)]


def store_here(path: Path, folder: Path, file_name: str, heard: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    def tell(rows: int, done: int, message: str) -> None:
        heard({"rows": rows, "bytes": done, "message": message})

    return storing.store(path, folder, file_name, tell)


@pytest.fixture(autouse=True)
def uploads(tmp_path: Path, settings: Any) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    settings.UPLOADS_DIR = folder
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    return folder


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_child" not in request.fixturenames:
        monkeypatch.setattr(parsing, "store_in_child", store_here)


@pytest.fixture
def real_child() -> Iterator[None]:
    yield


@pytest.fixture
def imported(team: Team) -> Importer:
    def make(*rows: Any, name: str = "sums.jsonl", raw: bytes | None = None, team: Team = team) -> DatasetVersion:
        return importing.import_jsonl(team, None, name, io.BytesIO(jsonl(*rows) if raw is None else raw))

    return make


@pytest.fixture
def version(imported: Importer) -> DatasetVersion:
    return imported(*sums(40))
