"""Solutions of GSM8K questions that a person would call right or wrong without a doubt, hard ones for a program."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rewards.numbers import NUMBER
from rewards.registry import Markers

TRAIN = Path(__file__).resolve().parents[3] / "shared" / "data" / "gsm8k" / "train.jsonl"
MARKERS = Markers("<start_working_out>", "<end_working_out>", "<SOLUTION>", "</SOLUTION>")


@dataclass(frozen=True)
class Row:
    question: str
    working: str
    answer: str
    # GSM8K writes each result as <<9*2=18>>; the last one is the answer in most rows.
    last_result: str

    @property
    def value(self) -> Fraction:
        return Fraction(self.answer.replace(",", ""))

    @property
    def digits(self) -> str:
        return plain(self.value)

    @property
    def last_line(self) -> str:
        return self.working.splitlines()[-1]

    @property
    def given(self) -> list[str]:
        """Numbers of the question that are not the answer."""
        found = [match["number"] for match in NUMBER.finditer(self.question)]
        return [number for number in found if Fraction(number.replace(",", "")) != self.value]


@dataclass(frozen=True)
class Variant:
    kind: str
    right: bool
    response: str
    reference: str


def rows() -> list[Row]:
    found = []
    for line in TRAIN.read_text().splitlines():
        row = json.loads(line)
        working, answer = row["answer"].split("####")
        results = re.findall(r"<<[^>]*=([^>]*)>>", working)
        words = re.sub(r"<<.*?>>", "", working).strip()
        found.append(Row(row["question"], words, answer.strip(), results[-1] if results else ""))
    return found


def plain(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else str(float(number))


def block(solution: str, working: str = "Let me see.") -> str:
    return f"<start_working_out>{working}<end_working_out>\n<SOLUTION>{solution}</SOLUTION>"


def hard_variants(row: Row) -> Iterator[Variant]:
    for make in (other_units, other_spellings, restated_numbers, sentences_around, candidates, near_misses):
        yield from make(row)


def other_units(row: Row) -> Iterator[Variant]:
    def variant(kind: str, right: bool, solution: str, reference: str) -> Variant:
        return Variant(kind, right, block(solution, row.working), reference)

    value, digits = row.value, row.digits
    if value <= 0:
        return
    yield variant("dollars in cents", True, f"{plain(value * 100)} cents", f"${digits}")
    yield variant("dollars as words", True, f"{digits} dollars", f"${digits}")
    yield variant("hours in minutes", True, f"{plain(value * 60)} minutes", f"{digits} hours")
    yield variant("kilometres in metres", True, f"{plain(value * 1000)} m", f"{digits} km")
    yield variant(
        "grams in kilograms", True, f"{plain(value / 1000)} kg" if value >= 1 else f"{digits} g", f"{digits} g"
    )
    yield variant("weeks in days", True, f"That is {plain(value * 7)} days.", f"{digits} weeks")
    yield variant("cents for dollars", False, f"{digits} cents", f"${digits}")
    yield variant("minutes for hours", False, f"{digits} minutes", f"{digits} hours")
    yield variant("metres for kilometres", False, f"{digits} m", f"{digits} km")
    yield variant("euros for dollars", False, f"€{digits}", f"${digits}")
    yield variant("ten times too few cents", False, f"{plain(value * 10)} cents", f"${digits}")
    yield variant("kilograms for hours", False, f"{digits} kg", f"{digits} hours")


def other_spellings(row: Row) -> Iterator[Variant]:
    value, digits, answer = row.value, row.digits, row.answer
    whole = value.denominator == 1
    spelled = {
        "a unit in LaTeX": f"\\boxed{{{digits} \\text{{ pieces}}}}",
        "dollars with cents": f"\\${float(value):,.2f}",
        "bold sentence": f"**The answer is {digits}.**",
        "display maths": f"\\[ x = {digits} \\]",
        "trailing zero": f"{float(value):.1f}",
    }
    if whole and abs(value) >= 1000:
        spelled["thousands with narrow spaces"] = f"{value.numerator:,}".replace(",", "\u202f")
        spelled["thousands in LaTeX"] = f"{value.numerator:,}".replace(",", "{,}")
    if whole and 0 <= value <= 99:
        spelled["a word"] = in_words(value.numerator)
    if whole and abs(value) >= 100:
        spelled["scientific"] = f"{float(value):.10g} × 10^0"
    for kind, solution in spelled.items():
        yield Variant(kind, True, block(solution, row.working), answer)
    share = value / 100
    yield Variant("a share as percent", True, block(f"{digits}%", row.working), plain(share))
    yield Variant("a percent as share", True, block(plain(share), row.working), f"{digits}%")
    yield Variant("a half more", False, block(f"{digits} 1/2", row.working), answer)


ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def in_words(number: int) -> str:
    ones, tens = ONES.split(), TENS.split()
    if number < len(ones):
        return ones[number]
    ten, one = divmod(number, 10)
    return tens[ten - 2] + (f"-{ones[one]}" if one else "")


def restated_numbers(row: Row) -> Iterator[Variant]:
    """The answer says again what was given."""
    if len(row.given) < 2:
        return
    first, second = row.given[:2]
    wrong = plain(row.value + 1)
    right_ones = {
        "given numbers in the block": f"With {first} and {second} given, the result is {row.digits}.",
        "a reason in the block": f"{row.digits}, because {first} and {second} were given",
        "an equation in the block": f"From {first} and {second} we get x = {row.digits}",
    }
    if row.last_result.lstrip("0") == row.digits and row.last_line.rstrip(".").rstrip().endswith(row.digits):
        right_ones["the last line of the working in the block"] = row.last_line
    for kind, solution in right_ones.items():
        yield Variant(kind, True, block(solution, row.working), row.answer)
    after = f"The answer is {row.digits}. The question gave {first} and {second}."
    yield Variant("given numbers after a marked answer", True, f"{row.working}\n{after}", row.answer)
    boxed = f"So we get \\boxed{{{row.digits}}}, from {first} and {second}."
    yield Variant("given numbers after a box", True, f"{row.working}\n{boxed}", row.answer)
    yield Variant(
        "given numbers in the block, wrong result",
        False,
        block(f"With {first} and {row.digits} given, the result is {wrong}.", row.working),
        row.answer,
    )
    yield Variant("only given numbers", False, block(f"The numbers are {first} and {second}."), row.answer)


def sentences_around(row: Row) -> Iterator[Variant]:
    """The last sentence does not hold the number."""
    digits, answer, wrong = row.digits, row.answer, plain(row.value + 1)
    after = "That is what was asked for. I hope this helps!"
    yield Variant("words after the number", True, f"{row.working}\nSo the result is {digits}.\n{after}", answer)
    yield Variant("words after a marked answer", True, f"{row.working}\nAnswer: {digits}\n\n{after}", answer)
    yield Variant("words after the block", True, f"{block(digits, row.working)}\n{after}", answer)
    yield Variant("words inside the block", True, block(f"{digits}\n{after}", row.working), answer)
    yield Variant("words after a wrong number", False, f"{row.working}\nSo the result is {wrong}.\n{after}", answer)
    yield Variant("words and no number", False, block(after, row.working), answer)
    corrected = f"The answer is {wrong}. Wait, I made a mistake. The answer is {digits}."
    spoiled = f"The answer is {digits}. Wait, I made a mistake. The answer is {wrong}."
    yield Variant("corrected", True, f"{row.working}\n{corrected}", answer)
    yield Variant("spoiled", False, f"{row.working}\n{spoiled}", answer)
    yield Variant("taken back", False, f"{row.working}\nOne may think it is {digits}, but {digits} is wrong.", answer)


def candidates(row: Row) -> Iterator[Variant]:
    value, digits, answer = row.value, row.digits, row.answer
    more, less = plain(value + 1), plain(value - 1)
    decided = f"It is either {less} or {digits}. The second one fits."
    yield Variant("candidates, then one", True, block(digits, f"{row.working} {decided}"), answer)
    undecided = {
        "either or": f"Either {less} or {digits}.",
        "or it is": f"It is {less} or it is {digits}.",
        "maybe": f"It is {more}, maybe {digits}.",
        "a range": f"between {less} and {digits}",
        "from to": f"{less} to {digits}",
        "bullets": f"- {less}\n- {more}\n- {digits}",
        "options": f"Option A: {less}, option B: {digits}",
        "in brackets": f"{more} ({digits})",
        "at least": f"at least {digits}",
        "or more": f"{digits} or more",
        "more than": f"The result is more than {digits}.",
        "an if": f"It is {digits} if it rains and {more} if not.",
        "another if": f"It is {more} if it rains and {digits} if not.",
        "many": ", ".join(plain(value + step) for step in range(-5, 6)),
        "several sentences": f"The answer is {more}. The answer is {digits}. The answer is {less}.",
    }
    for kind, solution in undecided.items():
        yield Variant(f"undecided, {kind}", False, block(solution, row.working), answer)
    yield Variant("undecided in the text", False, f"I think it is {less} or {digits}", answer)


def near_misses(row: Row) -> Iterator[Variant]:
    digits, answer, value = row.digits, row.answer, row.value
    if value == 0:
        return
    missed = {
        "a digit more": f"{digits}5",
        "a digit in front": f"1{digits.lstrip('-')}",
        "a decimal more": f"{digits}.5" if value.denominator == 1 else f"{digits}5",
        "a tenth": plain(value / 10),
        "a minus": plain(-value),
        "a power": f"{digits}^2" if abs(value) != 1 else "2^2",
        "a root": f"\\sqrt{{{digits}}}" if value != 1 else "\\sqrt{2}",
        "a variable": f"{digits}x",
        "a fraction of it": f"1/{digits}" if abs(value) != 1 else "1/2",
        "thousands": f"{digits} thousand",
        "a denial": f"It can't be {digits}.",
        "another than": f"anything other than {digits}",
        "half of it": f"half of {digits}",
    }
    swapped = digits[::-1]
    if value.denominator == 1 and Fraction(swapped.rstrip("-") or "0") != value and value > 0:
        missed["digits swapped"] = swapped
    for kind, solution in missed.items():
        yield Variant(f"near miss, {kind}", False, block(solution, row.working), answer)
