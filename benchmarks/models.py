"""Models that several benchmarks load."""

from pathlib import Path
from typing import Any

from django.conf import settings

STARTER = "SmolLM2-135M-Instruct"


def starter_model() -> tuple[Any, Any]:
    """The starter model and its tokenizer, made once in the checkout's own data folder."""
    from training.engine.loading import load_for_generation
    from training.engine.starter import prepare

    folder = prepare(Path(settings.BASE_DIR) / "data" / "models" / STARTER)
    model, tokenizer = load_for_generation(str(folder), None)
    return model, tokenizer
