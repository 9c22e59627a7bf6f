"""Answers to prompts, many at once: for rollouts, for held-out questions and for trying a model.

On a CPU our own loop (decoder.py) serves the models it knows; `model.generate` serves everything else and all CUDA
models. Both stop within a token when `should_stop` says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training.engine.decoder import Decoder, Sequences
from training.engine.problems import Stopper, StopRequested, never, not_a_number
from training.engine.prompting import encode

OnBatch = Callable[[list[int], "list[Answer]"], None]
# Gets the tokens of an answer so far, after each one; True ends it.
OnToken = Callable[[list[int]], bool]
TELL_SECONDS = 0.1


@dataclass(frozen=True)
class Answer:
    """`tokens` counts the end-of-answer token; `seconds` is from the start of its batch; `cut_off` says that the
    answer did not end by itself."""

    text: str
    tokens: int
    seconds: float
    cut_off: bool


@dataclass(frozen=True)
class Sampling:
    """`temperature` 0 takes the likeliest token; `top_k` 0 samples from all, `min_p` 0 leaves out none, and a
    `repetition_penalty` of 1 is none."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0


@dataclass
class Completion:
    ids: list[int]
    seconds: float
    cut_off: bool


class Generator:
    """Generates with `model` as it is at the time of each call; `refresh` after its weights have changed."""

    model: Any

    def __init__(self, model: nn.Module, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.ends = end_tokens(model, tokenizer)
        self.decoder = Decoder.of(model)

    @property
    def engine(self) -> str:
        return "own loop" if self.decoder else "model.generate"

    def refresh(self) -> None:
        if self.decoder:
            self.decoder.refresh(self.model)

    def complete(
        self,
        prompts: list[list[int]],
        copies: int,
        sampling: Sampling,
        stopper: Stopper,
        on_token: OnToken | None = None,
    ) -> list[Completion]:
        """`copies` completions of each prompt, those of one prompt next to each other. `on_token` is for one alone."""
        if self.decoder:
            return own_loop(self.decoder, prompts, copies, sampling, self.ends, stopper, on_token)
        return by_transformers(self, prompts, copies, sampling, stopper, on_token)


def generate(
    model: nn.Module,
    tokenizer: Any,
    prompts: list[str],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    batch_size: int = 32,
    should_stop: Callable[[], bool] = never,
    on_batch: OnBatch | None = None,
) -> list[Answer]:
    """One answer a prompt (a rendered text), in the order of the prompts. `on_batch` gets the indexes and answers of
    each finished batch. Raises StopRequested."""
    generator = Generator(model, tokenizer)
    sampling = Sampling(max_new_tokens, temperature, top_p, top_k)
    with seeded(seed):
        return answer_all(generator, prompts, sampling, batch_size, Stopper(should_stop), on_batch)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What is drawn inside depends on `seed` alone, and changes nothing outside."""
    with torch.random.fork_rng(devices=cuda_devices()):
        torch.manual_seed(seed)
        yield


def cuda_devices() -> list[int]:
    return list(range(torch.cuda.device_count()))


def answer_all(
    generator: Generator,
    prompts: list[str],
    sampling: Sampling,
    batch_size: int,
    stopper: Stopper,
    on_batch: OnBatch | None = None,
) -> list[Answer]:
    encoded = [encode(generator.tokenizer, prompt) for prompt in prompts]
    # Prompts of like length share a batch, so that little of it is padding.
    order = sorted(range(len(prompts)), key=lambda index: len(encoded[index]))
    answers: dict[int, Answer] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        done = generator.complete([encoded[index] for index in batch], 1, sampling, stopper)
        texts = generator.tokenizer.batch_decode([each.ids for each in done], skip_special_tokens=True)
        found = [
            Answer(text, len(each.ids), each.seconds, each.cut_off) for text, each in zip(texts, done, strict=True)
        ]
        answers.update(zip(batch, found, strict=True))
        if on_batch:
            on_batch(batch, found)
    return [answers[index] for index in range(len(prompts))]


def stream(
    generator: Generator,
    prompt: str,
    sampling: Sampling,
    stopper: Stopper,
    on_text: Callable[[str], None],
    stops: Sequence[str] = (),
) -> Answer:
    """One answer. `on_text` gets what there is of it some times a second; it ends before the first of `stops`, too.
    Raises StopRequested."""
    telling = Telling(generator.tokenizer, on_text, stops)
    (done,) = generator.complete([encode(generator.tokenizer, prompt)], 1, sampling, stopper, telling)
    text, stopped = telling.until_stop(telling.decoded(done.ids))
    return Answer(text, len(done.ids), done.seconds, done.cut_off and not stopped)


class Telling:
    """Called after each token of an answer that is told while it grows."""

    def __init__(self, tokenizer: Any, on_text: Callable[[str], None], stops: Sequence[str]) -> None:
        self.tokenizer, self.on_text, self.stops = tokenizer, on_text, [stop for stop in stops if stop]
        # A character takes four tokens at most.
        self.tail = 4 * max(map(len, self.stops), default=0) + 4
        self.told_at = 0.0

    def __call__(self, ids: list[int]) -> bool:
        if self.stops and self.until_stop(self.decoded(ids[-self.tail :]))[1]:
            return True
        now = time.monotonic()
        if now - self.told_at >= TELL_SECONDS:
            self.told_at = now
            self.on_text(self.complete_part(self.decoded(ids)))
        return False

    def decoded(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def until_stop(self, text: str) -> tuple[str, bool]:
        places = [text.find(stop) for stop in self.stops if stop in text]
        return (text[: min(places)], True) if places else (text, False)

    def complete_part(self, text: str) -> str:
        """Without a character of which only some bytes are there, and without what may become a stop."""
        text = text.rstrip("\ufffd")
        begun = (size for stop in self.stops for size in range(1, len(stop)) if text.endswith(stop[:size]))
        return text[: len(text) - max(begun, default=0)]


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    configured = getattr(model, "generation_config", None)
    declared = getattr(configured, "eos_token_id", None)
    ids = declared if isinstance(declared, list) else [declared]
    return {token for token in [*ids, tokenizer.eos_token_id] if token is not None}


@torch.no_grad()
def own_loop(
    decoder: Decoder,
    prompts: list[list[int]],
    copies: int,
    sampling: Sampling,
    ends: set[int],
    stopper: Stopper,
    on_token: OnToken | None = None,
) -> list[Completion]:
    began = time.perf_counter()
    unique, owner = distinct(prompts, copies)
    stopper.check()
    state, logits = decoder.prefill(unique, owner, sampling.max_new_tokens)
    # Once a call: what is not a number stays one, and would be drawn from as if nothing were wrong.
    if not logits.isfinite().all():
        raise not_a_number("The model's output is")
    rows = list(range(len(owner)))
    done = [Completion([], 0.0, True) for _ in rows]
    alive = torch.ones(len(rows), dtype=torch.bool)
    said = Said.of(unique, owner, logits.shape[-1]) if sampling.repetition_penalty != 1 else None
    for _ in range(sampling.max_new_tokens):
        stopper.check()
        if said:
            logits = said.penalised(logits, rows, sampling.repetition_penalty)
        tokens = sample(logits, sampling)
        if said:
            said.add(rows, tokens)
        seconds = time.perf_counter() - began
        for place, token in enumerate(tokens.tolist()):
            if alive[place]:
                add(done[rows[place]], token, seconds, ends)
                alive[place] = token not in ends
        if not alive.any() or (on_token and on_token(done[0].ids)):
            break
        state, tokens, rows, alive = without_finished(state, tokens, rows, alive)
        logits = decoder.step(state, tokens)
    return done


@dataclass
class Said:
    """Which tokens occur in prompt and answer of each completion: (completions, vocabulary)."""

    tokens: Tensor

    @classmethod
    def of(cls, prompts: list[list[int]], owner: list[int], vocabulary: int) -> Said:
        said = torch.zeros(len(prompts), vocabulary, dtype=torch.bool)
        for row, prompt in zip(said, prompts, strict=True):
            row[torch.tensor(prompt)] = True
        return cls(said[torch.tensor(owner)])

    def penalised(self, logits: Tensor, rows: list[int], penalty: float) -> Tensor:
        """transformers' rule: what was said already has its logit divided, or multiplied where it is negative."""
        logits = logits.float()
        less = torch.where(logits < 0, logits * penalty, logits / penalty)
        return torch.where(self.tokens[rows], less, logits)

    def add(self, rows: list[int], tokens: Tensor) -> None:
        self.tokens[rows, tokens] = True


def distinct(prompts: list[list[int]], copies: int) -> tuple[list[list[int]], list[int]]:
    """The different prompts, and for each completion the index of its prompt among them."""
    places: dict[tuple[int, ...], int] = {}
    owner = [places.setdefault(tuple(prompt), len(places)) for prompt in prompts]
    return [list(prompt) for prompt in places], [place for place in owner for _ in range(copies)]


def add(completion: Completion, token: int, seconds: float, ends: set[int]) -> None:
    completion.ids.append(token)
    completion.seconds = seconds
    completion.cut_off = token not in ends


def without_finished(
    state: Sequences, tokens: Tensor, rows: list[int], alive: Tensor
) -> tuple[Sequences, Tensor, list[int], Tensor]:
    """Drops finished rows once they are a quarter of the batch: dropping copies the cache, so not for each."""
    if int(alive.sum()) > 0.75 * len(rows):
        return state, tokens, rows, alive
    kept = alive.nonzero()[:, 0]
    left = [rows[place] for place in kept.tolist()]
    return state.keep(kept), tokens[kept], left, torch.ones(len(left), dtype=torch.bool)


def sample(logits: Tensor, sampling: Sampling) -> Tensor:
    """One token a row, (rows, vocabulary) -> (rows,), by transformers' rules for temperature, top-k, top-p, min-p."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    scores = logits.float() / sampling.temperature
    if sampling.top_k and sampling.top_k < scores.shape[-1]:
        scores, candidates = scores.topk(sampling.top_k, dim=-1)
        chosen = nucleus(likely(scores.softmax(-1), sampling.min_p), sampling.top_p)
        return candidates.gather(1, chosen[:, None])[:, 0]
    return nucleus(likely(scores.softmax(-1), sampling.min_p), sampling.top_p)


def likely(probabilities: Tensor, min_p: float) -> Tensor:
    """0 for what is less likely than `min_p` times the likeliest. Not scaled up again: top-p comes before min-p, and
    looks at the sum of what is likelier than a token, which stays as it was."""
    if not min_p:
        return probabilities
    return probabilities.where(probabilities >= min_p * probabilities.amax(-1, keepdim=True), 0)


def nucleus(probabilities: Tensor, top_p: float, attempts: int = 8) -> Tensor:
    """Samples among the likeliest tokens that add up to `top_p`, mostly without sorting: draw from all, and draw again
    where the tokens likelier than the drawn one already add up to `top_p`."""
    tokens = draw(probabilities)
    if top_p >= 1:
        return tokens
    open_rows = rejected(probabilities, tokens, top_p)
    for _ in range(attempts):
        if not len(open_rows):
            return tokens
        again = probabilities[open_rows]
        drawn = draw(again)
        tokens[open_rows] = drawn
        open_rows = open_rows[rejected(again, drawn, top_p)]
    for row in open_rows.tolist():
        tokens[row] = sorted_nucleus(probabilities[row], top_p)
    return tokens


def draw(probabilities: Tensor) -> Tensor:
    """By the inverse of the cumulated distribution: torch.multinomial draws an exponential for every token of the
    vocabulary, an eighth of a whole decoding step."""
    cumulated = probabilities.cumsum(-1)
    wanted = torch.rand(len(probabilities), 1) * cumulated[:, -1:]
    return torch.searchsorted(cumulated, wanted).clamp(max=probabilities.shape[-1] - 1)[:, 0]


def rejected(probabilities: Tensor, tokens: Tensor, top_p: float) -> Tensor:
    own = probabilities.gather(1, tokens[:, None])
    likelier = torch.where(probabilities > own, probabilities, 0).sum(-1)
    return (likelier >= top_p).nonzero()[:, 0]


def sorted_nucleus(probabilities: Tensor, top_p: float) -> int:
    ordered, tokens = probabilities.sort(descending=True)
    kept = ordered.where(ordered.cumsum(0) - ordered < top_p, 0)
    return int(tokens[draw(kept[None])[0]])


def by_transformers(
    generator: Generator,
    prompts: list[list[int]],
    copies: int,
    sampling: Sampling,
    stopper: Stopper,
    on_token: OnToken | None = None,
) -> list[Completion]:
    began = time.perf_counter()
    model, tokenizer = generator.model, generator.tokenizer
    batch = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt").to(device_of(model))
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            output = model.generate(
                **batch,
                **decoding_options(sampling),
                num_return_sequences=copies,
                eos_token_id=sorted(generator.ends),
                pad_token_id=tokenizer.pad_token_id,
                stopping_criteria=[Stopping(stopper, batch["input_ids"].shape[1], on_token)],
            )
    finally:
        model.train(was_training)
    stopper.check()
    seconds = time.perf_counter() - began
    width = batch["input_ids"].shape[1]
    return [cut_at_end(ids, generator.ends, seconds) for ids in output[:, width:].tolist()]


def decoding_options(sampling: Sampling) -> dict[str, Any]:
    always = {"max_new_tokens": sampling.max_new_tokens, "repetition_penalty": sampling.repetition_penalty}
    if sampling.temperature == 0:
        return {**always, "do_sample": False, "temperature": None, "top_p": None, "top_k": None, "min_p": None}
    return {
        **always,
        "do_sample": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p or None,
    }


def cut_at_end(ids: Iterable[int], ends: set[int], seconds: float) -> Completion:
    completion = Completion([], seconds, True)
    for token in ids:
        add(completion, token, seconds, ends)
        if token in ends:
            break
    return completion


class Stopping:
    """A stopping criterion of transformers that ends every row at once. `width`: tokens of the prompts."""

    def __init__(self, stopper: Stopper, width: int, on_token: OnToken | None) -> None:
        self.stopper, self.width, self.on_token = stopper, width, on_token

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        ended = self.on_token is not None and self.on_token(input_ids[0, self.width :].tolist())
        return torch.full((len(input_ids),), ended or self.stopper.stopping, device=input_ids.device)


def device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


__all__ = ["Answer", "Completion", "Generator", "Sampling", "StopRequested", "generate"]
