"""Reads every row of a version and writes its validation report. Runs in a child process of the worker.

Memory stays constant but for some 40 bytes a row. The rows are read four times: the cells of every column; the parts;
then question and answer for lengths, repetitions and overlap.
"""

from __future__ import annotations

import heapq
import json
import re
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from datasets_app import chat_rendering, checks, mapping, membership, rows, tables
from datasets_app.models import Check, DatasetVersion
from datasets_app.problems import DatasetProblem
from datasets_app.searching import as_text, is_blank
from datasets_app.statistics import Lengths, Numbers, summary
from jobs import running

# A cell longer than this is worth a look: more than any model's answer, less than a pasted book.
LONG_CELL = 20_000
TOP_VALUES = 12
MAX_DISTINCT = 2_000
SHORT_VALUE = 60
EXAMPLES = 20
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"
# Less than this share of numbers among words, or of words among numbers, is what a mixed column is.
MIXED_SHARE = 0.2

# Token lengths are taken from at most so many rows, evenly spread.
MEASURED_ROWS = 200_000
TOKEN_BATCH = 512

GRAM = 8
OVERLAP = 0.5
HELD_OUT_COMPARED = 5_000
# Words that so many held-out questions share are how the questions are put, not what they ask.
COMMON_GRAM = 10
PAIRS_SHOWN = 50
PAIR_TEXT = 1_500
WORD = re.compile(r"\w+")

Tell = Callable[[float, str], None]


def perform(check: Check) -> None:
    """Writes the report into the check's row, or what went wrong."""
    try:
        running.finish(check, report=report(check.version, check.request, running.reporter(check)))
    except running.Lost:
        return
    except DatasetProblem as problem:
        running.fail(check, problem.message)
    except FileNotFoundError:
        running.fail(check, "The rows of this version are gone from the disk. Import the file again.")


