"""The launch gate: what a reward does with answers that are known to be right, and with those that only look it.

Importing this needs no Django.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import sha256
from typing import Any

from rewards import golden
from rewards.attacks import Attack, Shape, Subject, attacks, well_formed
from rewards.composition import Composition, Part, Result
from rewards.judging.memory import forgotten
from rewards.registry import Markers, Sample

# Raised when the gate judges otherwise than before: what was stored by an older one is not used then.
GATE_VERSION = 3
# One attack in fifty may get through: a row whose question gives its answer away must not condemn a reward.
MOST_FALSE_PASSES = 0.02
# One right answer in ten may be refused: datasets have references that nobody would write that way.
MOST_FALSE_FAILS = 0.1
# One answer in ten may be left out for an error; with more, what is learned depends on what fails.
MOST_ERRORS = 0.1
# Seconds that 95 % of answers are judged within; slower, a step of 64 answers waits for minutes.
SLOWEST_P95 = 5.0
# Seconds after which no further question is begun: somebody waits for the page, or a worker has more to do.
BUDGET = 6.0
PATIENT_BUDGET = 600.0
MOST_CASES = 50
MOST_ROWS = 20
# Of a reward that asks a service, because each answer costs money: a row is some fifteen of them.
MOST_ROWS_ASKED = 5
# Decides which rows of a dataset are drawn, so that the same reward is examined with the same rows.
SEED = 1
# Questions whose answers are all scored a second time.
SCORED_TWICE = 3
EXAMPLES_KEPT = 8
TEXT_KEPT = 300
ENDING = 90
ALIKE_KEPT = 2
# Totals that differ by less are the same.
CLOSE = 1e-9
CHARACTERS_PER_TOKEN = 4
# What a judge is told beside rubric and texts, and what it says.
FRAME_CHARACTERS, REPLY_TOKENS = 900, 60


@dataclass(frozen=True)
class Failure:
    """An answer that got what it should not get. `kind`: false pass, false fail, error or changed."""

    kind: str
    label: str
    instruction: str
    text: str
    total: float | None
    right_total: float | None
    why: str = ""
    row: int | None = None

    @property
    def ending(self) -> str:
        """Where the answer stands; it begins like every other."""
        return self.text if len(self.text) <= ENDING else f"…{self.text[-ENDING:]}"


@dataclass(frozen=True)
class Measure:
    """One of the numbers that decide, in words, beside what it may be at most."""

    title: str
    found: str
    most: str
    holds: bool


@dataclass
class Report:
    """`problems` refuse a start, `warnings` don't; both are sentences."""

    judges_answer: bool
    questions: int = 0
    rows: int = 0
    right_answers: int = 0
    attacks: int = 0
    answers: int = 0
    false_passes: int = 0
    false_fails: int = 0
    errors: int = 0
    changed: int = 0
    p95_seconds: float = 0.0
    timed_out: bool = False
    asks_outside: bool = False
    budget: float = BUDGET
    # How many rows those that were examined were drawn from.
    drawn_from: int = 0
    # Their numbers as people count, of all failures.
    failed_rows: list[int] = field(default_factory=list)
    golden_problems: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def false_pass_rate(self) -> float:
        return self.false_passes / self.attacks if self.attacks else 0.0

    @property
    def false_fail_rate(self) -> float:
        return self.false_fails / self.right_answers if self.right_answers else 0.0

    @property
    def error_rate(self) -> float:
        return self.errors / self.answers if self.answers else 0.0

    @property
    def passed(self) -> bool:
        return not self.problems

    @property
    def problems(self) -> list[str]:
        return self._findings if self.judges_answer else []

    @property
    def warnings(self) -> list[str]:
        found = []
        if not self.judges_answer:
            found.append("Nothing in this reward judges the answer: it can be gamed by form alone.")
            found += self._findings
        if self.asks_outside:
            found.append(
                "This reward asks a service, which costs money: it is only examined when somebody asks for it."
            )
        elif self.timed_out:
            found.append(
                f"The examination was ended after {self.budget:g} seconds, with {self.questions} questions done."
            )
        elif not self.questions:
            found.append("There was nothing to examine it with: no golden case, and no row with a reference.")
        return found

    @property
    def _findings(self) -> list[str]:
        found = list(self.golden_problems)
        if self.false_pass_rate > MOST_FALSE_PASSES:
            found.append(
                f"{self.false_passes} of {self.attacks} wrong answers earn as much as the right one"
                f" ({self._labels('false pass')})."
            )
        if self.false_fail_rate > MOST_FALSE_FAILS:
            found.append(f"{self.false_fails} of {self.right_answers} right answers count as wrong.")
        if self.error_rate > MOST_ERRORS:
            found.append(f"{self.errors} of {self.answers} answers could not be judged: {self._first_reason}")
        if self.changed:
            found.append(f"{self.changed} answers got another total when they were scored again.")
        if self.p95_seconds > SLOWEST_P95:
            found.append(
                f"Judging an answer takes {self.p95_seconds:.1f} s (95th percentile); {SLOWEST_P95:g} s may be."
            )
        return found

    def _labels(self, kind: str) -> str:
        return ", ".join(dict.fromkeys(failure.label for failure in self.failures if failure.kind == kind))

    @property
    def measures(self) -> list[Measure]:
        """None before anything was scored."""
        if not self.answers:
            return []
        return [
            share("False passes", self.false_passes, self.attacks, MOST_FALSE_PASSES),
            share("False fails", self.false_fails, self.right_answers, MOST_FALSE_FAILS),
            share("Not judged", self.errors, self.answers, MOST_ERRORS),
            Measure("Changed when scored again", f"{self.changed}", "0", not self.changed),
            Measure(
                "Time, 95th percentile",
                in_time(self.p95_seconds),
                in_time(SLOWEST_P95),
                self.p95_seconds <= SLOWEST_P95,
            ),
        ]

    @property
    def _first_reason(self) -> str:
        return next((failure.why for failure in self.failures if failure.kind == "error"), "no reason was given.")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def in_full(self) -> dict[str, Any]:
        """With what follows from its numbers, for files and the API."""
        rates = {name: getattr(self, name) for name in ("false_pass_rate", "false_fail_rate", "error_rate")}
        said = {"passed": self.passed, "problems": self.problems, "warnings": self.warnings}
        return {**said, **rates, **self.as_json()}

    @classmethod
    def of(cls, stored: dict[str, Any]) -> Report:
        known = {item.name for item in fields(cls)}
        values = {name: value for name, value in stored.items() if name in known}
        return cls(**values | {"failures": [Failure(**each) for each in stored["failures"]]})


