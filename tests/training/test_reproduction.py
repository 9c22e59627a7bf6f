"""A session and what its manifest makes again, with nothing replaced: two trainings of a tiny model on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.exports import tiny
from training import manifests
from training.models import Session

REWARD = {
    "type": "custom",
    "parts": [{"name": "near", "function": "text_similarity", "parameters": {"metric": "chrf"}}],
}
REASON = ("--override-reward", "a test of repeating")


@pytest.fixture
def tiny_config(transactional_db, config, tmp_path, monkeypatch):
    folder = Path(settings.MODELS_DIR) / "tiny"
    folder.mkdir(exist_ok=True)
    tiny.model(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rows = [{"question": f"what is {number} plus 2?", "answer": f"the answer is {number + 2}."} for number in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    config |= {"model": {"name": "local/tiny", "lora_rank": 4}, "prompt": {"system_prompt": ""}, "reward": REWARD}
    config |= {"grpo": {"num_generations": 4}, "evaluation": {"enabled": False}}
    config["training"] = {
        "max_steps": 4, "save_steps": 4, "batch_size": 4, "gradient_accumulation_steps": 1, "max_new_tokens": 8,
        "max_sequence_length": 128, "learning_rate": 0.005, "seed": 7,
    }  # fmt: skip
    config["dataset"] = {"source": str(tmp_path / "rows.jsonl")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path / "config.json"


def manage(*words):
    command = [sys.executable, "manage.py", *map(str, words)]
    done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done


def trained(what):
    return Session.objects.get(pk=json.loads(manage("train", what, *REASON).stdout)["session_id"])


def test_what_a_manifest_makes_has_the_same_reward_at_every_step(tiny_config, tmp_path):
    first = trained(tiny_config)
    written = manifests.manifest(first)
    (tmp_path / "manifest.json").write_text(json.dumps(written))

    made = manage("reproduce", tmp_path / "manifest.json")
    draft = Session.objects.get(pk=made.stdout.strip())
    assert (draft.status, draft.cloned_from, draft.name) == ("draft", first, f"{first.name} (again)")
    # A developer's checkout may hold changes of its own.
    assert not [line for line in made.stderr.splitlines() if "changed files" not in line]
    again = trained(draft.pk)

    rewards = manifests.reward_by_step(first)
    assert len({reward for _, reward in rewards}) > 1
    assert manifests.reward_by_step(again) == rewards
    weights = [
        manifests.manifest(session)["results"]["adapter"]["files"]["adapter_model.safetensors"]
        for session in (first, again)
    ]
    assert weights[0] == weights[1]