def report(version: DatasetVersion, request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    began = time.monotonic()
    found: dict[str, Any] = {"rows": version.row_count, "rejected": rejected(version)}
    found |= look_at_columns(version, lambda share: tell(0.4 * share, "Looking at every column"))
    if version.mapping:
        tell(0.4, "Working out the parts")
        found |= look_at_questions(version, request, lambda share: tell(0.5 + 0.5 * share, "Reading the questions"))
    found["seconds"] = round(time.monotonic() - began, 1)
    return found


def rejected(version: DatasetVersion) -> dict[str, Any]:
    reasons: Counter[str] = Counter(line["reason"] for line in rejected_lines(version))
    return {"count": version.rejected_count, "reasons": reasons.most_common(50)}


def rejected_lines(version: DatasetVersion) -> Iterator[dict[str, Any]]:
    path = version.rejected_path
    if path is None or not path.is_file():
        yield from version.report.get("rejected", [])
        return
    with open(path, encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


# Columns


def look_at_columns(version: DatasetVersion, tell: Callable[[float], None]) -> dict[str, Any]:
    known = [ColumnLook(version.path, column) for column in version.columns]
    keys = array("Q")
    for start, batch in tables.batches(version.path):
        for look in known:
            look.add(batch.column(look.name))
        keys.extend(row_keys(batch))
        tell(start / max(version.row_count, 1))
    return {"columns": [look.summary for look in known], "duplicate_rows": repeated(keys)}


def row_keys(batch: Any) -> list[int]:
    cells = [column.to_pylist() for column in batch.columns]
    return [tables.key(repr(row)) for row in zip(*cells, strict=True)]


class ColumnLook:
    """What the cells of one column are like."""

    def __init__(self, path: Path, column: dict[str, Any]) -> None:
        self.name, self.type = column["name"], column["type"]
        self.rows = self.blank = self.numbers = self.over_long = 0
        self.lengths = Lengths()
        bounds = bounds_of(path, self.name) if self.type in ("integer", "number") else None
        self.values = Numbers(*bounds, whole=self.type == "integer") if bounds else None
        # None once there are too many different values, or long ones.
        self.top: Counter[str] | None = Counter()

    def add(self, column: Any) -> None:
        import pyarrow.compute as pc

        texts = as_text(column)
        self.rows += len(column)
        self.blank += counted(is_blank(texts))
        if self.type == "text":
            self.numbers += counted(pc.match_substring_regex(texts, NUMBER))
        lengths = filled(pc.utf8_length(texts))
        self.lengths.add(lengths)
        self.over_long += int((lengths > LONG_CELL).sum())
        if self.values:
            self.values.add(finite(column))
        self.count(texts, int(lengths.max()) if len(lengths) else 0)

    def count(self, texts: Any, longest: int) -> None:
        if self.top is None or longest > SHORT_VALUE:
            self.top = None
            return
        for item in texts.value_counts().to_pylist():
            if item["values"] is not None and item["values"].strip():
                self.top[item["values"]] += item["counts"]
        if len(self.top) > MAX_DISTINCT:
            self.top = None

    @property
    def mixed(self) -> bool:
        words = self.rows - self.blank - self.numbers
        fewer, all_ = min(words, self.numbers), words + self.numbers
        return self.type == "text" and 0 < fewer <= max(MIXED_SHARE * all_, 1) and all_ > 2

    @property
    def summary(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "blank": self.blank,
            "over_long": self.over_long,
            "mixed": {"numbers": self.numbers, "words": self.rows - self.blank - self.numbers} if self.mixed else None,
            "lengths": self.lengths.summary,
            "values": self.values.summary if self.values else {},
            "distinct": len(self.top) if self.top is not None else None,
            "top": [list(pair) for pair in self.top.most_common(TOP_VALUES)] if self.top else [],
        }


def counted(mask: Any) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(mask).as_py() or 0)


def filled(column: Any) -> Any:
    return column.drop_null().to_numpy(zero_copy_only=False)


def finite(column: Any) -> Any:
    import numpy as np

    values = filled(column).astype(np.float64)
    return values[np.isfinite(values)]


def bounds_of(path: Path, name: str) -> tuple[float, float] | None:
    """Smallest and largest number of a column, from the file's own statistics. None if it does not say."""
    import math

    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path)
    place = metadata.schema.names.index(name)
    found = [metadata.row_group(group).column(place).statistics for group in range(metadata.num_row_groups)]
    known = [float(value) for one in found if one and one.has_min_max for value in (one.min, one.max)]
    good = bool(known) and all(one is not None for one in found) and all(map(math.isfinite, known))
    return (min(known), max(known)) if good else None


def repeated(keys: Any, numbers: Any = None) -> dict[str, Any]:
    """How many rows repeat an earlier one, and the first few: [row, the earlier row], counted from 1."""
    import numpy as np

    keys = np.asarray(keys)
    if not len(keys):
        return {"count": 0, "examples": []}
    earlier = first_with(keys)
    again = np.flatnonzero(earlier != np.arange(len(keys)))
    return counted_pairs(again, earlier, np.arange(len(keys)) if numbers is None else np.asarray(numbers))


def first_with(keys: Any) -> Any:
    """Of each key, the place of the first one that is equal."""
    import numpy as np

    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return first[inverse]


def counted_pairs(places: Any, earlier: Any, numbers: Any) -> dict[str, Any]:
    """How many places, and of the first few: [row, the earlier row], counted from 1."""
    examples = [[int(numbers[place]) + 1, int(numbers[earlier[place]]) + 1] for place in places[:EXAMPLES].tolist()]
    return {"count": len(places), "examples": examples}


# Questions and answers


def look_at_questions(
    version: DatasetVersion, request: dict[str, Any], tell: Callable[[float], None]
) -> dict[str, Any]:
    section = mapping.section_of(version)
    parts = rows.parts(version, section)
    membership.write(version, parts)
    how = rows.reading(version, section)
    tokens = TokenLook(version, request)
    overlap = OverlapLook(version, parts, how)
    questions = QuestionLook(version, how)
    for number, cells in tables.records(version.path, questions.columns):
        question, answer = how.question(cells), how.answer(cells)
        if not rows.missing(question, answer, how.rule):
            questions.add(number, question, answer, cells)
            overlap.add(number, question)
            tokens.add(number, question, answer)
        if number % 500 == 0:
            tell(number / max(version.row_count, 1))
    return {
        "parts": parts.counts,
        "skipped": parts.counts["skipped"],
        **questions.summary,
        "tokens": tokens.summary,
        "overlap": overlap.summary,
    }


