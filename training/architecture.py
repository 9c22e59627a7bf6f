"""What a model is made of, read from its config.json and the headers of its safetensors files: no weights, no torch."""

from __future__ import annotations

import functools
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.schema import ModelSection

# A header larger than that is no header.
LARGEST_HEADER = 100_000_000
DTYPE_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2}
# Two-dimensional weights that are no linear layers of the body: PEFT's all-linear leaves them out, too.
NOT_ADAPTED = ("embed", "lm_head", "wte", "wpe")


@dataclass(frozen=True)
class Linear:
    """A linear layer, by the last part of its name."""

    name: str
    inputs: int
    outputs: int

    @property
    def size(self) -> int:
        return self.inputs * self.outputs


@dataclass(frozen=True)
class Architecture:
    parameters: int
    file_bytes: int
    linears: tuple[Linear, ...]
    # Sizes of biases by the last part of their layer's name.
    biases: tuple[tuple[str, int], ...]
    model_type: str
    layers: int
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int

    @property
    def linear_parameters(self) -> int:
        return sum(linear.size for linear in self.linears)

    def adapted(self, section: ModelSection) -> list[Linear]:
        wanted = section.target_modules
        return [linear for linear in self.linears if wanted == "all-linear" or linear.name in wanted]

    def adapter_parameters(self, section: ModelSection) -> int:
        """As PEFT counts what it trains: A and B of each layer, with DoRA a length of each output, and biases."""
        layers = self.adapted(section)
        found = sum(section.lora_rank * (layer.inputs + layer.outputs) for layer in layers)
        found += sum(layer.outputs for layer in layers) if section.use_dora else 0
        names = {layer.name for layer in layers}
        if section.lora_bias != "none":
            found += sum(size for name, size in self.biases if section.lora_bias == "all" or name in names)
        return found


def read(folder: Path) -> Architecture | None:
    """None where `folder` holds no model that can be understood."""
    try:
        stamp = tuple((file.name, file.stat().st_mtime_ns) for file in sorted(folder.glob("*.safetensors")))
        return _read(folder, stamp) if stamp else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return None


@functools.lru_cache(maxsize=32)
def _read(folder: Path, stamp: tuple[tuple[str, int], ...]) -> Architecture:
    """Remembered: every page of the stepper asks."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = {**config, **config.get("text_config", {})}
    tensors = {
        name: info for file, _ in stamp for name, info in header(folder / file).items() if name != "__metadata__"
    }
    shapes = {name: [int(size) for size in info["shape"]] for name, info in tensors.items()}
    heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
    return Architecture(
        parameters=sum(count(shape) for shape in shapes.values()),
        file_bytes=sum(count(shapes[name]) * DTYPE_BYTES.get(info["dtype"], 1) for name, info in tensors.items()),
        linears=tuple(linears(shapes)),
        biases=tuple((name.split(".")[-2], count(shape)) for name, shape in shapes.items() if name.endswith(".bias")),
        model_type=str(config.get("model_type", "")),
        layers=int(config["num_hidden_layers"]),
        hidden=hidden,
        inner=int(config.get("intermediate_size") or 4 * hidden),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_size=int(config.get("head_dim") or hidden // heads),
        vocabulary=int(config["vocab_size"]),
    )


def header(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        if length > LARGEST_HEADER:
            raise ValueError("no safetensors header")
        found: dict[str, Any] = json.loads(opened.read(length))
    return found


def count(shape: list[int]) -> int:
    size = 1
    for each in shape:
        size *= each
    return size


def linears(shapes: dict[str, list[int]]) -> list[Linear]:
    return [
        Linear(name.split(".")[-2], shape[1], shape[0])
        for name, shape in shapes.items()
        if name.endswith(".weight") and len(shape) == 2 and not any(part in name for part in NOT_ADAPTED)
    ]
