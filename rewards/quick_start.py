"""Which preset fits rows: told by what their references are, and shown by what it makes of them.

Importing this needs no Django.
"""

from __future__ import annotations

import json
import math
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
# Rows that a proposal must have been tried on, and the share its reason must hold for, to be made with confidence.
ENOUGH_ROWS = 5
SURE = 0.95
TEXT_KEPT = 300
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
class ScoredRow:
    """What a preset makes of one row: its reference as a well-formed answer, and the wrong answer that earns most."""

    question: str
    reference: str
    right: float | None
    wrong: float | None
    wrong_answer: str


@dataclass(frozen=True)
class Proposal:
    """`right` and `wrong`: mean totals of the references as answers, and of attacks on them; None: nothing to score.
    `clear`: the share of the rows that the reason of the proposal holds for. `own`: a preset of the team."""

    slug: str
    name: str
    why: str
    evidence: dict[str, float] = field(default_factory=dict)
    right: float | None = None
    wrong: float | None = None
    rows: int = 0
    problems: tuple[str, ...] = ()
    scored: tuple[ScoredRow, ...] = ()
    clear: float = 0.0
    own: bool = False

    @property
    def confidence(self) -> str:
        """high, fair or low."""
        if self.problems or not self.rows or self.right is None or self.wrong is None or self.right <= self.wrong:
            return "low"
        return "high" if self.clear >= SURE and self.rows >= ENOUGH_ROWS else "fair"

    @property
    def confidence_why(self) -> str:
        if not self.rows:
            return "There is no reference to score, so it was not tried on rows."
        if self.problems or self.right is None or self.wrong is None or self.right <= self.wrong:
            return "It does not tell right from wrong answers on these rows well enough."
        if self.rows < ENOUGH_ROWS:
            return f"It was tried on {self.rows} row{'s'[: self.rows != 1]} only."
        if self.clear < SURE:
            return f"It tells right from wrong on {self.rows} rows, but its reason holds for {self.clear:.0%} of them."
        return f"It tells right from wrong on all {self.rows} rows it was tried on."

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
        return ranked(found, fitting_own(usable, found), Reason(rows, evidence, why, evidence["tests"]))
    if evidence.get("none", 0) > 1 - CLEAR:
        return without_reference(usable, evidence)
    kind = main_kind(evidence)
    fits, preferred, reason = JUDGES[kind]
    why = f"{evidence.get(kind, 0):.0%} of the references are {KINDS[kind]}: {reason}."
    found = [offer for offer in usable if any(fits(part.definition) for part in offer.composition.parts)]
    holds_for = evidence.get(kind, 0) + (evidence.get("short", 0) if kind == "prose" else 0)
    return ranked(found, fitting_own(usable, found), Reason(rows, evidence, why, holds_for, preferred))


def fitting_own(usable: Iterable[Offer], found: list[Offer]) -> list[Offer]:
    """Presets of the team that compare answers with the reference in another way than the one that is usual for it."""
    return [
        offer
        for offer in usable
        if offer.own and offer not in found and offer.composition.needs_reference and offer.composition.judges_answer
    ]


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


@dataclass(frozen=True)
class Reason:
    """What a proposal is made from: the rows, what their references are, why in words, and for which share of the rows
    it holds."""

    rows: Sequence[tuple[Sample, str]]
    evidence: dict[str, float]
    why: str
    clear: float
    preferred: str = ""


def ranked(usual: list[Offer], others: list[Offer], reason: Reason) -> list[Proposal]:
    """Those that tell right from wrong on these rows first; of equals the preferred one, then the team's own, then the
    simplest. `others` are only proposed if nothing is wrong with them."""
    subjects = gate.subjects_of(reason.rows)[:SCORED_ROWS]
    found = []
    for offer in [*usual, *others]:
        report = gate.examine(offer.composition, [], subjects, budget=SECONDS_EACH)
        if offer in others and not report.passed:
            continue
        failing = round(report.false_pass_rate + report.false_fail_rate + report.error_rate, 2)
        rank = (failing, offer.slug != reason.preferred, not offer.own, len(offer.composition.parts), offer.slug)
        found.append((rank, proposed(offer, subjects, reason, report)))
    return [proposal for _, proposal in sorted(found, key=lambda item: item[0])[:MOST_PROPOSALS]]


def proposed(offer: Offer, subjects: Sequence[Subject], reason: Reason, report: gate.Report) -> Proposal:
    scored = [scored_row(offer.composition, subject) for subject in subjects]
    why = f"{reason.why} It is your team's own." if offer.own else reason.why
    return Proposal(
        offer.slug,
        offer.name,
        why,
        reason.evidence,
        mean([row.right for row, _ in scored if row.right is not None]),
        mean([total for _, wrong in scored for total in wrong]),
        len(subjects),
        tuple(report.problems),
        tuple(row for row, _ in scored),
        reason.clear,
        offer.own,
    )


def scored_row(composition: Composition, subject: Subject) -> tuple[ScoredRow, list[float]]:
    """The row, and the totals of all attacks on it."""
    made = well_formed(subject)
    rights = totals_of(composition, subject, [text for _, text in made])
    place = max(range(len(made)), key=lambda at: -math.inf if rights[at] is None else rights[at])
    tried = attacks(subject, made[place][0])
    wrongs = totals_of(composition, subject, [attack.text for attack in tried])
    known = [(total, attack) for total, attack in zip(wrongs, tried, strict=True) if total is not None]
    # One that is right in substance may earn as much.
    wrong = [(total, attack.text) for total, attack in known if not attack.may_equal]
    worst, text = max(wrong, key=lambda pair: pair[0], default=(None, ""))
    question, reference = subject.sample.instruction[:TEXT_KEPT], subject.reference[:TEXT_KEPT]
    return ScoredRow(question, reference, rights[place], worst, text[:TEXT_KEPT]), [total for total, _ in known]


def totals_of(composition: Composition, subject: Subject, texts: list[str]) -> list[Any]:
    return [result.total for result in composition.score_all([subject.answered(text) for text in texts])]


def mean(values: list[Any]) -> float | None:
    return fmean(values) if values else None
