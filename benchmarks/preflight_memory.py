"""Memory of a preflight: the estimate from the architecture against the measured peak

Each row is a process of its own that loads the model, lets it answer and makes a step of the warm-up and one largest
step of GRPO, as a preflight does. The estimate knows config.json, the headers of the weights, the config and the
longest prompt, and loads nothing. The limit is 20 % in either direction.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from benchmarks.models import STARTER

ROWS = 24
LIMIT = 0.2


@dataclass(frozen=True)
class Row:
    """What the engine reads of a row."""

    row: int
    instruction: str
    response: str
    reasoning: str = ""
    reference: str = ""
    columns: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", self.columns or {})


@dataclass(frozen=True)
class Case:
    """`shape` are fields of a LlamaConfig; without one it is the starter model."""

    title: str
    batch: int
    tokens: int
    shape: dict[str, int] | None = None
    more: dict[str, dict[str, Any]] | None = None


MID = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12,
       "num_key_value_heads": 4}  # fmt: skip
SMALL = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8, "num_attention_heads": 8,
         "num_key_value_heads": 8}  # fmt: skip
TINY = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2}  # fmt: skip
FP32 = {"training": {"precision": "fp32"}}
CASES = [
    Case("starter, small batch", 8, 32),
    Case("starter, fp32", 8, 32, more=FP32),
    Case("starter, many answers", 32, 64),
    Case("starter, long answers", 8, 192),
    Case("starter, attention only", 16, 64, more={"model": {"target_modules": ["q_proj", "v_proj"]}}),
    Case("starter, checkpointing", 8, 64, more={"training": {"gradient_checkpointing": True}}),
    Case("12 layers of 768, fp32", 16, 64, MID, FP32),
    Case("2 layers of 128", 16, 64, TINY),
    # Not among those that the constants of training/memory.py were fitted to.
    Case("starter, another length", 16, 96),
    Case("starter, checkpointing, longer", 16, 96, more={"training": {"gradient_checkpointing": True}}),
    Case("8 layers of 512", 24, 48, SMALL),
]


def run() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="loracraft-bench-") as folder:
        found = [compared(case, Path(folder)) for case in CASES]
    worst = max(found, key=lambda row: abs(row["ratio"] - 1))
    return [*found, {**worst, "what": f"worst, of {1 - LIMIT:g} to {1 + LIMIT:g}: {worst['what']}"}]


def compared(case: Case, folder: Path) -> dict[str, Any]:
    from training import architecture, memory
    from training.engine.loading import half_precision
    from training.schema import SessionConfig

    config = SessionConfig.model_validate(config_of(case))
    base = model_of(case, folder)
    command = [sys.executable, "-m", "benchmarks.preflight_memory", str(CASES.index(case)), str(base)]
    done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    measured = json.loads(done.stdout.splitlines()[-1])
    model = architecture.read(base)
    assert model is not None
    where = memory.Situation(measured["step"]["prompt_tokens"], half=half_precision(config),
                             sft_tokens=measured["warm_up"].get("tokens"))  # fmt: skip
    estimate = memory.estimate(model, config, where)
    return {
        "what": case.title,
        "estimate MB": estimate.total / 1e6,
        "measured MB": measured["peak"] / 1e6,
        "ratio": estimate.total / measured["peak"],
        "largest at": estimate.at,
        "measured at": max(measured["peaks"], key=measured["peaks"].get),
    }


def config_of(case: Case) -> dict[str, Any]:
    sections: dict[str, dict[str, Any]] = {
        "training": {"batch_size": case.batch, "gradient_accumulation_steps": 1, "max_new_tokens": case.tokens,
                     "max_steps": 4},
        "grpo": {"num_generations": 8},
        "pre_training": {"enabled": True, "batch_size": 4},
    }  # fmt: skip
    for name, values in (case.more or {}).items():
        sections[name] = {**sections.get(name, {}), **values}
    return sections


def model_of(case: Case, folder: Path) -> Path:
    from training.engine.starter import prepare

    starter = prepare(Path(settings.BASE_DIR) / "data" / "models" / STARTER)
    if case.shape is None:
        return starter
    target = folder / case.title
    if not target.exists():
        made(case.shape, starter, target)
    return target


def made(shape: dict[str, int], starter: Path, target: Path) -> None:
    """Random weights under the starter's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(starter)
    config = LlamaConfig(vocab_size=49152, eos_token_id=2, tie_word_embeddings=True, **shape)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)


def measured_here(case: Case, base: str) -> dict[str, Any]:
    """In the fresh process, with what a preflight's child has loaded."""
    from rewards.composition import Composition
    from training.engine.preflight import Wanted, measure
    from training.engine.run import RunSpec
    from training.schema import SessionConfig

    rows = [Row(n, f"What is {n} + {n * 7}?" + " Think." * n, f"It is {8 * n}.", "", str(8 * n)) for n in range(ROWS)]
    reward = {"parts": [{"name": "length", "function": "length"}]}
    with tempfile.TemporaryDirectory(prefix="loracraft-bench-") as folder:
        config = SessionConfig.model_validate(config_of(case))
        spec = RunSpec(config, Composition.model_validate(reward), rows, [], base, Path(folder))
        return measure(spec, Wanted(case.batch // 8, 8, 3600), lambda *_: None, lambda: False)


if __name__ == "__main__":
    from benchmarks.run import set_up_django

    set_up_django()
    print(json.dumps(measured_here(CASES[int(sys.argv[1])], sys.argv[2])))
