import subprocess
import sys

import pytest

from tests.engine.conftest import Session
from training.engine import environment, model_files


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "README.md").write_text("a card")
    return tmp_path


def test_a_fingerprint_is_of_what_loading_reads_and_of_nothing_else(folder):
    before = model_files.fingerprint(folder)
    assert list(before["files"]) == ["config.json", "model.safetensors"]
    assert before["bytes"] == 9
    (folder / "README.md").write_text("another card")
    assert model_files.fingerprint(folder) == before
    (folder / "model.safetensors").write_bytes(b"Weights")
    assert model_files.fingerprint(folder)["sha256"] != before["sha256"]


def test_the_files_that_differ_are_named(folder):
    recorded = model_files.fingerprint(folder)
    assert model_files.differing(recorded, folder) == []
    (folder / "model.safetensors").write_bytes(b"Weights")
    (folder / "tokenizer.json").write_text("{}")
    assert model_files.differing(recorded, folder) == ["tokenizer.json", "model.safetensors"]
    assert model_files.differing(recorded, folder, read=False) == ["tokenizer.json"]


def test_whoever_waits_hears_of_every_block(folder, monkeypatch):
    monkeypatch.setattr(model_files, "BLOCK", 2)
    beats = []
    model_files.fingerprint(folder, lambda: beats.append(1))
    assert len(beats) == 1 + 4


def test_a_folder_of_the_hubs_cache_is_named_by_its_commit(tmp_path):
    commit = "a" * 40
    assert model_files.commit_of(tmp_path / "snapshots" / commit) == commit
    assert model_files.commit_of(tmp_path / commit) is None


def test_versions_are_told_without_importing_what_they_are_of():
    code = (
        "import sys; from training.engine import environment as e; found = e.versions(); e.processor(); e.program()\n"
        "assert found['torch'] and found['trl'] and 'unsloth' in e.PACKAGES\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=environment.ROOT, check=False).returncode == 0


def test_outside_of_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    assert environment.program() == {"version": None, "commit": None, "changed": None}


def test_each_attempt_says_once_what_it_runs_with(session: Session):
    _, recorded = session.run()
    (told,) = [event.data for event in recorded.of("log") if "environment" in event.data]
    assert told["message"].startswith("LoRA Craft 0.1.0") and "torch" in told["message"]
    assert told["environment"]["hardware"]["threads"] == 1
    assert told["model"]["fingerprint"]["files"]["model.safetensors"]["bytes"] > 0
    assert told["passes"].keys() == {"batch_size", "gradient_accumulation_steps"}
    assert {each["field"] for each in told["fallbacks"]} == {"training.optim"}
