"""How close in meaning is the answer to the reference? By an embedding model of this machine, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal

from pydantic import Field

from loracraft.numbers import thousands
from rewards.functions.similarity import answers, reference_text
from rewards.registry import Example, Parameters, RewardError, Sample, Score, Verdict, batch_reward_function

PACKAGE = "sentence_transformers"
LONGEST_TEXT = 20_000
# 32-bit vectors of the same text differ by this much.
ROUNDING = 1e-6


class EmbeddingSimilarity(Parameters):
    model: str = Field(
        "sentence-transformers/all-MiniLM-L6-v2",
        min_length=1,
        max_length=500,
        title="Model",
        description="A folder, or a model that this machine has downloaded. Nothing is fetched while scoring.",
    )
    pass_threshold: float = Field(
        0.0, ge=0, le=1, title="Passes from", description="1 from this similarity on, else 0. At 0 it is the score."
    )
    look_in: Literal["auto", "markers", "text"] = Field(
        "auto", title="Look in", description="auto: the solution markers, else the text; the others: only there."
    )

    def decides(self) -> bool:
        return self.pass_threshold > 0


def unavailable() -> str:
    if find_spec(PACKAGE) is None:
        return "It needs the package sentence-transformers: pip install sentence-transformers."
    return ""


@lru_cache(maxsize=2)
def encoder(model: str) -> Any:
    """Raises RewardError if the model is not on this machine."""
    if why := unavailable():
        raise RewardError(why)
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(model, device="cpu", local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise RewardError(f"The embedding model {model!r} can't be loaded from this machine: {error}"[:300]) from None


def one(sample: Sample, parameters: EmbeddingSimilarity) -> Score:
    (verdict,) = embedding_similarity([sample], parameters)
    if isinstance(verdict, RewardError):
        raise verdict
    return verdict


@batch_reward_function(
    title="Similar in meaning",
    category="Answer",
    parameters=EmbeddingSimilarity,
    grades_content=True,
    needs_reference=True,
    unavailable=unavailable,
    score=one,
    examples=(
        Example(Sample("What did the cat do?", "It slept.", "It slept."), 1.0),
        Example(Sample("What did the cat do?", "", "It slept."), 0.0),
    ),
)
def embedding_similarity(samples: Sequence[Sample], parameters: EmbeddingSimilarity) -> list[Verdict]:
    """Cosine of the embeddings of answer and reference, 0 where it is negative. It hardly sees a "not"."""
    pairs = [_pair(sample, parameters) for sample in samples]
    texts = sorted({text for pair in pairs if isinstance(pair, tuple) for text in (pair[0], *pair[1])})
    vectors = _vectors(texts, parameters.model) if texts else {}
    return [_verdict(pair, vectors, parameters) for pair in pairs]


def _pair(sample: Sample, parameters: EmbeddingSimilarity) -> tuple[str, list[str]] | Verdict:
    """(the reference, every answer), or what there is to say without comparing them."""
    try:
        reference, pieces = reference_text(sample).strip(), answers(sample, parameters.look_in)
    except RewardError as error:
        return error
    if not pieces or not all(piece.strip() for piece in pieces):
        return Score(0.0, "There is no answer.")
    if longest := max((text for text in (reference, *pieces) if len(text) > LONGEST_TEXT), key=len, default=""):
        return RewardError(
            f"A text has {thousands(len(longest))} characters; at most {thousands(LONGEST_TEXT)} are embedded."
        )
    pieces = [piece.strip() for piece in pieces]
    # No model is needed to tell that a text means what it means.
    return Score(1.0, "The reference itself.") if set(pieces) == {reference} else (reference, pieces)


def _vectors(texts: list[str], model: str) -> dict[str, Any]:
    found = encoder(model).encode(texts, normalize_embeddings=True, show_progress_bar=False)
    return dict(zip(texts, found, strict=True))


def _verdict(
    pair: tuple[str, list[str]] | Verdict, vectors: dict[str, Any], parameters: EmbeddingSimilarity
) -> Verdict:
    if not isinstance(pair, tuple):
        return pair
    reference, pieces = pair
    cosine = min(float(vectors[reference] @ vectors[piece]) for piece in pieces)
    value = 1.0 if cosine > 1 - ROUNDING else max(cosine, 0.0)
    if parameters.pass_threshold:
        passed = value >= parameters.pass_threshold
        return Score(float(passed), f"Cosine {cosine:.3f}; passes from {parameters.pass_threshold:g}.")
    return Score(value, f"Cosine {cosine:.3f}.")
