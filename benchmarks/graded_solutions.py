"""Solutions of GSM8K's questions with the label that a careful human grader would give them, right and wrong.

Each real row (question, worked answer, final number) becomes over three hundred solutions: the right number in other
spellings and units, wrong numbers that look like it, and answers that name none or several. A claim is what is said to
be the answer; a form is how it is laid out. Left out, because graders disagree about them: decimal commas (18,00),
"about 18", 018, a percent sign or a currency where the question asks for neither, dozens where pieces are asked for,
a single guess ("maybe 18"), two answer lines that contradict each other, and a box that contradicts the line below it.
For the same reason the few rows are left out whose working has an answer line of its own.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rewards.registry import Markers, Sample

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "gsm8k"
FILES = [FOLDER / "train.jsonl", FOLDER / "test.jsonl"]
MARKERS = Markers("<start_working_out>", "<end_working_out>", "<SOLUTION>", "</SOLUTION>")


@dataclass(frozen=True)
class Row:
    question: str
    working: str
    answer: str
    sums: tuple[tuple[str, str], ...] = ()

    @property
    def value(self) -> Fraction:
        return Fraction(self.answer.replace(",", ""))

    @property
    def digits(self) -> str:
        return plain(self.value)

    @property
    def grouped(self) -> str:
        return f"{self.value.numerator:,}" if self.value.denominator == 1 else self.digits

    @property
    def last_question(self) -> str:
        return re.split(r"(?<=[.!])\s", self.question.strip())[-1]

    @property
    def other_numbers(self) -> list[Fraction]:
        """Those of the question, without the answer."""
        found = re.findall(r"(?<![\d.,:/])\d+(?:,\d{3})*(?:\.\d+)?(?![\d%/:])", self.question)
        values = dict.fromkeys(Fraction(number.replace(",", "")) for number in found)
        return [value for value in values if value != self.value]


@dataclass(frozen=True)
class Claim:
    """`value` is the one number that it names; a wrong claim without one is wrong whatever the tolerance."""

    kind: str
    right: bool
    text: str
    value: Fraction | None = None


@dataclass(frozen=True)
class Solution:
    claim: Claim
    form: str
    sample: Sample


def rows() -> list[Row]:
    found = [row(line) for path in FILES for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in found if not re.search(r"\banswer(?: is|:)", row.working, re.IGNORECASE)]


def row(line: str) -> Row:
    fields = json.loads(line)
    working, answer = fields["answer"].split("####")
    sums = tuple(re.findall(r"<<([^<>=]+)=([^<>=]+)>>", working))
    return Row(fields["question"], re.sub(r"<<.*?>>", "", working).strip(), answer.strip(), sums)


def solutions(row: Row, seed: int, forms_each: int = 2) -> Iterator[Solution]:
    """The same for the same seed. Each claim is laid out in `forms_each` of the forms that fit it."""
    chance = random.Random(f"{seed} {row.question}")
    for claim in (*right_claims(row, chance), *wrong_claims(row, chance)):
        for form in chance.sample(fitting(claim), min(forms_each, len(fitting(claim)))):
            yield Solution(claim, form, sample(row, FORMS[form](row.working, claim.text)))
    for claim, form in whole_answers(row, chance):
        yield Solution(claim, form, sample(row, claim.text))
    yield from half_as_much_again(row, chance)


def sample(row: Row, response: str) -> Sample:
    return Sample(row.question, response, row.answer, markers=MARKERS)


# How a claim is laid out.


def in_markers(working: str, claim: str) -> str:
    return f"<start_working_out>{working}<end_working_out>\n<SOLUTION>{claim}</SOLUTION>"


FORMS: dict[str, Callable[[str, str], str]] = {
    "markers": in_markers,
    "markers, spaced": lambda working, claim: in_markers(f"\n{working}\n", f"\n  {claim}\n"),
    "markers, sentence": lambda working, claim: in_markers(working, f"The answer is {claim}."),
    "markers, cut off": lambda working, claim: in_markers(working, claim).removesuffix("</SOLUTION>"),
    "own format of GSM8K": lambda working, claim: f"{working}\n#### {claim}",
    "answer line": lambda working, claim: f"{working}\nAnswer: {claim}",
    "bold answer line": lambda working, claim: f"{working}\n\n**Answer:** {claim}",
    "bold final answer": lambda working, claim: f"{working}\n\n**Final answer: {claim}**",
    "answer sentence": lambda working, claim: f"{working}\nThe final answer is {claim}.",
    "answer sentence, then words": lambda working, claim: (
        f"{working} So the answer is {claim}. I hope that this helps!"
    ),
    "answer sentence, then the question": lambda working, claim: f"The answer is {claim}.\n\n{working}",
    "last sentence": lambda working, claim: f"{working}\nSo the result is {claim}.",
    "boxed": lambda working, claim: f"{working}\nSo we get \\boxed{{{claim}}}.",
    "boxed in markers": lambda working, claim: in_markers(working, f"\\boxed{{{claim}}}"),
}
# A box holds a formula, not a sentence or a list of lines.
UNBOXED = {
    "maths mode",
    "boxed",
    "bold",
    "sentence around it",
    "self-correction",
    "withdrawn",
    "bullets",
    "with its reason",
}
# What has a full stop within is no part of a sentence; "So the result is" and then "not" or "x =" is no English.
NO_SENTENCE = {"self-correction", "withdrawn", "bullets", "sentence around it"}
SENTENCES = {"markers, sentence", "answer sentence", "answer sentence, then words", "last sentence"}


def fitting(claim: Claim) -> list[str]:
    if claim.kind == "no number":
        return [form for form in FORMS if "markers" in form]
    left_out = {"last sentence"} if claim.kind == "false equation" else set[str]()
    if claim.kind in UNBOXED:
        left_out |= {"boxed", "boxed in markers"}
    if claim.kind == "bold":
        left_out |= {"bold final answer"}
    if claim.kind == "bullets":
        left_out |= {"own format of GSM8K", "answer line", "bold answer line", "bold final answer"}
    if claim.kind in NO_SENTENCE:
        left_out |= SENTENCES
    if claim.kind in {"self-correction", "withdrawn"}:
        left_out |= {"own format of GSM8K", "bold final answer", "answer sentence, then the question"}
    return [form for form in FORMS if form not in left_out]


# Spellings of the right number.


def plain(number: Fraction) -> str:
    if number.denominator == 1:
        return str(number.numerator)
    text = f"{float(number):.10f}".rstrip("0")
    return text if Fraction(text) == number else f"{number.numerator}/{number.denominator}"


def exact(number: Fraction) -> bool:
    return Fraction(f"{float(number):.6f}") == number


def right_claims(row: Row, chance: random.Random) -> Iterator[Claim]:
    for kind, text in (
        *spellings(row),
        *large_spellings(row),
        *scientific(row.value),
        *money_spellings(row),
        *percent_spellings(row),
        *other_units(row),
        *worked(row),
        *corrected(row, chance),
    ):
        yield Claim(kind, True, text, row.value)


def spellings(row: Row) -> Iterator[tuple[str, str]]:
    digits, value = row.digits, row.value
    thing = thing_asked_for(row)
    yield "plain", digits
    yield "as written", row.answer
    yield "decimals", f"{digits}.0"
    yield "decimals", f"{digits}.00"
    yield "maths mode", f"${digits}$"
    yield "maths mode", f"\\({digits}\\)"
    yield "maths mode", f"\\[ {digits} \\]"
    yield "maths mode", f"$${digits}$$"
    yield "boxed", f"\\boxed{{{digits}}}"
    yield "boxed", f"$\\boxed{{{row.grouped}}}$"
    yield "bold", f"**{digits}**"
    yield "words after it", f"{digits} {thing}"
    yield "words after it", f"{row.grouped} {thing} in total"
    yield "words after it", f"{digits}\\text{{ {thing}}}"
    yield "sentence around it", f"There are {digits} {thing} in total."
    yield "sentence around it", f"It comes to {row.grouped} {thing}, all told."
    yield "fraction", f"\\frac{{{value.numerator * 7}}}{{{value.denominator * 7}}}"
    yield "fraction", f"{value.numerator * 4}/{value.denominator * 4}"
    yield "equation", f"x = {digits}"
    yield "equation", f"Total = {row.grouped} {thing}"
    if value.denominator == 1 and 0 <= value < 10**6:
        yield "number words", spelled(int(value))
        yield "number words", f"{spelled(int(value))} {thing}"
        yield "number words", f"{digits} ({spelled(int(value))})"


def thing_asked_for(row: Row) -> str:
    asked = re.search(r"[Hh]ow many ([a-z]{3,})", row.last_question)
    units = {"more", "total", "percent", "times", "percentage", "fewer", "less", "additional", "different", "dozen"}
    return "items" if asked is None or asked[1] in units or "half" in asked[1] else asked[1]


def large_spellings(row: Row) -> Iterator[tuple[str, str]]:
    if row.value < 1000 or row.value.denominator != 1:
        return
    for separator in (",", "{,}", "\\,", "\u202f", " "):
        yield "thousands separators", f"{row.value.numerator:,}".replace(",", separator)
    if row.value % 1000 == 0:
        yield "thousands in words", f"{row.value / 1000} thousand"
        yield "thousands in words", f"{row.value / 1000}k"
    if row.value % 10**5 == 0 and row.value >= 10**6:
        yield "thousands in words", f"{plain(row.value / 10**6)} million"


def scientific(value: Fraction) -> Iterator[tuple[str, str]]:
    if value < 10 or value.denominator != 1:
        return
    power = len(str(value)) - 1
    digits = plain(value / 10**power)
    raised = str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    yield "scientific", f"{digits} x 10^{power}"
    yield "scientific", f"{digits} \\times 10^{{{power}}}"
    yield "scientific", f"{digits}e{power}"
    yield "scientific", f"{digits} × 10{raised}"


def asks_for_dollars(row: Row) -> bool:
    asks = re.search(
        r"how many dollars|in dollars|how much (?:money|did|does|do|will|would|is|was)", row.last_question, re.I
    )
    about = re.search(r"\$|dollars?|money|\bcost|pay|spen[dt]|earn|price|profit|charge", row.last_question, re.I)
    other = re.search(
        r"cent|percent|time|weigh|longer|taller|older|water|more than|far|faster|%", row.last_question, re.I
    )
    return bool(asks and about and "$" in row.question and not other and "cents" not in row.question)


def asks_for_percent(row: Row) -> bool:
    return bool(re.search(r"what percent|how many percent|percentage", row.last_question, re.I))


def money_spellings(row: Row) -> Iterator[tuple[str, str]]:
    if not asks_for_dollars(row):
        return
    yield "currency", f"${row.grouped}"
    yield "currency", f"\\${row.digits}"
    yield "currency", f"${row.value.numerator / row.value.denominator:,.2f}"
    yield "currency", f"{row.digits} dollars"
    yield "currency", f"{row.grouped} USD"
    yield "currency", f"${row.digits} in total"


def percent_spellings(row: Row) -> Iterator[tuple[str, str]]:
    if asks_for_percent(row):
        for ending in ("%", "\\%", " %", " percent", " per cent"):
            yield "percent", f"{row.digits}{ending}"


UNITS: dict[str, tuple[str, Fraction]] = {
    "seconds": ("time", Fraction(1)),
    "minutes": ("time", Fraction(60)),
    "hours": ("time", Fraction(3600)),
    "days": ("time", Fraction(86400)),
    "weeks": ("time", Fraction(604800)),
    "inches": ("length", Fraction(1)),
    "feet": ("length", Fraction(12)),
    "yards": ("length", Fraction(36)),
    "millimeters": ("metric length", Fraction(1)),
    "centimeters": ("metric length", Fraction(10)),
    "meters": ("metric length", Fraction(1000)),
    "kilometers": ("metric length", Fraction(10**6)),
    "grams": ("mass", Fraction(1)),
    "kilograms": ("mass", Fraction(1000)),
    "ounces": ("imperial mass", Fraction(1)),
    "pounds": ("imperial mass", Fraction(16)),
    "milliliters": ("volume", Fraction(1)),
    "liters": ("volume", Fraction(1000)),
    "months": ("calendar", Fraction(1)),
    "years": ("calendar", Fraction(12)),
    "cents": ("money", Fraction(1)),
    "dollars": ("money", Fraction(100)),
}
NEXT_SMALLER = {"hours": "minutes", "minutes": "seconds", "feet": "inches", "weeks": "days", "pounds": "ounces"}


def unit_asked_for(row: Row) -> str:
    """Only where the question says it in so many words."""
    if asks_for_dollars(row):
        return "dollars"
    asked = re.findall(r"[Hh]ow many (?:more |total |additional )?([a-z]+)(?! per\b)", row.last_question)
    named = re.findall(r"\bin ([a-z]+)\?", row.last_question)
    # "How many pounds" may be money, and a rate ("miles per hour") is in no unit of the table.
    known = [word for word in (*asked, *named) if word in UNITS]
    rate = re.search(r"\bper\b|\beach\b|\bevery\b|\ba (?:day|week|month|year)\b", row.last_question)
    return known[0] if len(set(asked + named)) == 1 and len(known) >= 1 and not rate and "£" not in row.question else ""


def siblings(unit: str) -> list[str]:
    return [other for other in UNITS if other != unit and UNITS[other][0] == UNITS[unit][0]]


def other_units(row: Row) -> Iterator[tuple[str, str]]:
    unit = unit_asked_for(row)
    if not unit:
        return
    for other in siblings(unit):
        value = row.value * UNITS[unit][1] / UNITS[other][1]
        if exact(value) and 0 < value < 10**8 and value != 1:
            yield "other unit, converted", f"{plain(value)} {other}"
            if other == "dollars":
                yield "other unit, converted", f"${plain(value)}"
    whole, rest = divmod(row.value, 1)
    smaller = NEXT_SMALLER.get(unit)
    if smaller and whole > 1 and rest and (rest * UNITS[unit][1] / UNITS[smaller][1]).denominator == 1:
        yield "two units", f"{whole} {unit} and {rest * UNITS[unit][1] / UNITS[smaller][1]} {smaller}"
    for bigger, small in NEXT_SMALLER.items():
        whole, rest = divmod(row.value, UNITS[bigger][1] / UNITS[small][1])
        if small == unit and whole > 1 and rest > 1 and rest.denominator == 1:
            yield "two units", f"{whole} {bigger} and {rest} {unit}"
            yield "two units", f"{whole} {bigger} {rest} {unit}"
            yield "two units", f"{row.digits} {unit} ({whole} {bigger} and {rest} {unit})"


def worked(row: Row) -> Iterator[tuple[str, str]]:
    """The sum of the last step, where it gives the answer."""
    if not row.sums or not re.fullmatch(r"[\d.]+(?:[-+*][\d.]+)+", row.sums[-1][0]) or row.sums[-1][1] != row.digits:
        return
    thing, formula = thing_asked_for(row), re.sub(r"([-+*])", r" \1 ", row.sums[-1][0])
    if not same_sum(formula, row.value):
        return
    yield "sum with its result", f"{formula} = {row.digits}"
    yield "sum with its result", f"{formula.replace('*', '×')} = {row.grouped} {thing}"
    yield "with its reason", f"{row.digits} {thing} ({formula})"
    yield "with its reason", f"{row.digits}, because {formula} = {row.digits}"


def same_sum(formula: str, value: Fraction) -> bool:
    total = Fraction(0)
    for sign, product in re.findall(r"([-+]?) ?([\d. *]+)", formula):
        factors = Fraction(1)
        for factor in product.split("*"):
            factors *= Fraction(factor.strip())
        total += -factors if sign == "-" else factors
    return total == value


def corrected(row: Row, chance: random.Random) -> Iterator[tuple[str, str]]:
    wrong = plain(near(row, chance))
    yield "self-correction", f"{wrong}. No wait, {row.digits}."
    yield "self-correction", f"{wrong}. Wait, no, that is wrong. It is {row.digits}."
    yield "self-correction", f"{wrong}. Scratch that, it should be {row.digits}."
    yield "other one denied", f"{row.digits}, not {wrong}"
    yield "other one denied", f"not {wrong} but {row.digits}"


ONES = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def spelled(number: int) -> str:
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")
    if number < 1000:
        return f"{ONES[number // 100]} hundred" + (f" {spelled(number % 100)}" if number % 100 else "")
    return f"{spelled(number // 1000)} thousand" + (f" {spelled(number % 1000)}" if number % 1000 else "")


# Wrong ones.


def near(row: Row, chance: random.Random) -> Fraction:
    return row.value + chance.choice([2, 3, 5, -2, -3] if row.value > 5 else [2, 3, 5])


def wrong_claims(row: Row, chance: random.Random) -> Iterator[Claim]:
    for kind, value in wrong_values(row):
        if value != row.value and abs(value) != abs(row.value):
            yield Claim(kind, False, plain(value), value)
    if row.value.denominator == 1 and 0 <= row.value < 10**6:
        yield Claim("number words", False, spelled(int(row.value) + 1), row.value + 1)
        yield Claim("number words", False, f"{spelled(int(row.value) + 2)} {thing_asked_for(row)}", row.value + 2)
    if row.value > 0:
        yield from (
            Claim("minus", False, text, -row.value)
            for text in (f"-{row.digits}", f"−{row.digits}", f"minus {row.digits}")
        )
    if row.value:
        yield from (Claim(*claim) for claim in in_wrong_scale(row))
    for kind, text in (
        *wrong_units(row),
        *several(row, chance),
        *denied(row, chance),
        *not_worked_out(row),
        *withdrawn(row, chance),
    ):
        yield Claim(kind, False, text)


def wrong_values(row: Row) -> Iterator[tuple[str, Fraction]]:
    value, digits = row.value, row.digits.lstrip("-")
    sign = "-" if value < 0 else ""
    yield "off by one", value + 1
    yield "off by one", value - 1
    yield "right one within", Fraction(f"{sign}1{digits}")
    yield "right one within", Fraction(f"{sign}{digits}5")
    yield "right one within", Fraction(f"{sign}{digits}{digits.replace('.', '')}")
    if value.denominator == 1:
        yield "right one within", Fraction(f"{sign}{digits}.5")
        yield "right one within", Fraction(f"0.{digits}")
    yield "ten times", value * 10
    yield "a tenth", value / 10
    yield "double", value * 2
    yield "half", value / 2
    swapped = digits[-1] + digits[1:-1] + digits[0]
    if digits.isdigit() and len(digits) > 1 and int(swapped) != value and swapped[0] != "0":
        yield "swapped digits", Fraction(swapped)
    yield from (("number of the question", number) for number in row.other_numbers[:3])
    steps = [result for _, result in row.sums[:-1] if re.fullmatch(r"\d+", result)]
    yield from (("intermediate result", Fraction(step)) for step in steps[-2:])


def in_wrong_scale(row: Row) -> Iterator[tuple[str, bool, str, Fraction]]:
    digits, value = row.digits, row.value
    yield "scaled", False, f"{digits} million", value * 10**6
    yield "scaled", False, f"{digits} thousand", value * 1000
    yield "scaled", False, f"{digits}k", value * 1000
    yield "scaled", False, f"{digits} dozen", value * 12
    yield "scaled", False, f"{digits} x 10^3", value * 1000
    yield "scaled", False, f"{digits}e-2", value / 100
    if abs(value) != 1:
        yield "scaled", False, f"1/{digits}", 1 / value
        yield "scaled", False, f"\\frac{{1}}{{{digits}}}", 1 / value
        yield "scaled", False, f"{digits}²", value**2
        yield "scaled", False, f"{digits}^2", value**2
        yield "scaled", False, f"\\sqrt{{{digits}}}", Fraction(float(value) ** 0.5) if value > 0 else -value
    yield "scaled", False, f"{digits}/7", value / 7
    yield "scaled", False, f"{digits} 1/2", value + Fraction(1, 2)


def wrong_units(row: Row) -> Iterator[tuple[str, str]]:
    unit = unit_asked_for(row)
    if unit and row.value:
        yield from (("other unit, not converted", f"{row.digits} {other}") for other in siblings(unit))


def several(row: Row, chance: random.Random) -> Iterator[tuple[str, str]]:
    digits, other, thing = row.digits, plain(near(row, chance)), thing_asked_for(row)
    below, above = plain(row.value - 1), plain(row.value + 1)
    for first, second in ((digits, other), (other, digits)):
        yield "two candidates", f"{first} or {second}"
        yield "two candidates", f"either {first} or {second}"
        yield "two candidates", f"{first}, or maybe {second}"
        yield "two candidates", f"{first} (or {second})"
        yield "two candidates", f"{first} {thing} or {second} {thing}"
        yield "two candidates", f"{first} and {second}"
        yield "two candidates", f"{first}, {second}"
        yield "two candidates", f"maybe {first}, maybe {second}"
        yield "two candidates", f"{first}. Or {second}"
        yield "two candidates", f"${first} or ${second}"
    yield "range", f"between {below} and {above}"
    yield "range", f"{digits}-{above}"
    yield "range", f"{digits} to {above}"
    yield "range", f"from {below} to {digits}"
    yield "list", f"{below}, {digits}, {above}"
    yield "list", f"{below} {above} {digits}"
    yield "list", f"{below}; {above}; {digits}"
    yield "list", f"one of {below}, {above}, {digits}"
    yield "list", f"{below} {thing}, {above} {thing}, {digits} {thing}"
    yield "bullets", f"\n- {below}\n- {above}\n- {digits}"
    yield "bullets", f"\n1. {below}\n2. {above}\n3. {digits}"
    numbers = [plain(number) for number in (*row.other_numbers[:3], row.value)]
    if len(numbers) > 2:
        yield "list", ", ".join(numbers)


def denied(row: Row, chance: random.Random) -> Iterator[tuple[str, str]]:
    digits, other = row.digits, plain(near(row, chance))
    yield "denied", f"not {digits}"
    yield "denied", f"certainly not {digits}"
    yield "denied", f"not equal to {digits}"
    yield "denied", f"anything but {digits}"
    yield "denied", f"≠ {digits}"
    yield "denied", f"{other}, not {digits}"
    yield "denied", f"not {digits} but {other}"
    yield "bounded", f"less than {digits}"
    yield "bounded", f"more than {digits}"
    yield "bounded", f"at least {digits}"
    yield "bounded", f"up to {digits}"
    yield "bounded", f"> {digits}"
    yield "part of it", f"half of {digits}"
    yield "part of it", f"twice {digits}"
    yield "part of it", f"{digits} squared"
    yield "part of it", f"the square root of {digits}"


def not_worked_out(row: Row) -> Iterator[tuple[str, str]]:
    yield "not worked out", f"{row.digits} + 0"
    yield "not worked out", f"{plain(row.value + 5)} - 5"
    yield "not worked out", f"{row.digits}x"
    yield "not worked out", f"x + {row.digits}"
    yield "false equation", f"{plain(row.value + 1)} = {row.digits}"
    yield "false equation", f"{plain(row.value)} + 1 = {row.digits}"
    yield "no number", ""
    yield "no number", "unknown"
    yield "no number", "a lot of them"


def withdrawn(row: Row, chance: random.Random) -> Iterator[tuple[str, str]]:
    other = plain(near(row, chance))
    yield "withdrawn", f"{row.digits}. No wait, {other}."
    yield "withdrawn", f"{row.digits}. Wait, no, that is wrong. It is {other}."
    yield "withdrawn", f"{row.digits}. Scratch that, it should be {other}."
    yield "withdrawn", f"{row.digits}. No wait, that is wrong."


# Whole answers, most of them without anything that marks a claim.


def whole_answers(row: Row, chance: random.Random) -> Iterator[tuple[Claim, str]]:
    wrong = near(row, chance)
    for right, value in ((True, row.value), (False, wrong)):
        for kind, text in said(row, value):
            yield Claim(kind, right, text, value), "whole answer"
    if last_number_is_the_answer(row):
        yield Claim("real working", True, row.working, row.value), "whole answer"
        yield (
            Claim("real working, no number in the last sentence", True, f"{row.working}\nSo that is the answer."),
            "whole answer",
        )
        twisted = swapped_result(row, wrong)
        if twisted:
            yield Claim("real working, wrong at the end", False, twisted, wrong), "whole answer"
    for kind, text in nothing_said(row, chance):
        yield Claim(kind, False, text), "whole answer"


def said(row: Row, value: Fraction) -> Iterator[tuple[str, str]]:
    """With the right value a right answer, with a wrong one a wrong one."""
    digits, thing, working = plain(value), thing_asked_for(row), row.working
    facts = [fact for fact in re.split(r"(?<=[.!?])\s+", row.question) if fact.endswith(".") and re.search(r"\d", fact)]
    yield (
        "no number in the last sentence",
        f"{working}\nSo there are {digits} {thing} altogether. So that is the answer.",
    )
    yield "no number in the last sentence", f"{working}\nIt is {digits}.\n\nThis is what was asked for."
    yield "result first", f"{digits}"
    yield "question repeated before", f"{row.question}\n{working}\nThe answer is {digits}."
    yield "question repeated before", f"{row.question}\n{working}\nSo the result is {digits}."
    yield "question repeated after", f"{working}\nThe answer is {digits}.\n\nThe question was: {row.question}"
    yield "question repeated after", f"{working}\nSo the result is {digits}.\n\nThe question was: {row.question}"
    yield "question repeated in the markers", in_markers(working, f"{row.question}\nThe answer is {digits}.")
    for fact in facts[-1:]:
        yield "fact repeated after", f"{working}\nThe answer is {digits}. {fact}"
        yield "fact repeated after", f"{working}\nSo the result is {digits}. {fact}"
        yield "fact repeated in the markers", in_markers(working, f"{fact} So the result is {digits}.")
    given = [plain(number) for number in row.other_numbers][:2]
    if len(given) == 2 and given[0] != digits and given[1] != digits:
        numbers = f"{given[0]} and {given[1]}"
        yield (
            "numbers repeated after",
            f"{working}\nSo the result is {digits}. This follows from the {numbers} of the question.",
        )
        yield "numbers repeated after", f"{working}\nTherefore, it is {digits}. (The question gave us {numbers}.)"
        yield "numbers repeated in the markers", in_markers(working, f"From {numbers} we get the answer: {digits}")
        yield (
            "numbers repeated in the markers",
            in_markers(working, f"The question gave us {numbers}, so it is {digits}."),
        )
    yield "right one in the reasoning", in_markers(f"{working} So it is {row.digits}.", digits)
    yield "two equal blocks", f"<SOLUTION>{digits}</SOLUTION>\n<SOLUTION>{digits}.0</SOLUTION>"
    yield "two equal boxes", in_markers(working, f"\\boxed{{{digits}}}, that is \\boxed{{{digits}.0}}")


def last_number_is_the_answer(row: Row) -> bool:
    """Of the rows' own workings only those are taken whose last step gives the answer and whose last line says it."""
    line = row.working.splitlines()[-1]
    numbers = re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", line)
    done = bool(row.sums) and row.sums[-1][1] == row.digits
    return done and bool(numbers) and numbers[-1].replace(",", "") == row.digits and "=" in line


