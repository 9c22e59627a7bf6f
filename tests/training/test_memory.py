"""The estimate from the architecture: exact where something can be counted, and as the config moves it elsewhere."""

from pathlib import Path

import pytest

from tests.exports import tiny
from training import architecture, memory
from training.engine.loading import adapter_options
from training.schema import SessionConfig

ADAPTERS = [
    {"model": {"lora_rank": 8}},
    {"model": {"lora_rank": 3, "target_modules": ["q_proj", "down_proj"]}},
    {"model": {"lora_rank": 8, "use_dora": True}},
    {"model": {"lora_rank": 8, "lora_bias": "all"}},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.model(tmp_path_factory.mktemp("model"))


def config(**sections):
    return SessionConfig.model_validate(sections)


def total(built, prompt=50, where=None, **sections):
    return memory.estimate(built, config(**sections), where or memory.Situation(prompt)).total


def test_weights_and_adapters_are_counted_as_peft_counts_them(folder):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    counts = []
    for sections in ADAPTERS:
        model = AutoModelForCausalLM.from_pretrained(folder)
        whole = model.num_parameters()
        peft = get_peft_model(model, LoraConfig(**adapter_options(config(**sections))))
        counts.append([whole, peft.get_nb_trainable_parameters()[0]])
    model = architecture.read(folder)
    found = [[model.parameters, model.adapter_parameters(config(**sections).model)] for sections in ADAPTERS]
    assert found == counts


def test_the_file_is_read_as_it_is(folder):
    model = architecture.read(folder)
    assert (model.layers, model.hidden, model.heads, model.kv_heads, model.head_size) == (2, 256, 4, 2, 64)
    assert model.file_bytes == 2 * model.parameters
    assert len(model.linears) == 14 and model.model_type == "llama"


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x02\x00\x00\x00\x00\x00\x00\x00{]"])
def test_of_a_broken_file_nothing_is_claimed(folder, tmp_path, content):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    assert architecture.read(tmp_path) is None
    (tmp_path / "model.safetensors").write_bytes(content)
    assert architecture.read(tmp_path) is None
    assert architecture.read(Path("/nowhere")) is None


def test_the_lines_add_up_and_what_makes_a_step_larger_makes_the_estimate_larger(folder):
    model = architecture.read(folder)
    base = {"batch_size": 8, "gradient_accumulation_steps": 1, "max_new_tokens": 400}
    first = memory.estimate(model, config(training=base), memory.Situation(50))
    assert sum(line.bytes for line in first.lines) == first.total and first.at == "a step" and first.measured
    assert total(model, training={**base, "batch_size": 16}) > first.total
    assert total(model, training={**base, "max_new_tokens": 800}) > first.total
    assert total(model, prompt=500, training=base) > first.total
    assert total(model, training=base, model={"lora_rank": 64}) > first.total
    assert total(model, where=memory.Situation(50, half=True), training=base) < first.total


def test_a_gpu_is_marked_as_not_measured_and_has_no_fused_copy(folder):
    model = architecture.read(folder)
    found = memory.estimate(model, config(), memory.Situation(50, on_gpu=True, half=True))
    assert not found.measured
    assert "Fused weights for answering" not in {line.label for line in found.lines}
