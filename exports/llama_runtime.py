"""Answers of GGUF files, by llama.cpp on the CPU. For child processes only: llama_cpp is imported late.

The low-level interface is used because it decodes many sequences at once and takes tokens as they are.
"""

from __future__ import annotations

import ctypes
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.engine.problems import EngineError, Stopper, never

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.engine.generation import Answer, OnBatch, Sampling

    Logits = NDArray[np.float32]

log = logging.getLogger(__name__)
# Tokens read at once. Log-probabilities need the logits of each: fewer, so that they fit into memory.
READ_AT_ONCE, SCORED_AT_ONCE = 512, 64
ERROR_LEVEL = 4
Messages = list[dict[str, str]]


@dataclass
class Row:
    """One answer while it grows. `ids` ends with the end token, if it came to one."""

    prompt: list[int]
    ids: list[int] = field(default_factory=list)
    seconds: float = 0.0
    cut_off: bool = True


class LlamaModel:
    """A loaded GGUF file: an evaluation.answerers.Answerer that also gives log-probabilities. Raises EngineError."""

    def __init__(self, file: Path) -> None:
        import llama_cpp

        self.library: Any = llama_cpp
        _quiet(llama_cpp)
        options = llama_cpp.llama_model_default_params()
        options.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(str(file).encode(), options)
        if not self.model:
            raise EngineError(f"llama.cpp can't load {file.name}.", "Delete this export and make it again.")
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self.chat_template = self._metadata("tokenizer.chat_template")

    def close(self) -> None:
        if self.model:
            self.library.llama_model_free(self.model)
            self.model = None

    @property
    def context(self) -> int | None:
        return int(self.library.llama_model_n_ctx_train(self.model)) or None

    # Text and tokens

    def render(self, messages: Messages) -> str:
        from training.engine import prompting

        return prompting.render(self, messages)  # type: ignore[arg-type]

    def apply_chat_template(self, messages: Messages, **_: Any) -> str:
        """As a tokenizer of transformers does it, which prompting.render expects."""
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        library, vocab = self.library, self.vocab
        texts = [self._token_text(token(vocab)) for token in (library.llama_vocab_bos, library.llama_vocab_eos)]
        made = Jinja2ChatFormatter(self.chat_template, bos_token=texts[0], eos_token=texts[1])
        return str(made(messages=messages).prompt)  # type: ignore[arg-type]

    def encode(self, text: str) -> list[int]:
        """By the rule of training.engine.prompting.encode: a chat template has written its special tokens, the begin
        token as well; plain text gets them here."""
        content, add_special = text.encode(), not self.chat_template
        room = len(content) + 8
        found = (self.library.llama_token * room)()
        count = self.library.llama_tokenize(self.vocab, content, len(content), found, room, add_special, True)
        if count < 0:
            raise EngineError("llama.cpp can't read this prompt.", "Shorten it.")
        return list(found[:count])

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        tokens = (self.library.llama_token * len(ids))(*ids)
        room = 64 + 16 * len(ids)
        while True:
            text = ctypes.create_string_buffer(room)
            size = self.library.llama_detokenize(
                self.vocab, tokens, len(ids), text, room, skip_special_tokens, not skip_special_tokens
            )
            if size >= 0:
                return text.raw[:size].decode(errors="replace")
            room = -size

    def _token_text(self, token: int) -> str:
        return str(self.library.llama_vocab_get_text(self.vocab, token).decode()) if token >= 0 else ""

    def _metadata(self, key: str) -> str:
        size = self.library.llama_model_meta_val_str(self.model, key.encode(), None, 0)
        if size < 0:
            return ""
        text = ctypes.create_string_buffer(size + 1)
        self.library.llama_model_meta_val_str(self.model, key.encode(), text, size + 1)
        return text.value.decode(errors="replace")

    # Answers

    def answer(
        self,
        prompts: Sequence[str],
        sampling: Sampling,
        *,
        seed: int,
        batch_size: int,
        should_stop: Callable[[], bool] = never,
        on_batch: OnBatch | None = None,
    ) -> list[Answer]:
        encoded = [self.encode(prompt) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda index: len(encoded[index]))
        answers: dict[int, Answer] = {}
        draw = np.random.default_rng(seed)
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            rows = self.complete([encoded[place] for place in places], sampling, draw, Stopper(should_stop))
            found = [self._answer(row) for row in rows]
            answers.update(zip(places, found, strict=True))
            if on_batch:
                on_batch(places, found)
        return [answers[place] for place in range(len(prompts))]

    def stream(
        self,
        prompt: str,
        sampling: Sampling,
        *,
        seed: int,
        stops: Sequence[str] = (),
        should_stop: Callable[[], bool] = never,
        on_text: Callable[[str], None],
    ) -> Answer:
        from training.engine.generation import Answer, Telling

        telling = Telling(self, on_text, stops)
        draw = np.random.default_rng(seed)
        (row,) = self.complete([self.encode(prompt)], sampling, draw, Stopper(should_stop), telling)
        text, stopped = telling.until_stop(telling.decoded(row.ids))
        return Answer(text, len(row.ids), row.seconds, row.cut_off and not stopped)

    def _answer(self, row: Row) -> Answer:
        from training.engine.generation import Answer

        return Answer(self.decode(row.ids), len(row.ids), row.seconds, row.cut_off)

    def complete(
        self,
        prompts: list[list[int]],
        sampling: Sampling,
        draw: np.random.Generator,
        stopper: Stopper,
        on_token: Callable[[list[int]], bool] | None = None,
    ) -> list[Row]:
        """All at once, each as a sequence of its own. `on_token` is for one alone. Raises StopRequested."""
        rows = [Row(prompt) for prompt in prompts]
        began = time.perf_counter()
        longest = max(map(len, prompts)) + sampling.max_new_tokens
        with self._decoder(longest, len(rows)) as decoder:
            fresh = self._read(decoder, rows, stopper)
            for _ in range(sampling.max_new_tokens):
                stopper.check()
                for number, logits in fresh.items():
                    self._take(rows[number], chosen(logits, rows[number], sampling, draw), began)
                growing = [number for number in fresh if rows[number].cut_off]
                if not growing or (on_token and on_token(rows[0].ids)):
                    break
                step = [(number, rows[number].ids[-1], self._position(rows[number])) for number in growing]
                fresh = dict(zip(growing, decoder.read(step, range(len(step))), strict=True))
        return rows

    def _read(self, decoder: Decoder, rows: list[Row], stopper: Stopper) -> dict[int, Logits]:
        """The logits after each prompt."""
        found = {}
        for number, row in enumerate(rows):
            for start in range(0, len(row.prompt), READ_AT_ONCE):
                stopper.check()
                part = row.prompt[start : start + READ_AT_ONCE]
                step = [(number, token, start + place) for place, token in enumerate(part)]
                found[number] = decoder.read(step, [len(step) - 1])[0]
        return found

    def _take(self, row: Row, token: int, began: float) -> None:
        row.ids.append(token)
        row.seconds = time.perf_counter() - began
        row.cut_off = not self.library.llama_vocab_is_eog(self.vocab, token)

    def _position(self, row: Row) -> int:
        return len(row.prompt) + len(row.ids) - 1

    def log_probabilities(self, prompt: list[int], answer: list[int]) -> list[float]:
        """Of each token of `answer`, read after `prompt` and those before it."""
        tokens = list(enumerate([*prompt, *answer][:-1]))
        first = len(prompt) - 1
        found: list[float] = []
        with self._decoder(len(tokens) + 1, 1) as decoder:
            for part in parts(tokens[:first], READ_AT_ONCE):
                decoder.read([(0, token, position) for position, token in part], [])
            for part in parts(tokens[first:], SCORED_AT_ONCE):
                rows = decoder.read([(0, token, position) for position, token in part], range(len(part)))
                expected = answer[len(found) :]
                found += [log_probability(logits, token) for logits, token in zip(rows, expected, strict=False)]
        return found

    @contextmanager
    def _decoder(self, length: int, rows: int) -> Iterator[Decoder]:
        decoder = Decoder(self, length, rows)
        try:
            yield decoder
        finally:
            decoder.close()