def swapped_result(row: Row, wrong: Fraction) -> str:
    start = row.working.rfind(row.grouped)
    return f"{row.working[:start]}{plain(wrong)}{row.working[start + len(row.grouped) :]}" if start >= 0 else ""


def nothing_said(row: Row, chance: random.Random) -> Iterator[tuple[str, str]]:
    digits, other, thing = row.digits, plain(near(row, chance)), thing_asked_for(row)
    yield "empty", ""
    yield "empty", in_markers(row.working, "")
    yield "echo", row.question
    yield "echo", in_markers(row.question, row.question)
    yield "echo", f"The question is: {row.question}"
    yield "list without markers", f"It is one of {plain(row.value - 1)}, {plain(row.value + 1)}, {digits}"
    yield "hedged", f"I think that it is {other}. It might also be {digits}."
    yield "hedged", f"It could be {other} {thing}. Alternatively, it could be {digits} {thing}."
    yield "denied", f"I am sure that it is not {digits}."
    yield "denied", f"Some would say that it is {digits}, but {digits} is wrong."
    yield "denied", f"It isn't {digits} {thing}."
    yield "denied", f"The result can't be {digits}."
    yield "denied", f"{digits} is not the answer."
    yield "two blocks", f"<SOLUTION>{other}</SOLUTION><SOLUTION>{digits}</SOLUTION>"
    yield "two blocks", f"<SOLUTION>{digits}</SOLUTION><SOLUTION>{other}</SOLUTION>"
    yield "two boxes", in_markers(row.working, f"\\boxed{{{digits}}} \\boxed{{{other}}}")
    yield "two boxes", f"So \\boxed{{{other}}} or \\boxed{{{digits}}}."
    yield (
        "answer lines that are withdrawn",
        f"{row.working}\nThe answer is {digits}.\nNo wait, that is wrong. The answer is {other}.",
    )
    yield "answer lines that are withdrawn", f"{row.working}\nThe answer is {digits}.\nNo wait, it is {other}."


def half_as_much_again(row: Row, chance: random.Random) -> Iterator[Solution]:
    """GSM8K's answers are whole numbers: the same question with a half more, for fractions and mixed numbers."""
    whole, value = row.value.numerator, row.value + Fraction(1, 2)
    if row.value.denominator != 1 or whole < 1:
        return
    double = value.numerator
    right = (
        f"{whole} 1/2",
        f"{whole}\\frac{{1}}{{2}}",
        f"{whole}½",
        f"{whole} and a half",
        f"{double}/2",
        f"\\dfrac{{{double}}}{{2}}",
        f"{whole}.50",
    )
    wrong = (
        f"{whole} 1/3",
        f"{whole}\\frac{{1}}{{3}}",
        f"{whole}⅓",
        f"{whole}1/2",
        f"2/{double}",
        f"\\frac{{2}}{{{double}}}",
        f"{whole}",
        f"{whole}.05",
    )
    claims = [Claim("mixed number", True, text, value) for text in right] + [
        Claim("mixed number", False, text) for text in wrong
    ]
    for claim in claims:
        form = chance.choice(fitting(claim))
        answer = f"{whole}.5"
        yield Solution(claim, form, Sample(row.question, FORMS[form](row.working, claim.text), answer, markers=MARKERS))
