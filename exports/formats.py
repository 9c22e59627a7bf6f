"""What can be exported: one row a format, with what it needs and how large it gets."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from exports.models import Format
from training import base_models
from training.models import CatalogueModel, Session

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
INSTALL_CONVERTER = (
    "Run `make setup`, or: pip install --no-deps --require-hashes --target .venv/converter"
    " -r requirements-converter.txt"
)
INSTALL_LIBRARY = (
    "Install a C++ compiler and CMake (Debian: apt install g++ cmake), then run `make setup`, or:"
    " pip install --no-deps -r requirements-gguf.txt"
)


@dataclass(frozen=True)
class Choice:
    """`bits` a weight on disk; `file_type` is llama.cpp's number (LlamaFileType) in the GGUF header; `converter`
    formats come straight from the converter, the others are quantised from F16 by llama.cpp's library."""

    format: str
    quantization: str
    title: str
    help: str
    bits: float
    file_type: int | None = None
    converter: bool = False

    @property
    def key(self) -> str:
        return f"{self.format}-{self.quantization}" if self.quantization else self.format

    @property
    def gguf_name(self) -> str:
        return f"model-{self.quantization}.gguf"

    @property
    def missing(self) -> str:
        """What this machine lacks for it, with how to get it. Empty if it can be built."""
        if self.format != Format.GGUF:
            return ""
        if not converter_script().is_file():
            return f"llama.cpp's converter is not installed. {INSTALL_CONVERTER}"
        if not self.converter and not has_library():
            return f"llama.cpp's library (llama-cpp-python) is not installed. {INSTALL_LIBRARY}"
        return ""


CHOICES = [
    Choice(Format.ADAPTER, "", "LoRA adapter", "PEFT folder: small, needs the base model.", 0),
    Choice(Format.MERGED, "", "Merged model", "Base and adapter in one: bf16 safetensors with the tokenizer.", 16),
    Choice(Format.GGUF, "f16", "GGUF F16", "Full quality for llama.cpp, Ollama and LM Studio.", 16, 1, True),
    Choice(Format.GGUF, "q8_0", "GGUF Q8_0", "Half the size, hardly a loss.", 8.5, 7, True),
    Choice(Format.GGUF, "q5_k_m", "GGUF Q5_K_M", "A third of the size, a small loss.", 5.7, 17),
    Choice(Format.GGUF, "q4_k_m", "GGUF Q4_K_M", "Smallest that is common. Small models may break.", 4.89, 15),
]
# Bits a weight are those that llama.cpp measured on Llama 3.1 8B. What needs an importance matrix is not offered.
MORE = [
    Choice(Format.GGUF, "bf16", "GGUF BF16", "As large as F16: for models whose numbers F16 can't hold.", 16, 32, True),
    Choice(Format.GGUF, "q6_k", "GGUF Q6_K", "Between Q8_0 and Q5: a very small loss.", 6.56, 18),
    Choice(Format.GGUF, "q5_k_s", "GGUF Q5_K_S", "A little smaller than Q5_K_M.", 5.57, 16),
    Choice(Format.GGUF, "q5_1", "GGUF Q5_1", "Older 5 bit format; any width of model.", 6.06, 9),
    Choice(Format.GGUF, "q5_0", "GGUF Q5_0", "Older 5 bit format; any width of model.", 5.6, 8),
    Choice(Format.GGUF, "q4_k_s", "GGUF Q4_K_S", "A little smaller than Q4_K_M.", 4.67, 14),
    Choice(Format.GGUF, "iq4_nl", "GGUF IQ4_NL", "4 bit with uneven steps; any width of model.", 4.68, 25),
    Choice(Format.GGUF, "iq4_xs", "GGUF IQ4_XS", "Smallest 4 bit format, slower on old processors.", 4.46, 30),
    Choice(Format.GGUF, "q4_1", "GGUF Q4_1", "Older 4 bit format; any width of model.", 5.12, 3),
    Choice(Format.GGUF, "q4_0", "GGUF Q4_0", "Older 4 bit format, fastest on many processors.", 4.66, 2),
    Choice(Format.GGUF, "q3_k_l", "GGUF Q3_K_L", "A clear loss. For large models.", 4.3, 13),
    Choice(Format.GGUF, "q3_k_m", "GGUF Q3_K_M", "A clear loss. For large models.", 4.0, 12),
    Choice(Format.GGUF, "q3_k_s", "GGUF Q3_K_S", "A large loss. For large models.", 3.64, 11),
    Choice(Format.GGUF, "q2_k", "GGUF Q2_K", "The largest loss: only for very large models.", 3.16, 10),
]
ALL = [*CHOICES, *MORE]


def choice(format: str, quantization: str = "") -> Choice | None:
    wanted = (format, quantization.lower() if format == Format.GGUF else "")
    return next((c for c in ALL if (c.format, c.quantization) == wanted), None)


def converter_script() -> Path:
    return Path(settings.CONVERTER_DIR) / "convert_hf_to_gguf.py"


def has_library() -> bool:
    return importlib.util.find_spec("llama_cpp") is not None


def parameters(session: Session) -> int | None:
    """Weights of the session's base model, from its files or the catalogue. None if neither knows."""
    name = session.parsed_config.model.name
    folder = Path(base_models.locate(name))
    if folder.is_dir():
        return sum(_weights_in(file) for file in folder.glob("*.safetensors")) or None
    row = CatalogueModel.objects.filter(hub_id=name).first()
    return row.parameters if row else None


def _weights_in(file: Path) -> int:
    """From the header alone: 8 bytes of length, then JSON with the shape of every tensor."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header: dict[str, Any] = json.loads(stream.read(min(length, 100_000_000)))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def estimated_size(choice: Choice, weights: int | None, adapter: Path) -> int | None:
    """Bytes of the artefact."""
    if choice.format == Format.ADAPTER:
        return sum((adapter / name).stat().st_size for name in ADAPTER_FILES if (adapter / name).is_file())
    return int(weights * choice.bits / 8) if weights else None


def needed_space(choices: Sequence[Choice], weights: int | None, adapter: Path) -> int:
    """Bytes that must be free while they are built: the merged model and F16 exist for a while beside the artefacts."""
    sizes = [estimated_size(choice, weights, adapter) or 0 for choice in choices]
    ggufs = [choice for choice in choices if choice.format == Format.GGUF]
    passing = 1 if len(ggufs) == 1 and ggufs[0].converter else 2 if ggufs else 0
    return int((sum(sizes) + passing * 2 * (weights or 0)) * 1.1) + 10_000_000
