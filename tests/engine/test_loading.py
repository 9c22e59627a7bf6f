from __future__ import annotations

import ast
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.conftest import Session, tiny_config
from training.engine import loading, problems
from training.engine.problems import EngineError

ROOT = Path(__file__).resolve().parents[2]
WHEELS = Path(os.environ.get("LORACRAFT_WHEELS") or ROOT / ".cache" / "wheels")
# Found in the pinned requirements, so that an upgrade is checked against the new package.
PIN = next(
    line.strip().replace("==", "-")
    for line in (ROOT / "requirements-gpu.txt").read_text().splitlines()
    if line.startswith("unsloth==")
)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no model folder") as caught:
        loading.load_model(str(tmp_path / "nothing"), tiny_config())
    assert "nothing" in caught.value.message


def test_a_folder_without_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no config\.json"):
        loading.load_model(str(tmp_path), tiny_config())


def test_weights_that_are_not_safetensors_are_refused(tmp_path: Path, model_folder: Path) -> None:
    shutil.copy(model_folder / "config.json", tmp_path)
    torch.save({"weight": torch.zeros(2)}, tmp_path / "pytorch_model.bin")

    with pytest.raises(EngineError, match=r"no \.safetensors file") as caught:
        loading.load_model(str(tmp_path), tiny_config())
    assert "safetensors" in caught.value.hint


def test_an_unknown_hub_name_is_an_error_with_a_next_step() -> None:
    with pytest.raises(EngineError, match="nobody/no-such-model could not be loaded") as caught:
        loading.load_model("nobody/no-such-model", tiny_config())
    assert "Check the name" in caught.value.hint


