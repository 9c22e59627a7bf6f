"""What a config asks for and a machine can't do: what takes its place, and the words that say so.

The form shows the words before the queue, the engine acts on them and logs them. Neither Django nor torch is imported.
"""

from __future__ import annotations

from training.schema import Problem, SessionConfig

# Kinds of models that engine/decoder.py answers with on a CPU.
SERVED = {"llama", "qwen2", "qwen3", "mistral"}
NEEDS_CUDA = {"paged_adamw_32bit", "paged_adamw_8bit", "adamw_8bit"}


def optimiser(config: SessionConfig, cuda: bool) -> tuple[str, str | None]:
    """TRL's name of the optimiser, and what to tell the user if it is not the one asked for."""
    asked = config.training.optim
    if cuda or asked not in NEEDS_CUDA:
        return asked, None
    return "adamw_torch", f"Optimiser {asked} needs CUDA: adamw_torch takes its place."


def attention(config: SessionConfig, cuda: bool) -> tuple[str | None, str | None]:
    """transformers' attn_implementation, None where it chooses by itself."""
    asked = config.training.attn_implementation
    if asked == "auto":
        return None, None
    if cuda or asked != "flash_attention_2":
        return asked, None
    return "sdpa", "Attention flash_attention_2 needs CUDA: sdpa takes its place."


def precision(config: SessionConfig, cuda: bool) -> tuple[str, str | None]:
    asked = config.training.precision
    if cuda or asked != "fp16":
        return asked, None
    return "fp32", "Precision fp16 needs CUDA: fp32 takes its place."


def quantisation_problem(config: SessionConfig, cuda: bool) -> Problem | None:
    """A model that was to fit in little memory must not be loaded whole instead, so nothing takes its place."""
    for field, bits in (("load_in_4bit", 4), ("load_in_8bit", 8)):
        if getattr(config.training, field) and not cuda:
            return Problem(
                field=f"training.{field}",
                message=f"Loading in {bits} bit needs an NVIDIA GPU: a machine that has none refuses the session.",
            )
    return None


def notices(config: SessionConfig, cuda: bool) -> list[Problem]:
    """Everything that runs differently on this machine than the config says."""
    found = {
        "training.optim": optimiser(config, cuda)[1],
        "training.attn_implementation": attention(config, cuda)[1],
        "training.precision": precision(config, cuda)[1],
    }
    said = [Problem(field=field, message=message) for field, message in found.items() if message]
    refused = quantisation_problem(config, cuda)
    return [*said, refused] if refused else said
