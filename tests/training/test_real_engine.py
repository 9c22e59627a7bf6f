"""The whole way once with nothing replaced: command, supervisor, trainer process, TRL, recorder, database."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.exports import tiny
from tests.training.conftest import recorded
from training.models import Event, Session


@pytest.fixture(scope="module")
def tiny_model():
    folder = Path(settings.MODELS_DIR) / "tiny"
    folder.mkdir(exist_ok=True)
    return tiny.model(folder)


def test_a_config_file_is_trained_with_grpo(transactional_db, tiny_model, config, tmp_path, monkeypatch):
    config |= {"model": {"name": "local/tiny", "lora_rank": 4}, "prompt": {"system_prompt": ""}}
    config |= {"grpo": {"num_generations": 4}, "evaluation": {"max_samples": 2}}
    config["pre_training"] = {"enabled": True, "epochs": 1, "max_samples": 4}
    config["training"] = {
        "max_steps": 2, "save_steps": 1, "batch_size": 4, "gradient_accumulation_steps": 1, "max_new_tokens": 6,
        "max_sequence_length": 128,
    }  # fmt: skip
    rows = [{"question": f"what is {number} plus 2?", "answer": str(number + 2)} for number in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    config["dataset"] = {"source": str(tmp_path / "rows.jsonl")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    command = [sys.executable, "manage.py", "train", str(tmp_path / "config.json")]
    done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    session = Session.objects.get()
    result = json.loads(done.stdout)
    assert (session.status, result["session_id"]) == ("completed", str(session.pk))
    assert (Path(result["adapter"]) / "adapter_model.safetensors").is_file()
    assert set(result["scores"]) == {"base", "adapter"}
    assert [step for step, _ in recorded(session)] == [1, 2]
    kinds = set(Event.objects.filter(session=session).values_list("kind", flat=True))
    assert kinds >= {"phase", "metrics", "rollouts", "evaluation", "checkpoint", "log", "system"}
    statuses = [event.data["status"] for event in Event.objects.filter(session=session, kind="phase")]
    assert list(dict.fromkeys(statuses)) == ["starting", "pretraining", "training", "finishing", "completed"]
