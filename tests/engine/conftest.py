"""A real, tiny model made here: two layers, a tokenizer trained on a few lines, random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from rewards.composition import Composition
from rewards.registry import REGISTRY, NoParameters, RewardError, RewardFunction, Sample, Score
from training.engine.run import Outcome, RunSpec, run
from training.events import EngineEvent
from training.schema import SessionConfig

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
LINES = ["How many apples are left when Anna eats 3 of 12?", "What is 17 + 4?", "The answer is 21.", "<SOLUTION>"]
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


@dataclass(frozen=True)
class Row:
    row: int
    instruction: str
    response: str
    reasoning: str = ""
    reference: str = ""
    columns: dict[str, Any] = field(default_factory=dict)


def question(number: int) -> Row:
    text = f"What is {number} + {number % 7}?"
    answer = str(number + number % 7)
    return Row(number, text, answer, "", answer, {"question": text, "answer": answer, "level": number % 3})


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        LINES * 4, trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
    )
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|end|>")
    made.chat_template = TEMPLATE
    return made


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """A tiny model gains nothing from threads, and a sum's order, so its last bit, depends on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    config = LlamaConfig(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **SIZES)
    model = LlamaForCausalLM(config)
    # Random weights of the usual size answer almost evenly; larger ones make answers that differ.
    for parameter in model.parameters():
        parameter.data.mul_(4.0 if parameter.dim() == 2 else 1.0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def share_of_e(sample: Sample, parameters: Any) -> Score:
    return Score(sample.response.count("e") / max(len(sample.response), 1))


def share_of_letters(sample: Sample, parameters: Any) -> Score:
    return Score(sum(map(str.isalpha, sample.response)) / max(len(sample.response), 1))


def even_length(sample: Sample, parameters: Any) -> Score:
    return Score(float(len(sample.response) % 2 == 0))


def fails_on_odd_length(sample: Sample, parameters: Any) -> Score:
    if len(sample.response) % 2:
        raise RewardError("an odd length can't be judged")
    return Score(len(sample.response) / 100)


def always_fails(sample: Sample, parameters: Any) -> Score:
    raise RewardError("nothing can be judged")


def a_fifth(sample: Sample, parameters: Any) -> Score:
    return Score(0.2)


SEEN: list[Sample] = []


def remembers(sample: Sample, parameters: Any) -> Score:
    SEEN.append(sample)
    return Score(0.0)


@pytest.fixture(autouse=True)
def reward_functions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for function in (share_of_e, share_of_letters, even_length, fails_on_odd_length, always_fails, a_fifth, remembers):
        definition = RewardFunction(
            function.__name__,
            function.__name__,
            "",
            "Test",
            NoParameters,
            function,
            judges_answer=function is even_length,
        )
        monkeypatch.setitem(REGISTRY, function.__name__, definition)
    SEEN.clear()
    yield


def composition(*functions: str) -> Composition:
    return Composition.model_validate({"parts": [{"name": name, "function": name} for name in functions]})


def tiny_config(**sections: dict[str, Any]) -> SessionConfig:
    """Eight steps of two questions with four answers each, in float32 so that numbers can be compared."""
    defaults: dict[str, dict[str, Any]] = {
        "prompt": {"system_prompt": "Answer."},
        "training": {
            "batch_size": 8,
            "gradient_accumulation_steps": 1,
            "max_steps": 4,
            "num_epochs": 3,
            "learning_rate": 1e-2,
            "warmup_steps": 0,
            "max_new_tokens": 8,
            "max_sequence_length": 128,
            "temperature": 1.0,
            "top_p": 1.0,
            "save_steps": 2,
            "precision": "fp32",
        },
        "grpo": {"num_generations": 4, "kl_penalty": 0.0},
        "pre_training": {"enabled": False, "epochs": 1, "max_samples": 8},
        "evaluation": {"enabled": False, "max_samples": 6, "batch_size": 4},
        "model": {"lora_rank": 4, "lora_alpha": 8},
    }
    merged = {name: {**defaults.get(name, {}), **sections.get(name, {})} for name in {*defaults, *sections}}
    return SessionConfig.model_validate(merged)


class Recorded:
    """An `emit` that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[EngineEvent] = []

    def __call__(self, event: EngineEvent) -> None:
        self.events.append(event)

    def of(self, kind: str, phase: str | None = None) -> list[EngineEvent]:
        return [event for event in self.events if event.kind == kind and phase in (None, event.phase)]

    def curve(self, name: str, phase: str = "training") -> dict[int, Any]:
        return {event.step: event.data[name] for event in self.of("metrics", phase) if event.step is not None}

    @property
    def step(self) -> int:
        return max((event.step or 0 for event in self.of("metrics", "training")), default=0)


@dataclass
class Session:
    folder: Path
    model_folder: Path
    config: SessionConfig = field(default_factory=tiny_config)
    composition: Composition = field(default_factory=lambda: composition("share_of_e", "even_length"))
    train_rows: list[Row] = field(default_factory=lambda: [question(n) for n in range(6)])
    held_out_rows: list[Row] = field(default_factory=lambda: [question(n) for n in range(20, 26)])
    validation_rows: list[Row] = field(default_factory=list)

    def run(
        self, resume: bool = False, stop: Callable[[Recorded], bool] = lambda recorded: False
    ) -> tuple[Outcome, Recorded]:
        recorded = Recorded()
        spec = RunSpec(
            self.config,
            self.composition,
            self.train_rows,
            self.held_out_rows,
            str(self.model_folder),
            self.folder,
            resume,
            self.validation_rows,
        )
        return run(spec, recorded, lambda: stop(recorded)), recorded


@pytest.fixture
def session(tmp_path: Path, model_folder: Path) -> Session:
    return Session(tmp_path / "session", model_folder)
