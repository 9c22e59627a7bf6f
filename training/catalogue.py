"""The base models that come with the product. A migration makes rows of them; from then on the admin edits the rows.

`vram_gb` is guidance for GRPO with a LoRA adapter in 16 bit: weights (2 bytes a parameter), adapter with optimiser, the
key-value cache of one group of 8 answers, and activations of one forward pass.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Entry(NamedTuple):
    name: str
    family: str
    hub_id: str
    parameters: int
    context_length: int
    licence: str
    vram_gb: float
    gated: bool = False
    notes: str = ""

    @property
    def row(self) -> dict[str, Any]:
        return self._asdict()


HUB, STARTER = "HuggingFaceTB", "local/SmolLM2-135M-Instruct"
LLAMA, META, GEMMA = "Llama 3.2 Community", "meta-llama", "Gemma"

ENTRIES = [
    Entry(
        "SmolLM2-135M-Instruct (starter)",
        "SmolLM2",
        STARTER,
        134_515_008,
        8192,
        "Apache-2.0",
        2,
        notes="Prepared by `make setup`; needs no network and trains on a CPU.",
    ),
    Entry("SmolLM2 135M Instruct", "SmolLM2", f"{HUB}/SmolLM2-135M-Instruct", 134_515_008, 8192, "Apache-2.0", 2),
    Entry("SmolLM2 360M Instruct", "SmolLM2", f"{HUB}/SmolLM2-360M-Instruct", 361_821_120, 8192, "Apache-2.0", 3),
    Entry("SmolLM2 1.7B Instruct", "SmolLM2", f"{HUB}/SmolLM2-1.7B-Instruct", 1_711_376_384, 8192, "Apache-2.0", 8),
    Entry("Qwen3 0.6B", "Qwen3", "Qwen/Qwen3-0.6B", 596_049_920, 40_960, "Apache-2.0", 4),
    Entry("Qwen3 1.7B", "Qwen3", "Qwen/Qwen3-1.7B", 1_720_574_976, 40_960, "Apache-2.0", 8),
    Entry("Qwen3 4B", "Qwen3", "Qwen/Qwen3-4B", 4_022_468_096, 40_960, "Apache-2.0", 16),
    Entry("Qwen3 8B", "Qwen3", "Qwen/Qwen3-8B", 8_190_735_360, 40_960, "Apache-2.0", 24),
    Entry("Llama 3.2 1B Instruct", "Llama", f"{META}/Llama-3.2-1B-Instruct", 1_235_814_400, 131_072, LLAMA, 6, True),
    Entry("Llama 3.2 3B Instruct", "Llama", f"{META}/Llama-3.2-3B-Instruct", 3_212_749_824, 131_072, LLAMA, 12, True),
    Entry(
        "Mistral 7B Instruct v0.3",
        "Mistral",
        "mistralai/Mistral-7B-Instruct-v0.3",
        7_248_023_552,
        32_768,
        "Apache-2.0",
        24,
    ),
    Entry("Phi-4 mini Instruct", "Phi", "microsoft/Phi-4-mini-instruct", 3_836_021_760, 131_072, "MIT", 16),
    Entry("Phi-4", "Phi", "microsoft/phi-4", 14_659_507_200, 16_384, "MIT", 40, notes="14B: the largest of this list."),
    Entry("Gemma 3 1B", "Gemma", "google/gemma-3-1b-it", 999_885_952, 32_768, GEMMA, 6, True),
    Entry(
        "Gemma 3 4B",
        "Gemma",
        "google/gemma-3-4b-it",
        4_300_079_472,
        131_072,
        GEMMA,
        16,
        True,
        "Also reads images; only its text part is trained.",
    ),
]