def share(title: str, count: int, of: int, most: float) -> Measure:
    part = count / of if of else 0.0
    return Measure(title, f"{count} of {of}" + (f" ({part:.1%})" if of else ""), f"{most:.0%}", part <= most)


def in_time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.2g} ms"


@dataclass(frozen=True)
class Drawn:
    """Questions made of rows, and how many rows they were drawn from."""

    subjects: Sequence[Subject] = ()
    of: int = 0


@dataclass(frozen=True)
class Plan:
    """How much examining a reward takes, about: its texts are not known before rows are drawn."""

    answers: int = 0
    requests: int = 0
    tokens: int = 0


def key(composition: Composition, cases: Sequence[dict[str, Any]], source: Mapping[str, Any] | None = None) -> str:
    """The same for the same reward, the same cases and the same `source` of rows."""
    whole = [GATE_VERSION, SEED, composition.model_dump(mode="json"), list(cases), source or {}]
    return sha256(json.dumps(whole, sort_keys=True, default=str).encode(errors="surrogatepass")).hexdigest()


def subjects_of(rows: Sequence[tuple[Sample, str]], numbers: Sequence[int] = ()) -> list[Subject]:
    """Rows with a reference as questions for the gate: (sample, reasoning), and the number of each row."""
    known: Sequence[int | None] = numbers or [None] * len(rows)
    usable = [(*row, number) for row, number in zip(rows, known, strict=True) if (row[0].reference or "").strip()][
        :MOST_ROWS
    ]
    references = [sample.reference or "" for sample, *_ in usable]
    return [
        Subject(sample, reasoning, number, others=tuple(references[place + 1 :] + references[:place])[:MOST_ROWS])
        for place, (sample, reasoning, number) in enumerate(usable)
    ]


