"""Generation: tokens a second of the engine against those of transformers

The starter model, greedy, the same prompts for all, one after the other in the same process.

First, the two loops: so many prompts in one batch, and everybody makes the same number of tokens, because the end token
is taken away. Then what evaluation and batches do: held-out questions of GSM8K, of all lengths, whose answers end where
the model ends them. The plain loop calls model.generate for one prompt after the other; the pipeline is transformers'
own for text generation, with batches as large as the engine's.
"""

import json
import time
from pathlib import Path
from typing import Any

NEW_TOKENS = 48
ROWS = (1, 8, 32)
QUESTIONS, BATCH, LONGEST = 48, 16, 96
GSM8K = Path(__file__).resolve().parents[2] / "shared" / "data" / "gsm8k" / "test.jsonl"
QUESTION = "What is {a} plus {b}? Explain each step before you give the answer."


def run() -> list[dict[str, Any]]:
    from benchmarks.models import starter_model

    model, tokenizer = starter_model()
    found = evaluated(model, tokenizer) if GSM8K.is_file() else []
    endless(model, tokenizer)
    return [*in_one_batch(model, tokenizer), *found]


def in_one_batch(model: Any, tokenizer: Any) -> list[dict[str, Any]]:
    rows = []
    for count in ROWS:
        prompts = [QUESTION.format(a=number, b=number + 3) for number in range(10, 10 + count)]
        plain = measured(lambda prompts=prompts: by_transformers(model, tokenizer, prompts))
        ours = measured(lambda prompts=prompts: by_engine(model, tokenizer, prompts))
        rows.append(row(f"{count} at once, against model.generate", plain, ours))
    return rows


def evaluated(model: Any, tokenizer: Any) -> list[dict[str, Any]]:
    lines = GSM8K.read_text(encoding="utf-8").splitlines()[:QUESTIONS]
    asked = [[{"role": "user", "content": json.loads(line)["question"]}] for line in lines]
    prompts = [tokenizer.apply_chat_template(each, tokenize=False, add_generation_prompt=True) for each in asked]
    ours = measured(lambda: by_engine(model, tokenizer, prompts, LONGEST, BATCH))
    about = f"{QUESTIONS} questions of GSM8K, against"
    return [
        row(f"{about} model.generate one by one", measured(lambda: one_by_one(model, tokenizer, prompts)), ours),
        row(f"{about} transformers' pipeline", measured(lambda: by_pipeline(model, tokenizer, prompts)), ours),
    ]


def row(what: str, theirs: float, ours: float) -> dict[str, Any]:
    return {"what": what, "theirs, tokens/s": theirs, "engine, tokens/s": ours, "times faster": ours / theirs}


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
    import torch

    encoded = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
    with torch.inference_mode():
        out = model.generate(**encoded, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False)
    return int((out.shape[1] - encoded["input_ids"].shape[1]) * len(prompts))


def one_by_one(model: Any, tokenizer: Any, prompts: list[str]) -> int:
    import torch

    tokens = 0
    for prompt in prompts:
        encoded = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
        with torch.inference_mode():
            out = model.generate(**encoded, max_new_tokens=LONGEST, do_sample=False)
        tokens += out.shape[1] - encoded["input_ids"].shape[1]
    return tokens


def by_pipeline(model: Any, tokenizer: Any, prompts: list[str]) -> int:
    from transformers import pipeline

    tokenizer.padding_side = "left"
    ask = pipeline("text-generation", model=model, tokenizer=tokenizer)
    made = ask(prompts, batch_size=BATCH, max_new_tokens=LONGEST, do_sample=False, return_full_text=False)
    # Without the token that ends an answer, which the others count: one of some ninety.
    return sum(len(tokenizer(each[0]["generated_text"], add_special_tokens=False)["input_ids"]) for each in made)


def by_engine(model: Any, tokenizer: Any, prompts: list[str], longest: int = NEW_TOKENS, batch: int = 0) -> int:
    from training.engine.generation import generate

    answers = generate(model, tokenizer, prompts, max_new_tokens=longest, batch_size=batch or len(prompts))
    return sum(answer.tokens for answer in answers)
