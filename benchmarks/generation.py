"""Generation: tokens a second of the engine's loop and of model.generate.

The starter model, greedy, the same prompts for both, one after the other in the same process. Both make the same number
of tokens: the end token is taken away.
"""

import time
from typing import Any

NEW_TOKENS = 48
ROWS = (1, 8, 32)
QUESTION = "What is {a} plus {b}? Explain each step before you give the answer."


def run() -> list[dict[str, Any]]:
    import torch

    from benchmarks.models import starter_model

    model, tokenizer = starter_model()
    endless(model, tokenizer)
    rows = []
    for count in ROWS:
        prompts = [QUESTION.format(a=number, b=number + 3) for number in range(10, 10 + count)]
        with torch.inference_mode():
            plain = measured(lambda prompts=prompts: by_transformers(model, tokenizer, prompts))
        ours = measured(lambda prompts=prompts: by_engine(model, tokenizer, prompts))
        rows.append(
            {
                "rows at once": count,
                "model.generate, tokens/s": plain,
                "engine, tokens/s": ours,
                "times faster": ours / plain,
            }
        )
    return rows


def measured(generate: Any) -> float:
    """Tokens a second of the second run: the first one warms up."""
    generate()
    began = time.perf_counter()
    tokens = generate()
    return float(tokens / (time.perf_counter() - began))


def endless(model: Any, tokenizer: Any) -> None:
    model.generation_config.eos_token_id = None
    tokenizer.eos_token = None


def by_transformers(model: Any, tokenizer: Any, prompts: list[str]) -> int:
    encoded = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
    out = model.generate(**encoded, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False)
    return int((out.shape[1] - encoded["input_ids"].shape[1]) * len(prompts))


def by_engine(model: Any, tokenizer: Any, prompts: list[str]) -> int:
    from training.engine.generation import generate

    answers = generate(model, tokenizer, prompts, max_new_tokens=NEW_TOKENS, batch_size=len(prompts))
    return sum(answer.tokens for answer in answers)