class Decoder:
    """llama.cpp's context: the memory of some sequences of at most `length` tokens each."""

    def __init__(self, model: LlamaModel, length: int, rows: int) -> None:
        self.library, self.vocabulary = model.library, model.vocabulary
        options = self.library.llama_context_default_params()
        options.n_ctx, options.n_seq_max = length * rows, rows
        options.n_batch = options.n_ubatch = max(READ_AT_ONCE, rows)
        options.n_threads = options.n_threads_batch = threads()
        options.no_perf = True
        self.context = self.library.llama_init_from_model(model.model, options)
        if not self.context:
            raise EngineError("llama.cpp has no memory for these prompts.", "Ask for fewer tokens.")
        self.batch = self.library.llama_batch_init(options.n_batch, 0, 1)

    def close(self) -> None:
        self.library.llama_batch_free(self.batch)
        self.library.llama_free(self.context)

    def read(self, tokens: Sequence[tuple[int, int, int]], wanted: Sequence[int]) -> list[Logits]:
        """Reads (sequence, token, position) each; returns the logits (vocabulary,) after those at places `wanted`."""
        batch, outputs = self.batch, set(wanted)
        batch.n_tokens = len(tokens)
        for place, (sequence, token, position) in enumerate(tokens):
            batch.token[place], batch.pos[place] = token, position
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, sequence
            batch.logits[place] = place in outputs
        if status := self.library.llama_decode(self.context, batch):
            raise EngineError(f"llama.cpp could not read the prompt (status {status}).", "Ask for fewer tokens.")
        return [self._logits(place) for place in wanted]

    def _logits(self, place: int) -> Logits:
        pointer = self.library.llama_get_logits_ith(self.context, place)
        logits: Logits = np.ctypeslib.as_array(pointer, shape=(self.vocabulary,)).copy()
        if not np.isfinite(logits).all():
            raise EngineError("The file's output is not a number.", "Choose a larger format.")
        return logits