def judges(composition: Composition) -> list[Any]:
    """The parts that ask a service."""
    return [part for part in composition.parts if part.definition.asks_outside]


def rows_wanted(composition: Composition) -> int:
    if not composition.compares:
        return 0
    return MOST_ROWS_ASKED if composition.asks_outside else MOST_ROWS


STAND_IN = Subject(
    Sample("A farmer has 12 rows of 14 apple trees and fells 6 of them. How many are left?", "", "162", {}),
    others=("7",),
)


def plan(composition: Composition, cases: Sequence[dict[str, Any]], rows: int = 0) -> Plan:
    """Counted as examine() would go about it, with `rows` rows like a short question."""
    parsed = golden.CASES.validate_python(list(cases[:MOST_CASES]))
    asked = [list(batches_of_case(composition, case)) for case in parsed] + [list(batches_of(STAND_IN))] * rows
    # The same answer is asked about once in a batch.
    distinct = [[text for batch in each for text in dict.fromkeys(batch)] for each in asked]
    texts = [text for at, each in enumerate(distinct) for text in each * (2 if at < SCORED_TWICE else 1)]
    requests = tokens = 0
    for part in judges(composition):
        votes = part.parsed.votes
        requests += votes * len(texts)
        tokens += votes * sum(map(len, texts)) // CHARACTERS_PER_TOKEN + votes * len(texts) * overhead(part)
    return Plan(len(texts), requests, tokens)


def overhead(part: Part) -> int:
    """Tokens of a request beside the answer that it is about."""
    asked: Any = part.parsed
    told = len(asked.rubric) + len(asked.template) + FRAME_CHARACTERS
    return told // CHARACTERS_PER_TOKEN + REPLY_TOKENS


def batches_of_case(composition: Composition, case: golden.Case) -> Iterator[list[str]]:
    yield [answer.text for answer in case.answers]
    subject = subject_of(case)
    if composition.compares and subject.reference.strip() and subject.right:
        yield from batches_of(subject)


def batches_of(subject: Subject) -> Iterator[list[str]]:
    made = well_formed(subject)
    yield [*(text for _, text in made), *subject.right]
    yield [attack.text for attack in attacks(subject, made[0][0])]


def examine(
    composition: Composition,
    cases: Sequence[dict[str, Any]],
    subjects: Sequence[Subject] = (),
    budget: float = BUDGET,
    ask: bool = False,
    told: Callable[[int, int], None] | None = None,
) -> Report:
    """Scores golden cases, and of each question with a reference the right answer and the attacks on it.

    Without `ask`, a reward that asks a service is not examined. Not more than `budget` seconds, save for the question
    that is being judged when they are over. `told` hears of each question that is done: its number, and of how many.
    """
    report = Report(composition.judges_answer, asks_outside=composition.asks_outside and not ask, budget=budget)
    if report.asks_outside:
        return report
    cases, subjects = cases[:MOST_CASES], subjects[: rows_wanted(composition)]
    examiner = Examiner(composition, report, time.monotonic() + budget)
    examiner.told = lambda: told(report.questions, len(cases) + len(subjects)) if told else None
    examiner.cases(cases)
    examiner.questions(subjects)
    report.p95_seconds = percentile(examiner.seconds, 0.95)
    return report


