"""`python -m tests.chaos._prepare COUNT STEPS SAVE_EVERY`: queues sessions on the database of the environment and
prints their ids as JSON. With CHAOS_MODEL they train that model for real."""

# ruff: noqa: E402, T201
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import django

django.setup()

from django.conf import settings

from accounts.models import Team
from datasets_app import importing
from training import lifecycle

REWARD = {"type": "custom", "parts": [{"name": "form", "function": "contains", "parameters": {"phrases": ["e"]}}]}


def main(count: int, steps: int, save_every: int) -> None:
    team, _ = Team.objects.get_or_create(name="Default team")
    rows = [{"question": f"{number} plus 1?", "answer": str(number + 1)} for number in range(40)]
    text = "\n".join(json.dumps(row) for row in rows)
    version = importing.import_jsonl(team, None, "sums", io.BytesIO(text.encode()))
    config = config_for(str(version.dataset_id), steps, save_every)
    print(json.dumps([queued(team, config) for _ in range(count)]))


def config_for(dataset: str, steps: int, save_every: int) -> dict[str, Any]:
    training = {"max_steps": steps, "save_steps": save_every, "batch_size": 4, "gradient_accumulation_steps": 1}
    if os.environ.get("CHAOS_MODEL"):
        tokens = int(os.environ.get("CHAOS_NEW_TOKENS", "8"))
        training |= {"max_new_tokens": tokens, "max_sequence_length": 128 + tokens, "precision": "fp32"}
    return {
        "model": {"name": os.environ.get("CHAOS_MODEL") or pretend_model()},
        "dataset": {"source": dataset},
        "prompt": {"system_prompt": "Answer with a number."},
        "training": training,
        "grpo": {"num_generations": 4},
        "evaluation": {"enabled": False},
        "pre_training": {"enabled": False},
        "reward": REWARD,
    }


def pretend_model() -> str:
    folder = Path(settings.MODELS_DIR) / "pretend"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return "local/pretend"


def queued(team: Team, config: dict[str, Any]) -> str:
    session = lifecycle.create_draft(team, None, "Chaos", config)
    lifecycle.start(session, None, reward_override="A test of the machine, not of a reward.")
    return str(session.pk)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
