"""The merged model answers as base and adapter do (S11.1)."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.exports import tiny
from training.engine.merging import merge


@pytest.fixture(scope="module")
def merged(tiny_base: Path, tiny_adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return merge(str(tiny_base), tiny_adapter, tmp_path_factory.mktemp("merged"))


def logits(model: torch.nn.Module) -> torch.Tensor:
    tokens = torch.arange(260, 300)[None]
    with torch.no_grad():
        found: torch.Tensor = model(tokens).logits.float()
    return found


def adapted(base: Path, adapter: Path) -> PeftModel:
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32), str(adapter))


def test_merged_logits_are_those_of_the_adapter(merged: Path, tiny_base: Path, tiny_adapter: Path) -> None:
    model = adapted(tiny_base, tiny_adapter)
    wanted = logits(model)
    with model.disable_adapter():
        untrained = logits(model)
    found = logits(AutoModelForCausalLM.from_pretrained(str(merged), dtype=torch.float32))
    assert (wanted - untrained).abs().max() > 0.3, "an adapter that changes nothing would prove nothing"
    assert torch.allclose(found, wanted, atol=0.02)


def test_each_weight_is_rounded_once(merged: Path, tiny_base: Path, tiny_adapter: Path) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    lora = load_file(tiny_adapter / "adapter_model.safetensors")
    a, b = (lora[f"base_model.model.model.layers.0.self_attn.q_proj.lora_{part}.weight"] for part in "AB")
    base = load_file(tiny_base / "model.safetensors")[name]
    exact = base.float() + 2.0 * b.float() @ a.float()
    assert torch.equal(load_file(merged / "model.safetensors")[name], exact.to(torch.bfloat16))


def test_float16_keeps_more_than_bfloat16(tiny_base: Path, tiny_adapter: Path, merged: Path, tmp_path: Path) -> None:
    merge(str(tiny_base), tiny_adapter, tmp_path, "float16")
    wanted = logits(adapted(tiny_base, tiny_adapter))
    errors = {
        kind: (logits(AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)) - wanted).abs().max()
        for kind, folder in {"float16": tmp_path, "bfloat16": merged}.items()
    }
    assert errors["float16"] < errors["bfloat16"] / 2


def test_merged_folder_is_complete_and_safe(merged: Path) -> None:
    assert AutoTokenizer.from_pretrained(str(merged)).chat_template == tiny.CHAT_TEMPLATE
    assert json.loads((merged / "config.json").read_text())["dtype"] == "bfloat16"
    assert not [file for file in merged.iterdir() if file.suffix in (".bin", ".pt", ".pkl")]


def test_a_generation_config_with_a_temperature_but_no_sampling_is_saved(
    tiny_base: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    import shutil

    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    (base / "generation_config.json").write_text(
        json.dumps({"do_sample": False, "temperature": 0.6, "eos_token_id": 4})
    )
    merge(str(base), tiny_adapter, tmp_path / "merged")
    assert json.loads((tmp_path / "merged" / "generation_config.json").read_text())["eos_token_id"] == 4
