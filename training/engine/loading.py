"""Base models and adapters: safetensors only, never code from a model's repository."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from training import fallbacks
from training.engine.problems import EngineError, explained
from training.schema import SessionConfig

ANY_CONFIG = SessionConfig()


def cuda_available() -> bool:
    import torch

    return torch.cuda.is_available()


def uses_unsloth(config: SessionConfig) -> bool:
    """Unsloth only where CUDA is: it refuses to be imported elsewhere."""
    return without_unsloth(config) == ""


def without_unsloth(config: SessionConfig) -> str:
    """Why Unsloth is not used. It fixes some settings by itself: a config that sets them otherwise goes without it."""
    if not cuda_available():
        return "requires CUDA"
    if find_spec("unsloth") is None:
        return "package not installed"
    training, standard = config.training, ANY_CONFIG.training
    fixed = ["attn_implementation"]
    if training.load_in_4bit:
        fixed += ["bnb_4bit_quant_type", "bnb_4bit_compute_dtype", "bnb_4bit_use_double_quant"]
    own = [f"training.{name}" for name in fixed if getattr(training, name) != getattr(standard, name)]
    own += ["model.use_dora"] if config.model.use_dora else []
    return f"it does not follow {', '.join(own)}" if own else ""


def mode_lines(config: SessionConfig) -> list[str]:
    """What the log says about the machine."""
    without = without_unsloth(config)
    state = f"Unsloth optimizations: {f'DISABLED ({without})' if without else 'ENABLED'}"
    if not cuda_available():
        return ["No GPU detected - running in CPU mode", state]
    import torch

    return [f"GPU detected: {torch.cuda.get_device_name(0)}", state]


def computes_in_bf16() -> bool:
    """Whether the processor has bfloat16 arithmetic, and not only conversions, which make it slower than float32."""
    import torch

    if cuda_available():
        return torch.cuda.is_bf16_supported()
    return cpu_computes_in_bf16()


def cpu_computes_in_bf16() -> bool:
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(cpu_flags())


def cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def half_precision(config: SessionConfig) -> bool:
    """Whether bfloat16 is computed in."""
    precision = config.training.precision
    return computes_in_bf16() if precision == "auto" else precision == "bf16"


def weight_dtype(config: SessionConfig, torch: Any) -> Any:
    """Weights stay in float32 where bfloat16 is not computed in: converting each time would cost more than it saves."""
    if half_precision(config):
        return torch.bfloat16
    is_fp16 = fallbacks.precision(config, cuda_available())[0] == "fp16"
    return torch.float16 if is_fp16 else torch.float32


def check_folder(model_path: str) -> None:
    """Raises EngineError where `model_path` is a folder that no model can be loaded from."""
    folder = Path(model_path)
    if not folder.is_absolute():
        return
    if not folder.is_dir():
        raise EngineError(f"There is no model folder {model_path}.", "Choose a model of the list, or check the path.")
    if not (folder / "config.json").is_file():
        raise EngineError(
            f"The folder {model_path} has no config.json, so it is no model in Hugging Face format.",
            "Choose the folder that holds config.json and the .safetensors files.",
        )
    if not any(folder.glob("*.safetensors")):
        raise EngineError(
            f"The folder {model_path} has no .safetensors file. Other weight formats are not read, because they can"
            " run code when they are opened.",
            "Convert the model to safetensors (model.save_pretrained does it), or choose another.",
        )


def check_packages(config: SessionConfig) -> None:
    """Raises EngineError where a setting needs a package that a CPU installation does without."""
    training, cuda = config.training, cuda_available()
    wanted = {
        "flash_attn": ("training.attn_implementation", fallbacks.attention(config, cuda)[0] == "flash_attention_2"),
        "bitsandbytes": ("training.load_in_4bit", cuda and (training.load_in_4bit or training.load_in_8bit)),
    }
    for package, (field, is_wanted) in wanted.items():
        if is_wanted and find_spec(package) is None:
            raise EngineError(
                f"The package {package} is not installed on the machine that trains, and {field} needs it.",
                f"Install {package}, or change {field}.",
            )


def load_model(model_path: str, config: SessionConfig) -> tuple[Any, Any]:
    """The base model, without adapter, and its tokenizer. Raises EngineError."""
    from safetensors import SafetensorError

    check_folder(model_path)
    check_packages(config)
    try:
        loaded = load_with_unsloth if uses_unsloth(config) else load_with_transformers
        model, tokenizer = loaded(model_path, config)
        return model, with_template(tokenizer, config.prompt.chat_template)
    except EngineError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, MemoryError, SafetensorError) as error:
        raise explained(error, Path(model_path)) or not_loadable(model_path, error) from error


def not_loadable(model_path: str, error: BaseException) -> EngineError:
    text = " ".join(str(error).split())
    if "safetensors" in text and "not" in text.lower():
        return EngineError(f"The model {model_path} has no safetensors weights.", "Choose a model that has them.")
    if "gated" in text.lower() or "401" in text or "403" in text:
        return EngineError(
            f"The model {model_path} needs permission of its owner.",
            "Accept its licence on the hub and set HF_TOKEN for the worker.",
        )
    return EngineError(
        f"The model {model_path} could not be loaded: {text[:300]}",
        "Check the name for typing errors. A hub model needs an internet connection the first time.",
    )


def load_with_transformers(model_path: str, config: SessionConfig) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM

    options = model_options(config, torch)
    return AutoModelForCausalLM.from_pretrained(model_path, **options), load_tokenizer(model_path, config)


def model_options(config: SessionConfig, torch: Any) -> dict[str, Any]:
    """What transformers' from_pretrained is told."""
    cuda = cuda_available()
    return {
        "revision": config.model.revision,
        "dtype": weight_dtype(config, torch),
        "attn_implementation": fallbacks.attention(config, cuda)[0],
        "use_safetensors": True,
        "trust_remote_code": False,
        "quantization_config": quantisation(config),
        "device_map": {"": 0} if cuda else None,
    }


