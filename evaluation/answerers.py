"""Loaded models that answer prompts. For child processes only: what loads them imports torch or llama.cpp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from evaluation.candidates import BASE, SESSION, Candidate
from loracraft.numbers import thousands
from training import adapters, base_models
from training.engine.problems import EngineError, Stopper, never

if TYPE_CHECKING:
    from training.engine.generation import Answer, OnBatch, Sampling

Messages = list[dict[str, str]]
# Gets the text so far.
OnText = Callable[[str], None]


class Answerer(Protocol):
    """A loaded model. `context`: tokens of prompt and answer that it was made for, None if it does not say."""

    @property
    def context(self) -> int | None: ...

    def render(self, messages: Messages) -> str:
        """The prompt as the model sees it, ending where its answer begins. A chat template may raise anything."""
        ...

    def encode(self, text: str) -> list[int]:
        """Token ids of a rendered prompt."""
        ...

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
        """One answer a rendered prompt, in their order. The same for the same arguments on the same machine. Raises
        StopRequested."""
        ...

    def stream(
        self,
        prompt: str,
        sampling: Sampling,
        *,
        seed: int,
        stops: Sequence[str] = (),
        should_stop: Callable[[], bool] = never,
        on_text: OnText,
    ) -> Answer:
        """One answer, told as it grows; it ends before the first of `stops`, too. Raises StopRequested."""
        ...


@dataclass(frozen=True)
class Loader:
    """`load` raises EngineError. `weight_bytes`: what the loaded model takes, about; 0 where nobody can tell."""

    load: Callable[[Candidate], Answerer]
    weight_bytes: Callable[[Candidate], int]


def load(candidate: Candidate) -> Answerer:
    """Raises EngineError."""
    return LOADERS[candidate.kind].load(candidate)


def weight_bytes(candidate: Candidate) -> int:
    return LOADERS[candidate.kind].weight_bytes(candidate)


def room_for(answerer: Answerer, tokens: int, wanted: int) -> int:
    """New tokens, `wanted` at most, that fit behind a prompt of `tokens`. Raises EngineError if none does."""
    context = answerer.context
    if context is None:
        return wanted
    if tokens >= context:
        raise EngineError(
            f"The prompt has {thousands(tokens)} tokens, and the model reads {thousands(context)}.",
            "Shorten it, or begin anew: what was said before is part of the prompt.",
        )
    return min(wanted, context - tokens)


def adapter_of(candidate: Candidate) -> Path | None:
    """Raises EngineError if it is gone."""
    if candidate.session is None or not candidate.adapter:
        return None
    found = adapters.named(candidate.session, candidate.adapter)
    if found is None:
        gone = candidate.adapter.rpartition("/")[2]
        raise EngineError(f"{gone} of {candidate.session.name} is gone.", "Choose another checkpoint.")
    return found


class Transformer:
    """A model that transformers has loaded, with or without an adapter."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        from training.engine.generation import Generator

        self.model, self.tokenizer = model, tokenizer
        self.generator = Generator(model, tokenizer)

    @property
    def context(self) -> int | None:
        length = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return length if isinstance(length, int) and length > 0 else None

    def render(self, messages: Messages) -> str:
        from training.engine import prompting

        return prompting.render(self.tokenizer, messages)

    def encode(self, text: str) -> list[int]:
        from training.engine import prompting

        return prompting.encode(self.tokenizer, text)

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
        from training.engine.generation import answer_all, seeded

        with seeded(seed):
            return answer_all(self.generator, list(prompts), sampling, batch_size, Stopper(should_stop), on_batch)

    def stream(
        self,
        prompt: str,
        sampling: Sampling,
        *,
        seed: int,
        stops: Sequence[str] = (),
        should_stop: Callable[[], bool] = never,
        on_text: OnText,
    ) -> Answer:
        from training.engine.generation import seeded, stream

        with seeded(seed):
            return stream(self.generator, prompt, sampling, Stopper(should_stop), on_text, stops)


def load_transformer(candidate: Candidate) -> Answerer:
    from training.engine import loading

    base = base_models.locate(candidate.base_model)
    template = candidate.config.prompt.chat_template
    return Transformer(*loading.load_for_generation(base, adapter_of(candidate), template))


def transformer_bytes(candidate: Candidate) -> int:
    """Of its files. The loop for CPUs keeps the weights a second time, fused."""
    folder = base_models.tokenizer_folder(candidate.base_model, candidate.config.model.revision)
    return 2 * sum(file.stat().st_size for file in folder.glob("*.safetensors")) if folder else 0


TRANSFORMERS = Loader(load_transformer, transformer_bytes)
# Apps above add theirs.
LOADERS: dict[str, Loader] = {BASE: TRANSFORMERS, SESSION: TRANSFORMERS}