def test_broken_weights_are_an_error_and_not_a_traceback(tmp_path: Path, model_folder: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(model_folder, folder)
    (folder / "model.safetensors").write_bytes(b"not a tensor file at all")

    with pytest.raises(EngineError, match="could not be loaded"):
        loading.load_model(str(folder), tiny_config())


def test_code_in_a_models_folder_is_never_run(tmp_path: Path, model_folder: Path) -> None:
    folder = tmp_path / "custom"
    shutil.copytree(model_folder, folder)
    config = (folder / "config.json").read_text()
    custom = '"auto_map": {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}, "model_type": "mine"'
    (folder / "config.json").write_text(config.replace('"model_type": "llama"', custom))
    proof = tmp_path / "ran"
    (folder / "mine.py").write_text(f"open({str(proof)!r}, 'w')")

    with pytest.raises(EngineError):
        loading.load_model(str(folder), tiny_config())
    assert not proof.exists()


def test_four_bit_without_a_gpu_is_refused_in_plain_words(session: Session) -> None:
    session.config = tiny_config(training={"load_in_4bit": True})
    with pytest.raises(EngineError, match="needs an NVIDIA GPU"):
        session.run()


def test_target_modules_that_do_not_exist_are_an_error(session: Session) -> None:
    session.config = tiny_config(model={"target_modules": ["no_such_layer"]})
    with pytest.raises(EngineError, match="does not fit the model") as caught:
        session.run()
    assert "all-linear" in caught.value.hint


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_precision_decides_the_weights(precision: str, dtype: torch.dtype, model_folder: Path) -> None:
    model, _ = loading.load_model(str(model_folder), tiny_config(training={"precision": precision}))
    assert model.dtype == dtype


@pytest.mark.parametrize(("flags", "half"), [({"avx512_bf16"}, True), ({"amx_bf16"}, True), ({"avx2"}, False)])
def test_auto_precision_is_bf16_only_where_the_processor_computes_in_it(
    flags: set[str], half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "cpu_flags", lambda: flags)
    assert loading.half_precision(tiny_config(training={"precision": "auto"})) is half


def test_the_adapters_first_values_depend_on_the_seed_alone(model_folder: Path) -> None:
    def first(seed: int) -> torch.Tensor:
        config = tiny_config(training={"seed": seed})
        model = loading.add_adapter(loading.load_model(str(model_folder), config)[0], config)
        return torch.cat([p.flatten() for name, p in model.named_parameters() if "lora_A" in name])

    torch.manual_seed(1)
    one = first(1)
    torch.manual_seed(2)
    assert torch.equal(one, first(1))
    assert not torch.equal(one, first(2))


def test_a_trained_adapter_loads_for_generation_and_changes_the_logits(session: Session) -> None:
    outcome, _ = session.run()
    assert outcome.adapter is not None
    ids = torch.arange(5)[None] + 10
    base, _ = loading.load_for_generation(str(session.model_folder), None)
    adapted, tokenizer = loading.load_for_generation(str(session.model_folder), outcome.adapter)

    assert not torch.allclose(base(ids).logits.float(), adapted(ids).logits.float())
    assert tokenizer.pad_token is not None


def test_a_folder_without_an_adapter_is_named(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no adapter in"):
        loading.load_for_generation(str(model_folder), tmp_path)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")]
)
def test_running_out_of_memory_says_what_to_lower(error: Exception, tmp_path: Path) -> None:
    problem = problems.explained(error, tmp_path)
    assert problem is not None
    assert "out of memory" in problem.message
    assert "training.batch_size" in problem.hint


def test_a_fault_of_the_program_is_not_explained_away(tmp_path: Path) -> None:
    assert problems.explained(KeyError("x"), tmp_path) is None


def test_memory_running_out_in_the_middle_of_training_ends_as_an_engine_error(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr("training.engine.grpo.shared_prompt_logps", fail)
    with pytest.raises(EngineError, match="out of memory"):
        session.run()


# Unsloth: no GPU here, so our calls are checked against the real package's source


def source(name: str) -> ast.Module:
    wheel = next(WHEELS.glob(f"{PIN}-*.whl"), None)
    if wheel is None:
        pytest.skip(f"needs the Unsloth wheel {PIN}: pip download --no-deps {PIN.replace('-', '==', 1)} -d {WHEELS}")
    with zipfile.ZipFile(wheel) as archive:
        return ast.parse(archive.read(f"unsloth/models/{name}.py"))


def method(module: ast.Module, owner: str, name: str) -> ast.FunctionDef:
    classes = [node for node in ast.walk(module) if isinstance(node, ast.ClassDef) and node.name == owner]
    return next(node for node in classes[0].body if isinstance(node, ast.FunctionDef) and node.name == name)


def parameters(function: ast.FunctionDef) -> set[str]:
    return {argument.arg for argument in [*function.args.args, *function.args.kwonlyargs]}


def test_unsloth_takes_every_model_option_we_give() -> None:
    known = parameters(method(source("loader"), "FastLanguageModel", "from_pretrained"))
    given = set(loading.unsloth_model_options("model", tiny_config(), torch))

    assert given <= known
    # These decide what is loaded and are never left to Unsloth's defaults.
    assert {"max_seq_length", "dtype", "load_in_4bit", "trust_remote_code", "random_state", "revision"} <= given


def test_unsloth_takes_every_adapter_option_we_give() -> None:
    known = parameters(method(source("llama"), "FastLlamaModel", "get_peft_model"))
    assert set(loading.unsloth_adapter_options(tiny_config())) <= known


def test_unsloths_language_model_hands_adapter_options_on() -> None:
    function = method(source("loader"), "FastLanguageModel", "get_peft_model")
    assert function.args.kwarg is not None


def test_unsloth_is_not_used_without_cuda() -> None:
    assert not loading.uses_unsloth(tiny_config())


def test_unsloth_is_imported_before_the_libraries_it_rewrites(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = ast.parse((ROOT / "training/engine/run.py").read_text())
    quiet = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "quiet")
    imported = [
        node.names[0].name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(quiet)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    top = {
        node.module
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("training.engine")
    }
    # Modules of ours that import torch's friends at their top are imported later, inside functions.
    assert top <= {"training.engine", "training.engine.problems"}
    assert set(imported) >= {"unsloth", "transformers.utils"}


def test_the_mode_lines_are_the_readmes() -> None:
    assert loading.mode_lines(tiny_config()) == [
        "No GPU detected - running in CPU mode",
        "Unsloth optimizations: DISABLED (requires CUDA)",
    ]
