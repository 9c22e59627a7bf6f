"""The verdict of the maths reward against the label of a human grader

Every row of GSM8K as over three hundred solutions, right and wrong (`benchmarks/graded_solutions.py` makes them and
says what is left out), each judged by `math_answer`; and about 900 rows by the answer part of every shipped preset that
uses it. A preset that accepts 1 % is not asked about wrong numbers within 1 %. The last line is the comparison of
formulas (`benchmarks/graded_formulas.py`). Each disagreement is printed and written to
reports/math_disagreements.txt. ROWS=200 judges that many rows.
"""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks.graded_formulas import pairs
from benchmarks.graded_solutions import FILES, MARKERS, Row, Solution, rows, solutions
from rewards.composition import Composition
from rewards.functions.maths import MathAnswer, math_answer
from rewards.library import PRESETS
from rewards.registry import RewardError, Sample

REPORT = Path(__file__).resolve().parents[1] / "reports" / "math_disagreements.txt"
SEED = 2026
BATCH = 2_000


@dataclass
class Agreement:
    judged: Counter[str] = field(default_factory=Counter)
    missed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, agrees: bool, shown: str) -> None:
        self.judged[kind] += 1
        if not agrees:
            self.missed[kind].append(shown)

    @property
    def share(self) -> float:
        return 1 - sum(map(len, self.missed.values())) / max(self.judged.total(), 1)

    def share_of(self, kind: str) -> float:
        return 1 - len(self.missed[kind]) / self.judged[kind]

    def disagreements(self) -> list[str]:
        return [f"{kind}: {shown}" for kind in sorted(self.missed) for shown in self.missed[kind]]


def judges() -> dict[str, tuple[Composition, MathAnswer]]:
    """math_answer itself, and every shipped preset with it, each with the parameters that say what counts as right."""
    alone = {"parts": [{"name": "answer", "function": "math_answer"}]}
    definitions = {"math_answer": alone} | {preset["slug"]: preset["definition"] for preset in PRESETS}
    found = {}
    for name, definition in definitions.items():
        composition = Composition.model_validate(definition)
        parts = [part for part in composition.parts if part.function == "math_answer"]
        if parts:
            found[name] = composition, MathAnswer.model_validate(parts[0].parameters)
    return found


def some_rows(count: int) -> list[Row]:
    every = rows()
    return every if count >= len(every) else random.Random(SEED).sample(every, count)


def judged(composition: Composition, parameters: MathAnswer, graded: Iterable[Solution]) -> Agreement:
    agreement = Agreement()
    asked = [solution for solution in graded if decided(solution, parameters)]
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        for solution, result in zip(batch, composition.score_all([each.sample for each in batch]), strict=True):
            claim = solution.claim
            kind = f"{'right' if claim.right else 'wrong'}: {claim.kind}"
            agreement.add(kind, result.correct is claim.right, shown(solution, result.correct))
    return agreement


def decided(solution: Solution, parameters: MathAnswer) -> bool:
    """False for a wrong number that is within the tolerance: for this reward it is right."""
    claim, expected = solution.claim, Fraction((solution.sample.reference or "").replace(",", ""))
    if claim.right or not parameters.relative:
        return True
    return claim.value is not None and abs(claim.value - expected) > Fraction(parameters.tolerance) * abs(expected)


def shown(solution: Solution, verdict: bool | None) -> str:
    said = {True: "right", False: "wrong", None: "not judged"}[verdict]
    end = solution.sample.response[-160:]
    return f"judged {said}, reference {solution.sample.reference!r}, {solution.form}, response …{end!r}"


def formulas() -> Agreement:
    agreement = Agreement()
    for reference, answer, right in pairs():
        verdict = formula_verdict(reference, answer)
        agreement.add(
            "right" if right else "wrong", verdict is right, f"reference {reference!r}, answer {answer!r}, {verdict}"
        )
    return agreement


def formula_verdict(reference: str, answer: str) -> bool | str:
    try:
        sample = Sample("?", f"<SOLUTION>{answer}</SOLUTION>", reference, markers=MARKERS)
        return math_answer(sample, MathAnswer()).value == 1
    except RewardError as error:
        return str(error)


def run() -> list[dict[str, Any]]:
    if not all(path.is_file() for path in FILES):
        print(f"GSM8K is not at {FILES[0].parent}.")
        return []
    chosen = some_rows(int(os.environ.get("ROWS", 10**6)))
    alone, *presets = judges().items()
    table, missed = [], list[str]()
    for name, (composition, parameters) in (alone, *presets):
        # The presets differ in little but tolerance and markers: a tenth of the rows is enough for them.
        part = chosen if name == alone[0] else chosen[:: max(1, len(chosen) // 900)]
        agreement = Agreement()
        for row in part:
            merge(agreement, judged(composition, parameters, solutions(row, SEED)))
        table += lines(name, agreement, by_kind=name == alone[0])
        missed += [f"{name}: {line}" for line in agreement.disagreements()]
    compared = formulas()
    table += lines("formulas", compared, by_kind=False)
    missed += [f"formulas: {line}" for line in compared.disagreements()]
    report(missed)
    return table


def merge(into: Agreement, more: Agreement) -> None:
    into.judged.update(more.judged)
    for kind, found in more.missed.items():
        into.missed[kind] += found


def lines(judge: str, agreement: Agreement, by_kind: bool) -> Iterator[dict[str, Any]]:
    for kind in sorted(agreement.judged) if by_kind else []:
        yield line(judge, kind, agreement.judged[kind], len(agreement.missed[kind]))
    yield line(judge, "all", agreement.judged.total(), sum(map(len, agreement.missed.values())))


def line(judge: str, kind: str, count: int, missed: int) -> dict[str, Any]:
    return {
        "judge": judge,
        "solutions": kind,
        "judged": count,
        "disagree": missed,
        "agree": f"{1 - missed / count:.3%}",
    }


def report(missed: list[str]) -> None:
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("\n".join(missed) + "\n", encoding="utf-8")
    print("\n".join(missed) or "No disagreement.")