class Examiner:
    def __init__(self, composition: Composition, report: Report, until: float) -> None:
        self.composition, self.report, self.until = composition, report, until
        self.seconds: list[float] = []
        self.told: Callable[[], None] = lambda: None

    @property
    def over(self) -> bool:
        self.report.timed_out = self.report.timed_out or time.monotonic() > self.until
        return self.report.timed_out

    def cases(self, cases: Sequence[dict[str, Any]]) -> None:
        for case in golden.CASES.validate_python(list(cases)):
            if self.over:
                return
            subject = subject_of(case)
            self.report.golden_problems += self.golden_problems(case, subject)
            if self.composition.compares and subject.reference.strip() and subject.right:
                self.question(subject)
            self.report.questions += 1
            self.told()

    def golden_problems(self, case: golden.Case, subject: Subject) -> list[str]:
        results = self.scored(subject, [answer.text for answer in case.answers])
        judged = [golden.Judged(a.text, a.rank, a.label, r) for a, r in zip(case.answers, results, strict=True)]
        about = case.instruction[:80]
        return [
            f"Golden case “{about}”: {problem}" for problem in golden.CaseRun(about, subject.reference, judged).problems
        ]

    def questions(self, subjects: Sequence[Subject]) -> None:
        for subject in subjects:
            if self.over:
                return
            self.question(subject)
            self.report.questions += 1
            self.report.rows += 1
            self.told()

    def question(self, subject: Subject) -> None:
        shape, text, right = self.best(subject)
        self.report.right_answers += 1
        if right.correct is False:
            said = "; ".join(f"{name}: {text}" for name, text in right.feedback.items() if text)
            self.keep(Failure("false fail", "the right answer", "", text, right.total, right.total, said), subject)
            self.report.false_fails += 1
        made = attacks(subject, shape)
        results = self.scored(subject, [attack.text for attack in made])
        for attack, result in zip(made, results, strict=True):
            self.judge(subject, attack, result, right)

    def best(self, subject: Subject) -> tuple[Shape, str, Result]:
        """The well-formed right answer that earns most: what counts is that there is one."""
        made = well_formed(subject)
        texts = [text for _, text in made]
        results = self.scored(subject, [*texts, *subject.right])
        place = max(range(len(made)), key=lambda at: _rank(results[at]))
        known = max(range(len(results)), key=lambda at: _rank(results[at]))
        return made[place][0], [*texts, *subject.right][known], results[known]

    def judge(self, subject: Subject, attack: Attack, result: Result, right: Result) -> None:
        self.report.attacks += 1
        if result.total is None or right.total is None:
            return
        ahead = result.total - right.total
        passes = ahead > CLOSE if attack.may_equal else ahead > -CLOSE or result.correct is True
        if passes:
            self.report.false_passes += 1
            self.keep(Failure("false pass", attack.label, "", attack.text, result.total, right.total), subject)

    def scored(self, subject: Subject, texts: list[str]) -> list[Result]:
        samples = [subject.answered(text) for text in texts]
        results = self.composition.score_all(samples)
        if self.report.questions < SCORED_TWICE:
            # A verdict that is remembered would be the same by itself.
            with forgotten():
                again = self.composition.score_all(samples)
            self.compare(subject, texts, results, again)
        self.report.answers += len(results)
        for text, result in zip(texts, results, strict=True):
            self.seconds.append(sum(result.seconds.values()))
            if result.total is None:
                self.report.errors += 1
                why = next(iter(result.errors.values()), "")
                self.keep(Failure("error", "not judged", "", text, None, None, why), subject)
        return results

    def compare(self, subject: Subject, texts: list[str], first: list[Result], again: list[Result]) -> None:
        for text, one, other in zip(texts, first, again, strict=True):
            if one.total != other.total:
                self.report.changed += 1
                self.keep(Failure("changed", "scored twice", "", text, other.total, one.total), subject)

    def keep(self, failure: Failure, subject: Subject) -> None:
        if subject.row is not None and subject.row not in self.report.failed_rows:
            self.report.failed_rows.append(subject.row)
        alike = [kept.label for kept in self.report.failures if kept.kind == failure.kind]
        if len(alike) < EXAMPLES_KEPT and alike.count(failure.label) < ALIKE_KEPT:
            # How it ends: that is where the answer stands.
            text, about = failure.text[-TEXT_KEPT:], subject.sample.instruction[:TEXT_KEPT]
            why = failure.why[:TEXT_KEPT]
            self.report.failures.append(replace(failure, instruction=about, text=text, why=why, row=subject.row))


def subject_of(case: golden.Case) -> Subject:
    best = min((answer.rank for answer in case.answers), default=0)
    right = tuple(answer.text for answer in case.answers if answer.rank == best)
    sample = Sample(case.instruction, "", case.reference, dict(case.columns), Markers(**case.markers))
    return Subject(sample, right=right)


def _rank(result: Result) -> tuple[bool, float]:
    """What counts as right comes before what earns more."""
    return result.correct is True, -math.inf if result.total is None else result.total


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of the values don't exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else 0.0
