"""Is the answer the right number or formula?"""

from __future__ import annotations

import re
from fractions import Fraction

from pydantic import Field

from rewards.numbers import UNIT_OF, Quantity, concluded, last_quantity, quantity
from rewards.registry import Example, Markers, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import LOOK_IN_HELP, Found, LookIn, find_answer, marked_answers, standing
from rewards.symbolic import is_formula, same_formula

# The question's own unit, which a bare reference leaves out: the last sentence says it, or asks for money.
ASKED_UNIT = re.compile(r"how many (?:more |total |additional |extra )?([a-z]+)|\bin ([a-z]+)\?", re.IGNORECASE)
ASKED_MONEY = re.compile(r"\bhow much\b", re.IGNORECASE)
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
REPEATS_QUESTION = re.compile(r"\b(?:question|problem|given|gave|stated|recall|remember)\b", re.IGNORECASE)
NUMERAL = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
SHORTEST_FACT = 3
OR = re.compile(r"\bor\b")

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
        example("<SOLUTION>5000 m</SOLUTION>", "5 km", 1.0),
        example("<SOLUTION>1 hour and 12 minutes</SOLUTION>", "72 minutes", 1.0),
        example("<SOLUTION>71. No wait, 72.</SOLUTION>", "72", 1.0),
        example("So the total is 72 clips or 96 clips.", "72", 0.0),
    ),
)
def math_answer(sample: Sample, parameters: MathAnswer) -> Score:
    """1 if the answer equals the reference as a number or formula, else 0."""
    if not (sample.reference or "").strip():
        raise RewardError("This row has no reference answer.")
    reference = _reference_text(sample.reference or "")
    expected, asked = quantity(reference), unit_asked_for(sample.instruction)
    found = find_answer(sample, parameters.look_in)
    if not found.pieces:
        return Score(0.0, f"Expected {reference}, found no answer ({found.where}).")
    if expected is None:
        right = _right_formula(reference, found.pieces)
    elif found.marked:
        right = all(_right_number(piece, expected, parameters, asked) for piece in found.pieces)
    else:
        right = _equal(_last_number(found, sample), expected, parameters, asked)
    if right:
        return Score(1.0, f"{reference} is right.")
    return Score(0.0, f"Expected {reference}, found {_shown(found, sample)} in the {found.where}.")


def unit_asked_for(question: str) -> str:
    """The unit that the question asks for, or nothing where it names none or several."""
    sentences = SENTENCE.split(question.strip())
    last = next((part for part in reversed(sentences) if "?" in part), sentences[-1])
    named = {
        UNIT_OF[word] for match in ASKED_UNIT.finditer(last) if (word := (match[1] or match[2]).lower()) in UNIT_OF
    }
    if len(named) == 1:
        return named.pop()
    money = not named and ASKED_MONEY.search(last) and "$" in question and not re.search(r"\bcents?\b|¢", question)
    return "$" if money else ""


def _last_number(found: Found, sample: Sample) -> Quantity | None:
    return last_quantity(without_repeated_facts(found.pieces[0], sample.instruction))


def without_repeated_facts(text: str, question: str) -> str:
    """Without the question's sentences where `text` repeats them, and last sentences that only name its numbers."""
    for fact in SENTENCE.split(question):
        words = fact.split()
        if len(words) >= SHORTEST_FACT and NUMERAL.search(fact):
            text = re.sub(r"\s+".join(map(re.escape, words)), " ", text)
    given, sentences = numerals(question), SENTENCE.split(text.strip())
    while len(sentences) > 1 and REPEATS_QUESTION.search(sentences[-1]):
        numbers = numerals(sentences[-1])
        if not numbers or not numbers <= given or "=" in sentences[-1]:
            break
        sentences.pop()
    return "\n".join(sentences)


def numerals(text: str) -> set[Fraction]:
    return {Fraction(number.replace(",", "")) for number in NUMERAL.findall(text)}


def _shown(found: Found, sample: Sample) -> str:
    if found.marked:
        return "; ".join(found.pieces)[-80:].strip() or "nothing"
    last = _last_number(found, sample)
    return "no single last number" if last is None else f"{float(last.value):.10g}"


def _reference_text(reference: str) -> str:
    """A worked solution (GSM8K's "... #### 72", MATH's "\\boxed{72}") stands for the answer it marks."""
    if quantity(reference) is not None:
        return reference.strip()
    marked = marked_answers(reference)
    return marked[-1] if marked else reference.strip()


def _right_number(piece: str, expected: Quantity, parameters: MathAnswer, asked: str) -> bool:
    piece = standing(piece)
    for inner in marked_answers(piece) or [piece]:
        worked = _equal(concluded(inner), expected, parameters, asked)
        if not worked and not (parameters.unworked and _right_formula(str(expected.value), [inner])):
            return False
    return True


def _equal(found: Quantity | None, expected: Quantity, parameters: MathAnswer, asked: str) -> bool:
    if found is None:
        return False
    if found.unit and expected.unit and found.unit != expected.unit:
        found = found.in_unit(expected.unit)
    elif found.unit and asked and not expected.unit:
        # The asked unit is read off the question: where it is of another kind, the number alone decides.
        found = found.in_unit(asked) or found
    if found is None:
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
    if any(OR.search(piece) for piece in pieces) and not OR.search(reference):
        return False
    return all(is_formula(piece) and _same(reference, piece) for piece in pieces)


def _same(reference: str, piece: str) -> bool:
    try:
        return same_formula(reference, piece)
    except (ValueError, TimeoutError) as error:
        raise RewardError(str(error)) from error


def _squeezed(text: str) -> str:
    return "".join(text.split()).strip("$.")