def load_tokenizer(model_path: str, config: SessionConfig) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_path, revision=config.model.revision, trust_remote_code=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def with_template(tokenizer: Any, chat_template: str) -> Any:
    """The tokenizer under the session's own chat template, if it has one. Saving the tokenizer saves it, too."""
    if chat_template.strip():
        tokenizer.chat_template = chat_template
    return tokenizer


def quantisation(config: SessionConfig) -> Any:
    """transformers' BitsAndBytesConfig, or None. Raises EngineError where there is no GPU for it."""
    options = quantisation_options(config)
    if not options:
        return None
    refused = fallbacks.quantisation_problem(config, cuda_available())
    if refused:
        raise EngineError(refused.message, f"Switch {refused.field} off, or train on a machine with a GPU.")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(**options)


def quantisation_options(config: SessionConfig) -> dict[str, Any]:
    training = config.training
    if training.load_in_8bit:
        return {"load_in_8bit": True}
    if not training.load_in_4bit:
        return {}
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": training.bnb_4bit_quant_type,
        "bnb_4bit_compute_dtype": training.bnb_4bit_compute_dtype,
        "bnb_4bit_use_double_quant": training.bnb_4bit_use_double_quant,
    }


def load_with_unsloth(model_path: str, config: SessionConfig) -> tuple[Any, Any]:
    # Before trl, transformers and peft: it rewrites their classes while it is imported.
    import torch
    from unsloth import FastLanguageModel

    model, tokenizer = FastLanguageModel.from_pretrained(**unsloth_model_options(model_path, config, torch))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def unsloth_model_options(model_path: str, config: SessionConfig, torch: Any) -> dict[str, Any]:
    return {
        "model_name": model_path,
        "revision": config.model.revision,
        "max_seq_length": config.training.max_sequence_length,
        "dtype": weight_dtype(config, torch),
        "load_in_4bit": config.training.load_in_4bit,
        "load_in_8bit": config.training.load_in_8bit,
        "full_finetuning": False,
        "fast_inference": False,
        "max_lora_rank": config.model.lora_rank,
        "random_state": config.training.seed,
        "use_gradient_checkpointing": "unsloth" if config.training.gradient_checkpointing else False,
        "trust_remote_code": False,
        "use_exact_model_name": True,
    }