class QuestionLook:
    """Questions that come again: with the same answer, with another one, in another part of the source's split."""

    def __init__(self, version: DatasetVersion, how: rows.Reading) -> None:
        self.column = version.split.get("column")
        self.columns = [*how.columns, *([self.column] if self.column else [])]
        self.place = rows.placing(version.split, rows.TRAIN) if self.column else {}
        self.numbers, self.questions, self.answers = array("L"), array("Q"), array("Q")
        self.places = array("B")

    def add(self, number: int, question: str, answer: str, cells: dict[str, Any]) -> None:
        same = rows.same_question(question)
        self.numbers.append(number)
        self.questions.append(tables.key(same))
        self.answers.append(tables.key(f"{same}\0{answer.strip()}"))
        self.places.append(self.place.get(tables.text(cells[self.column]), 0) if self.column else 0)

    @property
    def summary(self) -> dict[str, Any]:
        return {
            "duplicate_questions": repeated(self.questions, self.numbers),
            "contradictions": self.contradictions(),
            "shared": self.shared(),
        }

    def contradictions(self) -> dict[str, Any]:
        """Rows whose question has another answer in an earlier row."""
        import numpy as np

        questions, answers, numbers = (np.asarray(one) for one in (self.questions, self.answers, self.numbers))
        if not len(questions):
            return {"count": 0, "examples": []}
        earlier = first_with(questions)
        return counted_pairs(np.flatnonzero(answers != answers[earlier]), earlier, numbers)

    def shared(self) -> dict[str, Any]:
        """Rows of the training part whose question the source's own split puts into another part, too."""
        import numpy as np

        questions, places, numbers = (np.asarray(one) for one in (self.questions, self.places, self.numbers))
        kept_back = np.flatnonzero(places > rows.TRAINS)
        train = np.flatnonzero(places == rows.TRAINS)
        both = train[np.isin(questions[train], questions[kept_back])]
        first = {int(questions[place]): int(numbers[place]) + 1 for place in reversed(kept_back.tolist())}
        examples = [[int(numbers[place]) + 1, first[int(questions[place])]] for place in both[:EXAMPLES].tolist()]
        return {"count": len(both), "examples": examples}


