import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings

from datasets_app import importing
from datasets_app.models import Dataset
from tests.exports import tiny
from training import lifecycle
from training.models import Event, Session

IMPORTED: dict[str, object] = {}
REWARD = {"type": "custom", "parts": [{"name": "form", "function": "contains", "parameters": {"phrases": ["4"]}}]}


@pytest.fixture(scope="session")
def model_folder():
    folder = Path(settings.MODELS_DIR) / "pretend"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def dataset(team):
    """Imported for real once; the other tests get its rows again."""
    if not IMPORTED:
        rows = [{"question": f"{number} plus 1?", "answer": str(number + 1)} for number in range(20)]
        text = "\n".join(json.dumps(row) for row in rows)
        version = importing.import_jsonl(team, None, "sums", io.BytesIO(text.encode()))
        IMPORTED.update({field.name: getattr(version, field.name) for field in version._meta.concrete_fields[2:]})
        return version.dataset
    dataset = Dataset.objects.create(team=team, name="sums", source="upload")
    dataset.versions.create(**IMPORTED)
    return dataset


@pytest.fixture
def config(dataset, model_folder):
    """A valid config of a session that the fake engine runs in a moment."""
    return {
        "model": {"name": "local/pretend"},
        "dataset": {"source": str(dataset.pk)},
        "training": {"max_steps": 6, "save_steps": 2},
        "reward": REWARD,
    }


@pytest.fixture
def readme_config():
    """With the keys and values of the config file that the original's readme shows."""
    return {
        "name": "math-reasoning-config",
        "model": {"name": "unsloth/Qwen3-1.7B", "lora_rank": 16, "lora_alpha": 32, "lora_dropout": 0.0},
        "dataset": {
            "source": "openai/gsm8k",
            "split": "train",
            "instruction_field": "question",
            "response_field": "answer",
            "max_samples": None,
        },
        "training": {
            "num_epochs": 3,
            "batch_size": 1,
            "gradient_accumulation_steps": 8,
            "learning_rate": 0.0002,
            "warmup_steps": 10,
            "weight_decay": 0.001,
            "max_grad_norm": 0.3,
            "lr_scheduler_type": "constant",
            "optim": "paged_adamw_32bit",
            "max_sequence_length": 2048,
            "max_new_tokens": 512,
            "temperature": 0.7,
        },
        "grpo": {"kl_penalty": 0.05, "clip_range": 0.2, "importance_sampling_level": "token"},
        "reward": {"type": "preset", "preset_name": "math"},
        "pre_training": {"enabled": True, "epochs": 2, "max_samples": 100, "learning_rate": 0.00005},
    }


@pytest.fixture
def draft(team, owner, config):
    return lifecycle.create_draft(team, owner, "Sums", config)


@pytest.fixture
def small(draft):
    """A draft with a real, tiny model."""
    folder = Path(settings.MODELS_DIR) / "tiny"
    if not folder.exists():
        folder.mkdir()
        tiny.model(folder)
    config = {
        **draft.config,
        "model": {"name": "local/tiny", "lora_rank": 4},
        "prompt": {"system_prompt": ""},
        "grpo": {"num_generations": 4},
        "evaluation": {"max_samples": 2},
        "pre_training": {"enabled": True, "epochs": 1, "max_samples": 4},
        "training": {"max_steps": 2, "batch_size": 4, "gradient_accumulation_steps": 1, "max_new_tokens": 6,
                     "max_sequence_length": 128},
    }  # fmt: skip
    lifecycle.save_draft(draft, config)
    draft.refresh_from_db()
    return draft


@pytest.fixture
def queued(draft, owner):
    assert lifecycle.start(draft, owner)
    draft.refresh_from_db()
    return draft


@pytest.fixture(autouse=True)
def no_bells(monkeypatch):
    """What is queued in a test waits: no test's row may wake a worker."""
    monkeypatch.setattr(lifecycle, "ring", None)


@pytest.fixture
def child_processes(monkeypatch, settings, transactional_db):
    """Children of this test use its database and the fake engine; whatever is left of them is killed."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.training.worker_settings")
    monkeypatch.setenv("LORACRAFT_LEASE_SECONDS", "2")
    settings.LEASE_SECONDS = 2
    started = []
    yield started
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for session in Session.objects.all():
        lifecycle.kill_trainer(session)


@pytest.fixture
def start_worker(child_processes):
    """Starts a real Huey consumer, with its dispatcher, in a process of its own."""

    def start():
        command = [sys.executable, "manage.py", "run_huey", "--workers", "2"]
        with open(Path(settings.LOGS_DIR) / "worker.log", "ab") as log:
            process = subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=log, stderr=log, start_new_session=True)
        child_processes.append(process)
        return process

    return start


def wait_for(condition, seconds=40, what="it"):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds} s")


def status_of(session):
    return Session.objects.values_list("status", flat=True).get(pk=session.pk)


def recorded(session, phase="training"):
    """The steps that count, in order, with their rewards."""
    rows = Event.objects.filter(session=session, kind="metrics", phase=phase, superseded=False).order_by("seq")
    return [(row.step, row.data.get("reward")) for row in rows]


def trainer_pid(session):
    content = lifecycle.read_json(session.folder / "trainer.json")
    return int(content["identity"].split("/")[1]) if content else None