def lora_options(config: SessionConfig) -> dict[str, Any]:
    """What PEFT and Unsloth are told in the same words; DoRA is PEFT's alone."""
    return {
        "r": config.model.lora_rank,
        "lora_alpha": config.model.lora_alpha,
        "lora_dropout": config.model.lora_dropout,
        "target_modules": config.model.target_modules,
        "bias": config.model.lora_bias,
        "use_rslora": config.model.use_rslora,
        "use_dora": config.model.use_dora,
    }


def unsloth_adapter_options(config: SessionConfig) -> dict[str, Any]:
    return {
        **{name: value for name, value in lora_options(config).items() if name != "use_dora"},
        "use_gradient_checkpointing": "unsloth" if config.training.gradient_checkpointing else False,
        "random_state": config.training.seed,
    }


def adapter_options(config: SessionConfig) -> dict[str, Any]:
    """Fields of PEFT's LoraConfig."""
    return {**lora_options(config), "task_type": "CAUSAL_LM"}


def add_adapter(model: Any, config: SessionConfig) -> Any:
    """A fresh adapter on `model`. Its first values depend on the seed alone. Raises EngineError."""
    from transformers import set_seed

    set_seed(config.training.seed)
    try:
        if uses_unsloth(config):
            from unsloth import FastLanguageModel

            return FastLanguageModel.get_peft_model(model, **unsloth_adapter_options(config))
        from peft import LoraConfig, get_peft_model

        return get_peft_model(model, LoraConfig(**adapter_options(config)))
    except ValueError as error:
        raise EngineError(
            f"The adapter does not fit the model: {' '.join(str(error).split())[:300]}",
            "Check model.target_modules: all-linear fits every model.",
        ) from error


def name_base(folder: Path, config: SessionConfig) -> None:
    """Writes the base model's name into a saved adapter. PEFT writes the path of this machine, which says nothing to
    whoever gets the adapter; given the name while it saves, PEFT would ask the hub for it."""
    for file in folder.rglob("adapter_config.json"):
        saved = json.loads(file.read_text())
        saved["base_model_name_or_path"] = config.model.name
        file.write_text(json.dumps(saved, indent=2, sort_keys=True))
    for card in folder.rglob("README.md"):
        card.unlink()


def load_adapters(model: Any, folder: Path, names: Iterable[str] | None = None) -> None:
    """Sets the weights of every adapter of `model`, or of those named, from a saved folder: the trained one lies at its
    top, GRPO's frozen reference below. transformers' own loading forgets the trained one where there is a second."""
    from peft import load_peft_weights, set_peft_model_state_dict

    for name in model.peft_config if names is None else names:
        source = folder if name == "default" else folder / name
        set_peft_model_state_dict(model, load_peft_weights(os.fspath(source), device="cpu"), adapter_name=name)


def load_for_generation(model_path: str, adapter: Path | None, chat_template: str = "") -> tuple[Any, Any]:
    """Model and tokenizer for evaluation.generate and trying out, with `adapter` on it if given. `chat_template` is
    that of the session, "" for the model's own. Raises EngineError."""
    model, tokenizer = load_model(model_path, ANY_CONFIG)
    tokenizer = with_template(tokenizer, chat_template)
    if adapter is not None:
        model = with_adapter(model, Path(adapter))
    return model.eval(), tokenizer


def with_adapter(model: Any, adapter: Path) -> Any:
    if not (adapter / "adapter_model.safetensors").is_file():
        raise EngineError(f"There is no adapter in {adapter.name}.", "Train the session first, or resume it.")
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, os.fspath(adapter), is_trainable=False)
    except (RuntimeError, ValueError) as error:
        raise EngineError(
            f"The adapter {adapter.name} does not fit the model: {' '.join(str(error).split())[:300]}",
            "Use the base model that the adapter was trained on.",
        ) from error
