"""How close is the wording of the answer to that of the reference?

These measure words, not truth: "not" costs one word. Where an answer can be checked exactly, check it exactly.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from pydantic import Field

from loracraft.numbers import thousands
from rewards.registry import Example, Markers, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import find_answer, solutions

MARKED = Markers(solution_start="<SOLUTION>", solution_end="</SOLUTION>")
# Common subsequences take the product of both lengths.
LONGEST_TEXT = 50_000
# Languages written without spaces count by character.
UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"
WORD = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+")
LONGEST_GLEU = 4

Metric = Literal[
    "rouge_l", "rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "token_f1", "chrf", "bleu", "gleu", "fuzzy_match"
]


class TextSimilarity(Parameters):
    metric: Metric = Field(
        "rouge_l",
        title="Metric",
        description=(
            "rouge_l: longest common sequence of words. rouge_1 to rouge_5: common runs of that many words."
            " token_f1: common words. chrf: common runs of characters. bleu, gleu: as in translation."
            " fuzzy_match: edits between the texts."
        ),
    )
    pass_threshold: float = Field(
        0.0,
        ge=0,
        le=1,
        title="Passes from",
        description="1 from this similarity on, else 0. At 0 the similarity is the score.",
    )
    look_in: Literal["auto", "markers", "text"] = Field(
        "auto", title="Look in", description="auto: the solution markers, else the text; the others: only there."
    )
    ignore_case: bool = Field(True, title="Ignore case")

    def decides(self) -> bool:
        return self.pass_threshold > 0


def compared(response: str, reference: str, value: float, **parameters: object) -> Example:
    return Example(Sample("What did the cat do?", response, reference, markers=MARKED), value, parameters)


@reward_function(
    title="Similar to the reference",
    category="Answer",
    parameters=TextSimilarity,
    grades_content=True,
    needs_reference=True,
    examples=(
        compared("The cat sat on the mat.", "The cat sat on the mat.", 1.0),
        compared("The cat sat there.", "The cat sat on the mat.", 0.6),
        compared("The cat sat there.", "The cat sat on the mat.", 0.0, pass_threshold=0.8),
        compared("A dog barked loudly.", "The cat sat on the mat.", 0.0),
        compared("on the mat sat the cat", "The cat sat on the mat.", 1.0, metric="token_f1"),
        compared("<SOLUTION>it slept</SOLUTION>", "It slept.", 1.0, metric="rouge_2"),
        compared("It slept.", "It slept.", 1.0, metric="chrf"),
        compared("It slept.", "It slept.", 1.0, metric="fuzzy_match"),
        compared("", "It slept.", 0.0, metric="bleu"),
    ),
)
def text_similarity(sample: Sample, parameters: TextSimilarity) -> Score:
    """How much of the wording the answer shares with the reference, from 0 to 1."""
    reference = _prepared(reference_text(sample), parameters)
    _refuse_long("reference", reference)
    pieces = [_prepared(piece, parameters) for piece in answers(sample, parameters.look_in)]
    measured = [similarity(piece, reference, parameters.metric) for piece in pieces]
    if not measured:
        return Score(0.0, "There is no answer.")
    value = min(measured)
    said = f"{parameters.metric} {value:.3f}"
    if parameters.pass_threshold:
        return Score(float(value >= parameters.pass_threshold), f"{said}; passes from {parameters.pass_threshold:g}.")
    return Score(value, f"{said}.")


def reference_text(sample: Sample) -> str:
    if not (sample.reference or "").strip():
        raise RewardError("This row has no reference answer.")
    return sample.reference or ""


def answers(sample: Sample, look_in: Literal["auto", "markers", "text"]) -> list[str]:
    """Every solution block, else the text. An answer in prose is whole: "the answer is" marks nothing in it."""
    if look_in == "auto":
        look_in = "markers" if solutions(sample) else "text"
    return find_answer(sample, look_in).pieces


def _prepared(text: str, parameters: TextSimilarity) -> str:
    return (text.casefold() if parameters.ignore_case else text).strip()


def _refuse_long(what: str, text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise RewardError(
            f"The {what} has {thousands(len(text))} characters; a similarity is measured on at most"
            f" {thousands(LONGEST_TEXT)}."
        )


def similarity(answer: str, reference: str, metric: Metric) -> float:
    """From 0 to 1. Raises RewardError for texts that are too long, and a reference without words."""
    _refuse_long("answer", answer)
    if not answer:
        return 0.0
    if metric in BY_TEXT:
        return min(max(BY_TEXT[metric](answer, reference), 0.0), 1.0)
    words, wanted = WORD.findall(answer), WORD.findall(reference)
    if not wanted:
        raise RewardError(f"The reference {reference[:40]!r} has no words, which {metric} compares.")
    return _by_words(words, wanted, metric)


def _by_words(words: Sequence[str], wanted: Sequence[str], metric: Metric) -> float:
    if metric == "rouge_l":
        from rapidfuzz.distance import LCSseq

        return f1(LCSseq.similarity(words, wanted), len(words), len(wanted))
    if metric == "gleu":
        return gleu(words, wanted)
    size = 1 if metric == "token_f1" else int(metric.removeprefix("rouge_"))
    # A reference of fewer words is compared whole: else no answer could be right.
    return common_runs(words, wanted, min(size, len(wanted)))


def f1(common: int, given: int, wanted: int) -> float:
    """Of precision and recall."""
    return 2 * common / (given + wanted) if given + wanted else 0.0


def runs(words: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + size]) for i in range(len(words) - size + 1))


def common_runs(words: Sequence[str], wanted: Sequence[str], size: int) -> float:
    ours, theirs = runs(words, size), runs(wanted, size)
    return f1((ours & theirs).total(), ours.total(), theirs.total())


def gleu(words: Sequence[str], wanted: Sequence[str]) -> float:
    """The lower of precision and recall over runs of one to four words (Wu et al. 2016, section 4)."""
    ours, theirs = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    for size in range(1, LONGEST_GLEU + 1):
        ours += runs(words, size)
        theirs += runs(wanted, size)
    return (ours & theirs).total() / max(ours.total(), theirs.total(), 1)


def _bleu(answer: str, reference: str) -> float:
    from sacrebleu import sentence_bleu

    return float(sentence_bleu(answer, [reference], use_effective_order=True).score) / 100


def _chrf(answer: str, reference: str) -> float:
    from sacrebleu import sentence_chrf

    return float(sentence_chrf(answer, [reference]).score) / 100


def _fuzzy(answer: str, reference: str) -> float:
    from rapidfuzz import fuzz

    return float(fuzz.ratio(answer, reference)) / 100


BY_TEXT: dict[str, Callable[[str, str], float]] = {"bleu": _bleu, "chrf": _chrf, "fuzzy_match": _fuzzy}
