"""Is the answer the right number or formula?"""

from __future__ import annotations

from fractions import Fraction

from pydantic import Field

from rewards.numbers import Quantity, last_quantity, quantity
from rewards.registry import Example, Markers, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import LOOK_IN_HELP, Found, LookIn, find_answer, marked_answers
from rewards.symbolic import is_formula, same_formula

MARKED = Markers(solution_start="<SOLUTION>", solution_end="</SOLUTION>")


class MathAnswer(Parameters):
    look_in: LookIn = Field("auto", title="Look in", description=LOOK_IN_HELP)
    tolerance: float = Field(1e-6, ge=0, le=1e6, title="Tolerance", description="Largest difference that still counts.")
    relative: bool = Field(False, title="Relative", description="The tolerance is a share of the reference.")
    unworked: bool = Field(
        False, title="Accept sums", description="48 + 24 counts as 72. Off: the number itself must be given."
    )


def example(response: str, reference: str, value: float, markers: Markers = MARKED, **parameters: object) -> Example:
    return Example(Sample("How many clips were sold?", response, reference, markers=markers), value, parameters)


@reward_function(
    title="Right number or formula",
    category="Answer",
    parameters=MathAnswer,
    judges_answer=True,
    needs_reference=True,
    examples=(
        example("48 + 24 = 72\n<SOLUTION>72</SOLUTION>", "72", 1.0),
        example("<SOLUTION>$1,234.50</SOLUTION>", "1234.5", 1.0),
        example("<SOLUTION>\\frac{3}{4}</SOLUTION>", "0.75", 1.0),
        example("So the total is 72 clips.", "72", 1.0),
        example("<SOLUTION>2(x + 1)</SOLUTION>", "2x + 2", 1.0),
        example("<SOLUTION>33.3</SOLUTION>", "33.333", 1.0, tolerance=0.01, relative=True),
        example("<SOLUTION>48 + 24</SOLUTION>", "72", 0.0),
        example("<SOLUTION>48 + 24</SOLUTION>", "72", 1.0, unworked=True),
        example("It is 72. <SOLUTION>71</SOLUTION>", "72", 0.0),
        example("<SOLUTION>70, 71, 72</SOLUTION>", "72", 0.0),
        example("<SOLUTION>not 72</SOLUTION>", "72", 0.0),
        example("<SOLUTION>-72</SOLUTION>", "72", 0.0),
        example("<SOLUTION>5 m</SOLUTION>", "5 km", 0.0),
    ),
)
def math_answer(sample: Sample, parameters: MathAnswer) -> Score:
    """1 if the answer equals the reference as a number or formula, else 0."""
    if not (sample.reference or "").strip():
        raise RewardError("This row has no reference answer.")
    reference = _reference_text(sample.reference or "")
    expected = quantity(reference)
    found = find_answer(sample, parameters.look_in)
    if not found.pieces:
        return Score(0.0, f"Expected {reference}, found no answer ({found.where}).")
    if expected is None:
        right = _right_formula(reference, found.pieces)
    elif found.marked:
        right = all(_right_number(piece, expected, parameters) for piece in found.pieces)
    else:
        right = _equal(last_quantity(found.pieces[0]), expected, parameters)
    if right:
        return Score(1.0, f"{reference} is right.")
    return Score(0.0, f"Expected {reference}, found {_shown(found)} in the {found.where}.")


def _shown(found: Found) -> str:
    if found.marked:
        return "; ".join(found.pieces)[-80:].strip() or "nothing"
    last = last_quantity(found.pieces[0])
    return "no single last number" if last is None else f"{float(last.value):.10g}"


def _reference_text(reference: str) -> str:
    """A worked solution (GSM8K's "... #### 72", MATH's "\\boxed{72}") stands for the answer it marks."""
    if quantity(reference) is not None:
        return reference.strip()
    marked = marked_answers(reference)
    return marked[-1] if marked else reference.strip()


def _right_number(piece: str, expected: Quantity, parameters: MathAnswer) -> bool:
    for inner in marked_answers(piece) or [piece]:
        worked = _equal(quantity(inner), expected, parameters)
        if not worked and not (parameters.unworked and _right_formula(str(expected.value), [inner])):
            return False
    return True


def _equal(found: Quantity | None, expected: Quantity, parameters: MathAnswer) -> bool:
    if found is None or (found.unit and expected.unit and found.unit != expected.unit):
        return False
    room = Fraction(parameters.tolerance) * (abs(expected.value) if parameters.relative else 1)
    return any(abs(value - expected.value) <= room for value in _meanings(found, expected))


def _meanings(found: Quantity, expected: Quantity) -> list[Fraction]:
    """25% is a quarter; it also answers "how many percent?", where the reference is the whole number 25."""
    if found.percent == expected.percent:
        return [found.value]
    if found.percent:
        as_written = [found.value] if expected.value.denominator == 1 else []
        return [found.value / 100, *as_written]
    return [found.value * 100, *([found.value] if found.value.denominator == 1 else [])]


def _right_formula(reference: str, pieces: list[str]) -> bool:
    pieces = [inner for piece in pieces for inner in (marked_answers(piece) or [piece])]
    if all(_squeezed(piece) == _squeezed(reference) for piece in pieces):
        return True
    if not is_formula(reference):
        raise RewardError(f"The reference {reference[:60]!r} is neither a number nor a formula: use an exact match.")
    return all(is_formula(piece) and _same(reference, piece) for piece in pieces)


def _same(reference: str, piece: str) -> bool:
    try:
        return same_formula(reference, piece)
    except (ValueError, TimeoutError) as error:
        raise RewardError(str(error)) from error


def _squeezed(text: str) -> str:
    return "".join(text.split()).strip("$.")
