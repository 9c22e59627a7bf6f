"""The verdict of the maths reward on solutions of GSM8K that are labelled as a human grader would: see benchmarks/."""

from functools import cache

import pytest

from benchmarks import math_agreement
from benchmarks.graded_formulas import pairs
from benchmarks.graded_solutions import FILES, Solution, solutions

ROWS = 16
AGREEMENT = 0.995
AGREEMENT_OF_EACH_KIND = 0.98
# Of fewer than this many solutions one miss would already be more than the limit.
FEWEST_OF_A_KIND = 50

needs_gsm8k = pytest.mark.skipif(
    not all(path.is_file() for path in FILES), reason=f"GSM8K is not at {FILES[0].parent / 'train.jsonl'}"
)


@cache
def graded() -> list[Solution]:
    return [solution for row in math_agreement.some_rows(ROWS) for solution in solutions(row, math_agreement.SEED)]


@needs_gsm8k
@pytest.mark.parametrize("name", math_agreement.judges())
def test_the_verdict_on_gsm8k_agrees_with_the_label(name):
    agreement = math_agreement.judged(*math_agreement.judges()[name], graded())
    said = "\n".join(agreement.disagreements())
    assert agreement.judged.total() > 2_500
    assert agreement.share >= AGREEMENT, said
    common = [kind for kind, count in agreement.judged.items() if count >= FEWEST_OF_A_KIND]
    assert {kind for kind in common if agreement.share_of(kind) < AGREEMENT_OF_EACH_KIND} == set(), said


@needs_gsm8k
def test_right_and_wrong_solutions_of_many_kinds_are_judged():
    kinds = {(solution.claim.kind, solution.claim.right) for solution in graded()}
    assert len({kind for kind, right in kinds if right}) > 25
    assert len({kind for kind, right in kinds if not right}) > 30


@needs_gsm8k
def test_the_same_seed_makes_the_same_solutions():
    [row] = math_agreement.some_rows(1)
    assert list(solutions(row, 1)) == list(solutions(row, 1)) != list(solutions(row, 2))


def test_a_preset_that_does_not_judge_numbers_is_not_asked():
    assert set(math_agreement.judges()) == {
        "math_answer", "math", "math-short-answer", "scientific-calculation", "data-analysis",
    }  # fmt: skip


def test_the_comparison_of_formulas_agrees_with_the_label():
    agreement = math_agreement.formulas()
    assert len(pairs()) > 400
    assert agreement.share >= AGREEMENT, "\n".join(agreement.disagreements())
