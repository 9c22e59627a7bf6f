"""Which preset fits rows: told by what their references are, and shown by what it makes of them.

Importing this needs no Django.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from rewards import gate
from rewards.attacks import LETTER, Subject, attacks, well_formed
from rewards.composition import Composition
from rewards.registry import RewardFunction, Sample

# Share of the references that must be of one kind.
CLEAR = 0.8
SHORT_WORDS = 6
SCORED_ROWS = 6
MOST_PROPOSALS = 3
SECONDS_EACH = 1.5
NUMBER = re.compile(r"[-+]?[$€£]?\s*\d[\d,\s]*(?:\.\d+)?(?:/\d+)?\s*%?")
TEST_COLUMNS = ("tests", "test", "test_list", "test_cases", "unit_tests", "test_code")

KINDS = {
    "none": "no reference",
    "number": "a number",
    "letter": "a single letter",
    "json": "JSON",
    "short": "a short text",
    "prose": "a longer text",
}


def judged_by(name: str) -> Callable[[RewardFunction], bool]:
    return lambda function: function.name == name


def compares_texts(function: RewardFunction) -> bool:
    return function.needs_reference and function.grades_content


# The function that judges references of each kind, and the preset that is preferred among equals.
JUDGES: dict[str, tuple[Callable[[RewardFunction], bool], str, str]] = {
    "number": (judged_by("math_answer"), "math", "numbers are compared as numbers, however they are written"),
    "letter": (judged_by("multiple_choice"), "multiple-choice", "exactly one choice must be named, the right one"),
    "json": (judged_by("json_equal"), "json-output", "JSON is compared by its content"),
    "short": (judged_by("exact_match"), "question-answering", "short texts must be the same but for case and articles"),
    "prose": (compares_texts, "", "longer texts are compared by how much they share"),
}


@dataclass(frozen=True)
class Offer:
    """A preset that may be proposed."""

    slug: str
    name: str
    composition: Composition
    own: bool = False


@dataclass(frozen=True)
class Proposal:
    """`right` and `wrong`: mean totals of the references as answers, and of attacks on them; None: nothing to score."""

    slug: str
    name: str
    why: str
    evidence: dict[str, float] = field(default_factory=dict)
    right: float | None = None
    wrong: float | None = None
    rows: int = 0
    problems: tuple[str, ...] = ()

    @property
    def shares(self) -> list[tuple[str, float]]:
        """(kind in words, per cent), most frequent first."""
        ordered = sorted(self.evidence.items(), key=lambda item: -item[1])
        return [(KINDS.get(kind, "rows with tests for code"), 100 * share) for kind, share in ordered]


def kind_of(reference: str | None) -> str:
    text = (reference or "").strip()
    if not text:
        return "none"
    if NUMBER.fullmatch(text):
        return "number"
    if LETTER.fullmatch(text):
        return "letter"
    if text[0] in "{[" and is_json(text):
        return "json"
    return "short" if len(text.split()) <= SHORT_WORDS else "prose"


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def evidence_of(rows: Sequence[tuple[Sample, str]]) -> dict[str, float]:
    """The share of each kind of reference, and of rows with a column of tests."""
    counted = Counter(kind_of(sample.reference) for sample, _ in rows)
    shares = {kind: count / len(rows) for kind, count in counted.items()} if rows else {}
    tested = sum(any(sample.columns.get(name) for name in TEST_COLUMNS) for sample, _ in rows)
    return shares | ({"tests": tested / len(rows)} if tested else {})


def propose(rows: Sequence[tuple[Sample, str]], offers: Iterable[Offer]) -> list[Proposal]:
    """The best first; none where nothing fits. `rows`: (sample with its reference, reasoning)."""
    evidence = evidence_of(rows)
    usable = [offer for offer in offers if can_use(offer.composition, rows)]
    if not rows:
        return []
    if evidence.get("tests", 0) >= CLEAR and (found := with_tests(usable)):
        why = "The rows have tests, so code is judged by running it."
        return ranked(found, rows, evidence, why, "")
    if evidence.get("none", 0) > 1 - CLEAR:
        return without_reference(usable, evidence)
    kind = main_kind(evidence)
    fits, preferred, reason = JUDGES[kind]
    why = f"{evidence.get(kind, 0):.0%} of the references are {KINDS[kind]}: {reason}."
    found = [offer for offer in usable if any(fits(part.definition) for part in offer.composition.parts)]
    return ranked(found, rows, evidence, why, preferred)


def can_use(composition: Composition, rows: Sequence[tuple[Sample, str]]) -> bool:
    present = set.intersection(*(set(sample.columns) for sample, _ in rows)) if rows else set()
    return not (composition.unavailable or composition.asks_outside or set(composition.columns) - present)


def with_tests(offers: list[Offer]) -> list[Offer]:
    return [
        offer for offer in offers if offer.composition.judges_answer and {*offer.composition.columns} & {*TEST_COLUMNS}
    ]


def main_kind(evidence: dict[str, float]) -> str:
    """What nearly all references are; of a mixture what fits all of it."""
    clear = [kind for kind in ("number", "letter", "json") if evidence.get(kind, 0) >= CLEAR]
    if clear:
        return clear[0]
    return "prose" if evidence.get("prose", 0) > 1 - CLEAR else "short"


def without_reference(offers: list[Offer], evidence: dict[str, float]) -> list[Proposal]:
    why = (
        f"{evidence['none']:.0%} of the rows have no reference, so nothing can be compared: only the form of an answer"
        " is rewarded, and a model can game that."
    )
    found = [offer for offer in offers if not offer.composition.needs_reference]
    found.sort(key=lambda offer: (offer.slug != "format-only", offer.name))
    return [Proposal(offer.slug, offer.name, why, evidence) for offer in found[:MOST_PROPOSALS]]


def ranked(
    offers: list[Offer], rows: Sequence[tuple[Sample, str]], evidence: dict[str, float], why: str, preferred: str
) -> list[Proposal]:
    """Those that tell right from wrong on these rows first; of equals the preferred one, then the simplest."""
    subjects = gate.subjects_of(rows)[:SCORED_ROWS]
    found = []
    for offer in offers:
        report = gate.examine(offer.composition, [], subjects, budget=SECONDS_EACH)
        right, wrong = averages(offer.composition, subjects)
        proposal = Proposal(offer.slug, offer.name, why, evidence, right, wrong, len(subjects), tuple(report.problems))
        failing = round(report.false_pass_rate + report.false_fail_rate + report.error_rate, 2)
        found.append((failing, offer.slug != preferred, len(offer.composition.parts), offer.slug, proposal))
    return [proposal for *_, proposal in sorted(found, key=lambda item: item[:4])[:MOST_PROPOSALS]]


def averages(composition: Composition, subjects: Sequence[Subject]) -> tuple[float | None, float | None]:
    """Mean totals of the references as well-formed answers, and of the attacks on them."""
    right, wrong = [], []
    for subject in subjects[:SCORED_ROWS]:
        made = well_formed(subject)
        totals = [result.total for result in composition.score_all([subject.answered(text) for _, text in made])]
        best = max(
            (total, -place) for place, total in enumerate(value if value is not None else -1e9 for value in totals)
        )
        shape = made[-best[1]][0]
        results = composition.score_all([subject.answered(attack.text) for attack in attacks(subject, shape)])
        right += [totals[-best[1]]] if totals[-best[1]] is not None else []
        wrong += [result.total for result in results if result.total is not None]
    return mean(right), mean(wrong)


def mean(values: list[Any]) -> float | None:
    return fmean(values) if values else None
