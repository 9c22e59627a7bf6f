"""Public datasets of the hub that are a good start, with what is known of them before the hub is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MB = 1_000_000

CATEGORIES = {"math": "Math", "coding": "Coding", "general": "General", "qa": "Q&A"}


@dataclass(frozen=True)
class PublicSet:
    """`rows` and `bytes` are those of the default split and config, as they were when this was written; the page of the
    hub has what is true now. `first`: how many rows are imported unless another number is asked for, None for all."""

    key: str
    name: str
    repo: str
    category: str
    about: str
    rows: int
    bytes: int
    licence: str
    mapping: dict[str, Any]
    config: str = ""
    configs: tuple[str, ...] = ()
    split: str = "train"
    splits: tuple[str, ...] = ()
    first: int | None = None
    note: str = ""
    tags: tuple[str, ...] = field(default=())

    @property
    def category_name(self) -> str:
        return CATEGORIES[self.category]


SETS = (
    PublicSet(
        key="gsm8k",
        name="GSM8K",
        repo="openai/gsm8k",
        category="math",
        about="Grade school word problems with worked solutions. The final number stands after ####.",
        rows=7473,
        bytes=round(2.3 * MB),
        licence="mit",
        config="main",
        configs=("main", "socratic"),
        split="train+test",
        splits=("train", "test"),
        mapping={"instruction": "question", "response": "answer", "rule": "after_hashes"},
        tags=("word problems", "arithmetic", "grpo"),
    ),
    PublicSet(
        key="openmath-reasoning",
        name="OpenMath Reasoning",
        repo="nvidia/OpenMathReasoning",
        category="math",
        about="Competition problems with long chains of thought. Each comes with its expected answer.",
        rows=3_201_061,
        bytes=31_000 * MB,
        licence="cc-by-4.0",
        split="cot",
        splits=("cot", "tir", "genselect", "additional_problems"),
        first=100_000,
        mapping={"instruction": "problem", "response": "generated_solution", "rule": "boxed"},
        note="Very large: only the files that the asked number of rows needs are downloaded.",
        tags=("competition", "reasoning", "chain of thought"),
    ),
    PublicSet(
        key="orca-math",
        name="Orca Math",
        repo="microsoft/orca-math-word-problems-200k",
        category="math",
        about="Word problems of grade school with explained answers, written by a model.",
        rows=200_035,
        bytes=84 * MB,
        licence="mit",
        mapping={"instruction": "question", "response": "answer", "rule": "whole"},
        tags=("word problems", "synthetic"),
    ),
    PublicSet(
        key="code-alpaca",
        name="Code Alpaca",
        repo="sahil2801/CodeAlpaca-20k",
        category="coding",
        about="Programming tasks with solutions, many of them with an input that belongs to the task.",
        rows=20_022,
        bytes=8 * MB,
        licence="cc-by-4.0",
        mapping={"instruction": "instruction", "input": "input", "response": "output", "rule": "whole"},
        tags=("python", "programming", "instructions"),
    ),
    PublicSet(
        key="alpaca",
        name="Alpaca",
        repo="tatsu-lab/alpaca",
        category="general",
        about="Instructions of every kind with answers of a large model. About 40 % have an input beside the task.",
        rows=52_002,
        bytes=24 * MB,
        licence="cc-by-nc-4.0",
        mapping={"instruction": "instruction", "input": "input", "response": "output", "rule": "whole"},
        note="Its licence does not allow commercial use.",
        tags=("instructions",),
    ),
    PublicSet(
        key="dolly",
        name="Dolly 15k",
        repo="databricks/databricks-dolly-15k",
        category="general",
        about="Instructions and answers written by people: writing, sorting, summing up, questions about a text.",
        rows=15_011,
        bytes=13 * MB,
        licence="cc-by-sa-3.0",
        mapping={"instruction": "instruction", "input": "context", "response": "response", "rule": "whole"},
        tags=("instructions", "human"),
    ),
    PublicSet(
        key="squad-v2",
        name="SQuAD v2",
        repo="rajpurkar/squad_v2",
        category="qa",
        about="Questions about paragraphs of Wikipedia; the answer is a piece of the paragraph.",
        rows=130_319,
        bytes=16 * MB,
        licence="cc-by-sa-4.0",
        splits=("train", "validation"),
        mapping={"instruction": "question", "input": "context", "response": "answers.text[0]", "rule": "whole"},
        note="A third of the questions has no answer in its paragraph. Those rows are left out of training.",
        tags=("reading", "wikipedia"),
    ),
)
BY_KEY = {item.key: item for item in SETS}


def matching(category: str = "", search: str = "") -> list[PublicSet]:
    """Those of a category ("" for all) in whose words every word of the search occurs."""
    words = search.lower().split()
    return [item for item in SETS if category in ("", item.category) and all(word in text_of(item) for word in words)]


def text_of(item: PublicSet) -> str:
    return " ".join((item.name, item.repo, item.about, item.licence, item.category_name, *item.tags)).lower()
