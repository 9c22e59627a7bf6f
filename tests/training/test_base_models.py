import json
import sys

import pytest
from django.conf import settings

from training import base_models, devices
from training.catalogue import ENTRIES, STARTER
from training.models import CatalogueModel


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    return tmp_path


def test_a_folder_with_safetensors_can_be_trained(folder):
    assert base_models.problem(str(folder)) is None
    assert base_models.locate(f" {folder} ") == str(folder)


def test_a_local_name_means_a_folder_of_the_models_folder(model_folder):
    assert base_models.problem("local/pretend") is None
    assert base_models.locate("local/pretend") == str(model_folder)


def test_a_hub_id_stays_as_it_is():
    assert base_models.locate("Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"


def test_a_missing_starter_model_says_how_to_get_it(settings, tmp_path):
    settings.MODELS_DIR = tmp_path
    assert "make setup" in base_models.problem(STARTER)


def test_a_folder_without_safetensors_is_refused(folder):
    (folder / "model.safetensors").unlink()
    assert "no safetensors" in base_models.problem(str(folder))
    (folder / "pytorch_model.bin").write_bytes(b"")
    assert "pickle" in base_models.problem(str(folder))


def test_a_folder_without_config_is_refused(folder):
    (folder / "config.json").unlink()
    assert "config.json" in base_models.problem(str(folder))


def test_a_model_with_a_missing_part_is_refused(folder):
    shards = {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / base_models.INDEX).write_text(json.dumps({"weight_map": shards}))
    assert "model-00002-of-00002.safetensors is missing" in base_models.problem(str(folder))


@pytest.mark.parametrize("name", ["local/../secret", "local/", "local/a/b", "local/.hidden"])
def test_a_local_name_never_leaves_the_models_folder(name):
    assert "no name of a local model" in base_models.problem(name)


@pytest.mark.parametrize(
    "name", ["", "gpt2", "a/b/c", "https://evil.example/x", "../x/y", "owner/../name", "owner/na me"]
)
def test_what_is_neither_hub_id_nor_folder_is_refused(name):
    assert "neither a hub id" in base_models.problem(name)


def test_a_model_that_is_not_here_and_cannot_be_had_is_refused():
    assert "not on this machine" in base_models.problem("Qwen/Qwen3-0.6B")


def test_the_hub_is_asked_once_in_a_while(monkeypatch):
    asked = []
    monkeypatch.setattr(base_models, "_ask_hub", lambda name: asked.append(name))
    for _ in range(3):
        assert base_models.problem("owner/asked-once") is None
    assert asked == ["owner/asked-once"]


# The catalogue


def test_the_catalogue_is_there_after_the_migration(db):
    names = set(CatalogueModel.objects.values_list("name", flat=True))
    assert names >= {"Qwen3 0.6B", "Llama 3.2 1B Instruct", "Phi-4", "Gemma 3 4B", "SmolLM2 1.7B Instruct"}
    starter = CatalogueModel.objects.get(hub_id=STARTER)
    assert (starter.name, starter.gated) == ("SmolLM2-135M-Instruct (starter)", False)


def test_every_entry_is_usable_as_a_config_name():
    for entry in ENTRIES:
        assert entry.hub_id == STARTER or base_models.HUB_ID.fullmatch(entry.hub_id), entry.name
        assert entry.parameters > 1e8 and entry.context_length >= 8192
        # The weights alone, in 16 bit, must fit.
        assert entry.vram_gb > entry.parameters * 2 / 1e9


# Devices


def test_a_machine_without_gpu_says_so_as_the_readme_does():
    device = devices.Device("cpu")
    assert device.lines == [
        "No GPU detected - running in CPU mode",
        "Unsloth optimizations: DISABLED (requires CUDA)",
    ]
    assert device.status == "CPU Mode (No GPU Detected)"


def test_a_gpu_is_named_with_its_memory():
    device = devices.Device("cuda", "NVIDIA T4", 16 * 1024**3, 2, unsloth=True)
    assert device.lines == ["GPU detected - NVIDIA T4 (16 GB) and 1 more", "Unsloth optimizations: ENABLED"]


class FakeNvml:
    class NVMLError(Exception):
        pass

    def __init__(self, count):
        self.count = count

    def __getattr__(self, name):
        memory = type("Memory", (), {"total": 16 * 1024**3, "used": 1024**3})
        answers = {
            "nvmlInit": None,
            "nvmlShutdown": None,
            "nvmlDeviceGetCount": self.count,
            "nvmlDeviceGetHandleByIndex": "gpu",
            "nvmlDeviceGetName": "NVIDIA T4",
            "nvmlDeviceGetMemoryInfo": memory,
            "nvmlDeviceGetUtilizationRates": type("Rates", (), {"gpu": 73}),
        }
        return lambda *args: answers[name]


@pytest.mark.parametrize(("count", "kind", "memory"), [(1, "cuda", 1024**3), (0, "cpu", None)])
def test_gpus_are_read_from_the_driver(monkeypatch, tmp_path, count, kind, memory):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(count))
    assert devices.detect.__wrapped__().kind == kind
    sample = devices.sample(tmp_path)
    assert sample["gpu_memory"] == memory
    assert sample["gpu_utilization"] == (73 if count else None)
    assert 0 < sample["ram_used"] < sample["ram_total"]
    assert 0 < sample["disk_used"] <= sample["disk_total"]


@pytest.mark.parametrize(
    ("visible", "card"),
    [("", "card 0"), ("2,3", "card 2"), ("GPU-8f2c", "card GPU-8f2c"), ("9", "card 0"), ("none", "card 0")],
)
def test_the_card_that_is_sampled_is_the_first_that_torch_may_use(monkeypatch, tmp_path, visible, card):
    nvml = FakeNvml(4)
    nvml.nvmlDeviceGetHandleByIndex = nvml.nvmlDeviceGetHandleByUUID = lambda named: f"card {named}"
    nvml.nvmlDeviceGetName = str
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.sample(tmp_path)["gpu_name"] == card


def test_the_starter_lies_below_the_data_folder():
    assert base_models.locate(STARTER) == str(settings.MODELS_DIR / "SmolLM2-135M-Instruct")