class TokenLook:
    """Lengths of what the model reads and of what it is to write; in characters where there is no tokenizer."""

    def __init__(self, version: DatasetVersion, request: dict[str, Any]) -> None:
        self.request = request
        self.every = max(-(-version.row_count // MEASURED_ROWS), 1)
        file = checks.tokenizer_of(request["model"])
        self.tokenizer = opened_tokenizer(file) if file else None
        self.overhead = self.overhead_of()
        self.waiting: list[tuple[str, str]] = []
        self.prompts, self.answers = array("L"), array("L")

    def overhead_of(self) -> int:
        """What system prompt and chat template add to each question."""
        prompt, probe = self.request["system_prompt"], "question"
        if self.tokenizer is None:
            return len(prompt)
        try:
            text = chat_rendering.render(chat_rendering.chat_for(self.request["model"]), prompt, probe)
        except chat_rendering.TemplateProblem:
            text = f"{prompt}\n\n{probe}"
        return max(sum(self.sizes([text])) - sum(self.sizes([probe])), 0)

    def sizes(self, texts: list[str]) -> list[int]:
        if self.tokenizer is None:
            return [len(text) for text in texts]
        return [len(one.ids) for one in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def add(self, number: int, question: str, answer: str) -> None:
        if number % self.every == 0:
            self.waiting.append((question, answer))
            if len(self.waiting) >= TOKEN_BATCH:
                self.measure()

    def measure(self) -> None:
        self.prompts.extend(size + self.overhead for size in self.sizes([question for question, _ in self.waiting]))
        self.answers.extend(self.sizes([answer for _, answer in self.waiting]))
        self.waiting = []

    @property
    def summary(self) -> dict[str, Any]:
        import numpy as np

        self.measure()
        prompts, answers = np.asarray(self.prompts, np.int64), np.asarray(self.answers, np.int64)
        counts = self.tokenizer is not None
        limit = self.request["max_tokens"]
        found = {
            "model": self.request["model"],
            "unit": "tokens" if counts else "characters",
            "limit": limit if counts else None,
            "overhead": self.overhead,
            "measured": len(prompts),
            "every": self.every,
        }
        if not len(prompts):
            return found
        return found | {
            "prompt": summary(prompts),
            "answer": summary(answers),
            "over": {
                "prompt": int((prompts > limit).sum()) if counts else None,
                "both": int((prompts + answers > limit).sum()) if counts else None,
            },
        }


def opened_tokenizer(file: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    # Files may carry the length that their model was trained with.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class OverlapLook:
    """Training rows that share runs of GRAM words with a held-out question: near copies that no exact look finds."""

    def __init__(self, version: DatasetVersion, parts: rows.Parts, how: rows.Reading) -> None:
        kept_back = list(parts.held_out)
        step = max(-(-len(kept_back) // HELD_OUT_COMPARED), 1)
        self.compared, self.held_out = len(kept_back[::step]), len(kept_back)
        self.train = flags_of(parts.train, version.row_count)
        self.texts: dict[int, str] = {}
        self.sizes: dict[int, int] = {}
        self.index: dict[int, list[int]] = {}
        self.pairs: list[tuple[float, int, int, str]] = []
        self.found = self.looked_at = 0
        for number, cells in tables.pick(version.path, kept_back[::step]).items():
            self.remember(number, how.question(cells))
        self.index = {gram: where for gram, where in self.index.items() if len(where) <= COMMON_GRAM}

    def remember(self, number: int, question: str) -> None:
        found = grams(question)
        self.texts[number], self.sizes[number] = question[:PAIR_TEXT], len(found)
        for gram in found:
            self.index.setdefault(gram, []).append(number)

    def add(self, number: int, question: str) -> None:
        if not self.train[number]:
            return
        found = grams(question)
        self.looked_at += bool(found)
        shared: Counter[int] = Counter()
        for gram in found:
            for other in self.index.get(gram, ()):
                shared[other] += 1
        if not shared:
            return
        other, count = shared.most_common(1)[0]
        score = count / min(len(found), self.sizes[other])
        if score >= OVERLAP:
            self.keep((score, -number, other, question[:PAIR_TEXT]))

    def keep(self, pair: tuple[float, int, int, str]) -> None:
        self.found += 1
        if len(self.pairs) < PAIRS_SHOWN:
            heapq.heappush(self.pairs, pair)
        else:
            heapq.heappushpop(self.pairs, pair)

    @property
    def summary(self) -> dict[str, Any]:
        return {
            "count": self.found,
            "train": self.looked_at,
            "compared": self.compared,
            "held_out": self.held_out,
            "pairs": [
                {
                    "score": round(score, 3),
                    "train": -negative + 1,
                    "held_out": other + 1,
                    "train_text": text,
                    "held_out_text": self.texts[other],
                }
                for score, negative, other, text in sorted(self.pairs, reverse=True)
            ],
        }


def flags_of(numbers: Any, size: int) -> bytearray:
    """Whether each row is among `numbers`: a byte a row, where a set would take sixty."""
    found = bytearray(size)
    for number in numbers:
        found[number] = 1
    return found


def grams(text: str) -> set[int]:
    """Hashes of every run of GRAM words. Only within this process: they differ from one to the next."""
    words = WORD.findall(text.casefold())
    return {hash(tuple(words[place : place + GRAM])) for place in range(len(words) - GRAM + 1)}
