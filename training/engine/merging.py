"""Folds a LoRA adapter into its base model."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.engine.loading import with_template

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


def merge(
    model_path: str,
    adapter: Path,
    out_folder: Path,
    dtype: str = "bfloat16",
    revision: str | None = None,
    chat_template: str = "",
) -> Path:
    """Writes base + adapter as one safetensors model with its tokenizer into `out_folder`. `chat_template` is that of
    the session, "" for the model's own.

    Each adapted weight is computed in fp32, W + scale * B A, and rounded once, to `dtype` ("bfloat16", "float16",
    "float32"): a sum in bf16 would lose most of a small adapter. Only one weight at a time is held in fp32.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = AutoModelForCausalLM.from_pretrained(
        model_path, dtype="auto", revision=revision, use_safetensors=True, trust_remote_code=False
    )
    model = PeftModel.from_pretrained(base, str(adapter))
    target: torch.dtype = getattr(torch, dtype)
    with torch.no_grad():
        merged = _merged(model, target)
    _without_sampling_conflicts(merged)
    merged.save_pretrained(str(out_folder), safe_serialization=True)
    source = str(adapter) if (Path(adapter) / "tokenizer_config.json").is_file() else model_path
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    with_template(tokenizer, chat_template).save_pretrained(str(out_folder))
    return Path(out_folder)


def _merged(model: Any, target: torch.dtype) -> Any:
    import torch
    from peft.tuners.lora import LoraLayer

    layers: list[Any] = [module for module in model.modules() if isinstance(module, LoraLayer)]
    if not layers:
        raise ValueError("The adapter changes no layer of this model: it was made for another one.")
    for layer in layers:
        layer.to(torch.float32)
        layer.merge(safe_merge=True)
        layer.get_base_layer().to(target)
    log.info("Merged %d layers.", len(layers))
    return model.unload().to(target)


def _without_sampling_conflicts(model: Any) -> None:
    """save_pretrained refuses a generation config that names a temperature but does not sample; many hub models do."""
    config = model.generation_config
    if config is None or config.do_sample:
        return
    for name in ("temperature", "top_p", "top_k", "min_p", "typical_p"):
        if getattr(config, name, None) is not None:
            setattr(config, name, None)
