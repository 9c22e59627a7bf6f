from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datasets_app.readers import jsonl
from datasets_app.readers.rows import Batch
from tests.chaos import bad_files
from tests.datasets import mutations

FILES = 200


def test_mutated_files_of_every_format_lose_no_row_and_end_no_process() -> None:
    """Row 16 of the reliability plan, small: `make chaos` reads 10,000 of each."""
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda kind: bad_files.mutations(kind, 1, FILES), mutations.SEEDS))
    assert [result["failed"] for result in results] == [[]] * len(mutations.SEEDS)
    assert all(result["kept"] and result["refused"] for result in results), "good and bad ones are among them"


def test_the_check_itself_notices_a_row_that_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control."""
    read = jsonl.read

    def forgetful(stream):  # type: ignore[no-untyped-def]
        for batch in read(stream):
            yield Batch(batch.rows[1:], batch.numbers[1:], batch.rejected)

    assert mutations.check(mutations.jsonl(), "x.jsonl", tmp_path) == "kept"
    monkeypatch.setattr(jsonl, "read", forgetful)
    with pytest.raises(AssertionError, match="40 rows, but 39 kept and 0 rejected"):
        mutations.check(mutations.jsonl(), "x.jsonl", tmp_path)


def test_a_process_that_ends_by_itself_is_noticed() -> None:
    assert "ended with" in bad_files.mutations("no such format", 1, 1)["failed"][0]
