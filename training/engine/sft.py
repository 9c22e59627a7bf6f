"""The warm-up: a short supervised training on the dataset's own answers, so that GRPO starts from the right format."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from training.engine.loading import cuda_available, half_precision
from training.engine.prompting import Row, encode, prompt_text, target_text
from training.engine.trainers import SafeCheckpoints, common_options
from training.schema import SessionConfig

IGNORED = -100


class WarmUpTrainer(SafeCheckpoints, SFTTrainer):
    pass


def sft_options(config: SessionConfig, folder: Path, half: bool, cuda: bool) -> dict[str, Any]:
    """Every field of SFTConfig that the session's config decides."""
    section = config.pre_training
    return {
        **common_options(config, folder, half, cuda),
        "learning_rate": section.learning_rate,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "num_train_epochs": section.epochs + section.max_additional_epochs,
        "max_steps": -1,
        "per_device_train_batch_size": section.batch_size,
        "gradient_accumulation_steps": 1,
        # Sequences come tokenised, masked and checked for length: the same prompt tokens as in GRPO.
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "max_length": None,
        "packing": False,
        "padding_free": False,
        "completion_only_loss": None,
        # The language head only on the tokens that count.
        "loss_type": "nll" if cuda else "chunked_nll",
        "remove_unused_columns": False,
    }


def warm_up_rows(config: SessionConfig, rows: Sequence[Row]) -> list[Row]:
    """Rows with an answer to learn from, at most `max_samples`, chosen by the seed."""
    usable = [row for row in rows if row.reference or row.response]
    limit = config.pre_training.max_samples
    if limit is None or len(usable) <= limit:
        return usable
    return random.Random(config.training.seed).sample(usable, limit)


def tokenised(tokenizer: Any, config: SessionConfig, rows: Sequence[Row]) -> Dataset:
    """Columns input_ids and labels; only the answer and its end token are learned. Rows too long are left out."""
    examples = [example(tokenizer, config, row) for row in warm_up_rows(config, rows)]
    fitting = [each for each in examples if len(each["input_ids"]) <= longest(config)]
    return Dataset.from_list(fitting)


def longest(config: SessionConfig) -> int:
    """Tokens of the longest row that is warmed up on."""
    return int(config.training.max_sequence_length * config.pre_training.max_length_ratio)


def example(tokenizer: Any, config: SessionConfig, row: Row) -> dict[str, list[int]]:
    prompt = encode(tokenizer, prompt_text(tokenizer, config.prompt, row))
    target = tokenizer(target_text(config.prompt, row), add_special_tokens=False)["input_ids"]
    answer = [*target, tokenizer.eos_token_id]
    return {"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}


def warm_up_trainer(model: Any, tokenizer: Any, config: SessionConfig, rows: Sequence[Row], folder: Path) -> Any:
    options = sft_options(config, folder, half_precision(config), cuda_available())
    return WarmUpTrainer(
        model=model,
        args=SFTConfig(**options),
        train_dataset=tokenised(tokenizer, config, rows),
        processing_class=tokenizer,
    )


@contextmanager
def plain_forward(model: Any) -> Iterator[None]:
    """The model's own forward for a while: SFTTrainer's patched one gives no logits."""
    own = vars(model.get_base_model())
    patched = own.pop("forward", None)
    try:
        yield
    finally:
        if patched is not None:
            own["forward"] = patched


def undo_patches(model: Any) -> None:
    """SFTTrainer replaces the model's forward for good; GRPO and generation want the model's own."""
    vars(model.get_base_model()).pop("forward", None)