def threads() -> int:
    """As torch's. They spin while they wait for each other: on a machine that does other work, more is slower."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() and int(said) else os.cpu_count() or 1


def parts(tokens: list[tuple[int, int]], size: int) -> list[list[tuple[int, int]]]:
    return [tokens[start : start + size] for start in range(0, len(tokens), size)]


def log_probability(logits: Logits, token: int) -> float:
    shifted = logits.astype(np.float64) - logits.max()
    return float(shifted[token] - np.log(np.exp(shifted).sum()))


def chosen(logits: Logits, row: Row, sampling: Sampling, draw: np.random.Generator) -> int:
    """By the rules of training.engine.generation.sample."""
    if sampling.repetition_penalty != 1:
        logits = penalised(logits, row, sampling.repetition_penalty)
    if sampling.temperature == 0:
        return int(logits.argmax())
    order = np.argsort(-logits, kind="stable")[: sampling.top_k or None]
    scores = logits[order].astype(np.float64) / sampling.temperature
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    before = np.cumsum(shares) - shares
    kept = (before < sampling.top_p) & (shares >= sampling.min_p * shares[0])
    kept[0] = True
    shares = np.where(kept, shares, 0)
    return int(order[draw.choice(len(order), p=shares / shares.sum())])


def penalised(logits: Logits, row: Row, penalty: float) -> Logits:
    said = np.unique(np.array([*row.prompt, *row.ids]))
    logits[said] = np.where(logits[said] < 0, logits[said] * penalty, logits[said] / penalty)
    return logits


def try_out(file: Path) -> None:
    """A file counts as made when it has answered. Raises EngineError."""
    from training.engine.generation import Sampling

    model = LlamaModel(file)
    try:
        asked = model.encode(model.render([{"role": "user", "content": "What is 2 + 3?"}]))
        model.complete([asked], Sampling(4), np.random.default_rng(0), Stopper(never))
    finally:
        model.close()


_heard: list[Any] = []


def _quiet(library: Any) -> None:
    """Errors go to our log; the rest of what llama.cpp says, which is a lot, goes nowhere."""
    if _heard:
        return

    @library.llama_log_callback
    def hear(level: int, text: bytes, _: Any) -> None:
        if level == ERROR_LEVEL:
            log.error("llama.cpp: %s", text.decode(errors="replace").strip())

    # The library keeps a pointer to it.
    _heard.append(hear)
    library.llama_log_set(hear, None)
