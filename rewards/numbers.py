"""Numbers as people and models write them: $1,234.50, 3/4, 1 1/2, 25%, \\frac{3}{4}, 7.2 x 10^3, 2 million, -5 km.

Everything is exact (Fraction). A text stands for a number only if nothing in it says otherwise: several numbers, a
negation, a comparison or an operator that is not worked out make it no number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

LONGEST_ANSWER = 500
SIGNS = str.maketrans({"−": "-", "–": "-", "﹣": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "⁄": "/"})
GLYPHS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8"}

LATEX = [
    (re.compile(r"\\[dtc]?frac\s*\{\s*(-?[\d.]+)\s*\}\s*\{\s*([\d.]+)\s*\}"), r" \1/\2"),
    (re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)"), r" \1/\2"),
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf|boxed|mbox)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"(\d)(?:\{,\}|\\,|\\!|\\ )(?=\d{3})"), r"\1,"),
    (re.compile(r"\\(?:left|right|displaystyle|quad|[,;:! ])"), " "),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree|°"), " degrees"),
    (re.compile(r"\\([$%#&_])"), r"\1"),
    (re.compile(r"(\d)\s*(?:\\times|\\cdot|×|\*|x)\s*10\s*\^\s*\{?\s*([-+]?\d{1,3})\s*\}?"), r"\1e\2"),
    (re.compile(r"(?<=[A-Za-z])\^\{?[23]\}?|[²³]"), ""),
]

DIGITS = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d{1,60}+)(?:\.\d{1,60}+)?|\.\d{1,60}+"
NUMBER = re.compile(
    rf"(?<![A-Za-z0-9_])(?:(?P<whole>\d{{1,9}})[ ]++(?=\d{{1,9}}/\d))?(?P<number>{DIGITS})"
    rf"(?:[eE](?P<power>[-+]?\d{{1,3}})(?!\d))?(?:[ ]?/[ ]?(?P<over>\d{{1,60}}+(?:\.\d{{1,60}}+)?))?"
    r"(?P<percent>[ ]?%|[ ]percent\b)?"
    r"(?:[ ]?(?P<scale>hundred|thousand|million|billion|trillion|dozen|[kK](?![A-Za-z])))?"
)
SCALES = {"hundred": 100, "thousand": 1000, "k": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
SCALES["dozen"] = 12

MINUS_BEFORE = re.compile(
    r"(?:(?:^|[^A-Za-z0-9)\]}%\s])\s{0,3}-\s?|[A-Za-z]\s{1,3}-)[$€£]?\s?$|\b(?:minus|negative)\s$", re.IGNORECASE
)
DENIED_BEFORE = re.compile(
    r"(?:\b(?:not|never|neither|nor|no|except|cannot|half of|twice|double|triple|"
    r"(?:less|more|fewer|greater|other|rather|larger|smaller|bigger) than|at least|at most|square root of)"
    r"|n't|n’t|[<>≠≤≥]|\\(?:neq?|lt|gt|leq?|geq?))\s*(?:(?:be|is|equal|to|exactly|[-$€£])\s*){0,3}$",
    re.IGNORECASE,
)
OPERATOR_BEFORE = re.compile(
    r"(?:[+*/^×÷√!|]|\\\w+\s*\{?|[A-Za-z]{2,6}\()\s?$|(?:[0-9)\]}%]\s?|[A-Za-z])-\s?[$€£]?$|[A-Za-z]\s-\s[$€£]?$"
)
# A letter right behind a number is a unit (3h) or a variable (2x): a unit only if it is one of LETTER_UNITS.
UNWORKED = re.compile(
    r"[\^!*+=<>≠≤≥|\\_√×÷]|(?<![A-Za-z])/|/(?![A-Za-z])|\bminus\b|\bplus\b|\bsquared\b|\bcubed\b|\bhalf\b"
    r"|\bor\b|\bif\b|\bnot\b|n't\b|\bwrong\b|\bincorrect\b|\bfalse\b"
)
VARIABLE = re.compile(r"^[a-zA-Z](?![A-Za-z])")
LETTER_UNITS = set("mghslLCFKNVWJA")
JOINS = re.compile(r"^(?:[\s,;|/&]|\bor\b|\band\b|\bto\b|[-*•]\s?)*$", re.IGNORECASE)

UNITS = {
    "length km": "km kilometer kilometers kilometre kilometres",
    "length m": "m meter meters metre metres",
    "length cm": "cm centimeter centimeters centimetre centimetres",
    "length mm": "mm millimeter millimeters millimetre millimetres",
    "length mi": "mi mile miles",
    "length ft": "ft foot feet",
    "length in": "inch inches",
    "mass kg": "kg kilogram kilograms",
    "mass g": "g gram grams",
    "mass lb": "lb lbs",
    "volume l": "l liter liters litre litres",
    "volume ml": "ml milliliter milliliters millilitre millilitres",
    "time s": "s sec second seconds",
    "time min": "min minute minutes",
    "time h": "h hr hrs hour hours",
    "time day": "day days",
    "time week": "week weeks",
    "time year": "year years",
    "money $": "$ dollar dollars usd",
    "money cent": "cent cents ¢",
    "money €": "€ euro euros eur",
    "money £": "£ gbp",
}
UNIT_OF = {word: unit for unit, words in UNITS.items() for word in words.split()}


@dataclass(frozen=True)
class Quantity:
    value: Fraction
    percent: bool = False
    unit: str = ""


def clean(text: str) -> str:
    text = text.translate(SIGNS)
    for glyph, plain in GLYPHS.items():
        text = text.replace(glyph, f" {plain}")
    for pattern, replacement in LATEX:
        text = pattern.sub(replacement, text)
    text = text.strip().strip("`*_").rstrip(".,;:`*_ ")
    # Two dollar signs round a formula are LaTeX, one is money.
    return text.strip("$").strip() if text.count("$") == 2 else text


def quantity(text: str) -> Quantity | None:
    """The one number that `text` stands for, or None. Of "48 + 24 = 72" it is 72; of "71 = 72" there is none."""
    if len(text) > LONGEST_ANSWER:
        return None
    sides = clean(text).split("=")
    last = _plain(sides[-1])
    if last is None or not all(_agrees(side, last) for side in sides[:-1]):
        return None
    return last


def last_quantity(text: str) -> Quantity | None:
    """The last number of free text, unless it is one of several candidates, denied, or part of an open sum."""
    text = clean(text[-LONGEST_ANSWER * 4 :])
    matches = list(NUMBER.finditer(text))
    if not matches:
        return None
    run = _run_of_candidates(text, matches)
    values = {_read(text, match).value for match in run if _readable(match)}
    last = matches[-1]
    before = text[max(0, last.start() - 60) : last.start()]
    if len(values) != 1 or not _readable(last) or DENIED_BEFORE.search(before) or OPERATOR_BEFORE.search(before):
        return None
    return _read(text, last)


def _run_of_candidates(text: str, matches: list[re.Match[str]]) -> list[re.Match[str]]:
    run = [matches[-1]]
    for match in reversed(matches[:-1]):
        if not JOINS.match(text[match.end() : run[-1].start()].replace("$", "")):
            break
        run.append(match)
    return run


def _plain(text: str) -> Quantity | None:
    matches = list(NUMBER.finditer(text))
    if not matches or not all(_readable(match) for match in matches):
        return None
    first, around = matches[0], NUMBER.sub(" ", text)
    before, after = text[: first.start()], text[first.end() :]
    if len(matches) > 1 or DENIED_BEFORE.search(before) or OPERATOR_BEFORE.search(before):
        return None
    if UNWORKED.search(around.replace("-", " ")) or _is_variable(after) or _is_variable(before.strip()):
        return None
    return _read(text, first)


def _is_variable(after: str) -> bool:
    return bool(VARIABLE.match(after)) and after[0] not in LETTER_UNITS


def _readable(match: re.Match[str]) -> bool:
    return not (match["over"] and Fraction(match["over"]) == 0)


def _read(text: str, match: re.Match[str]) -> Quantity:
    value = Fraction(match["number"].replace(",", ""))
    if match["power"]:
        value *= Fraction(10) ** int(match["power"])
    if match["over"]:
        value /= Fraction(match["over"])
    value += int(match["whole"] or 0)
    value *= SCALES.get((match["scale"] or "").lower(), 1)
    before = text[max(0, match.start() - 12) : match.start()]
    if MINUS_BEFORE.search(before):
        value = -value
    return Quantity(value, bool(match["percent"]), _unit(before, text[match.end() : match.end() + 40]))


def _unit(before: str, after: str) -> str:
    sign = before.strip()[-1:]
    if sign in ("$", "€", "£"):
        return UNIT_OF[sign]
    word = re.match(r"\s?-?([A-Za-z¢$€£]+)", after)
    return UNIT_OF.get(word[1], UNIT_OF.get(word[1].lower(), "")) if word else ""


def _agrees(side: str, last: Quantity) -> bool:
    """What stands left of "=": a name for the number, the number itself, or a sum that gives it."""
    if not re.search(r"\d", side):
        return True
    same = _plain(side)
    if same is not None and "/" not in side:
        return same.value == last.value
    value, rounding = worked_out(side), abs(last.value) / 200
    return value is not None and abs(value - last.value) <= rounding


def worked_out(text: str) -> Fraction | None:
    """The value of plain arithmetic (+ - * / and parentheses); None for anything else."""
    plain = re.sub(r"\\times|\\cdot|×|(?<=\d)\s*x\s*(?=\d)", "*", text).replace("÷", "/").replace("\\div", "/")
    tokens = re.findall(r"\d[\d,]*(?:\.\d+)?|\.\d+|[-+*/()]|\S", re.sub(r"[$€£%]|(?<=\d)\s*[A-Za-z]{2,}", "", plain))
    try:
        value, rest = _sum([token.replace(",", "") for token in tokens[:200]])
    except (ValueError, ZeroDivisionError, IndexError, RecursionError):
        return None
    return None if rest else value


def _sum(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, tokens = _product(tokens)
    while tokens and tokens[0] in "+-":
        sign = 1 if tokens[0] == "+" else -1
        term, tokens = _product(tokens[1:])
        value += sign * term
    return value, tokens


def _product(tokens: list[str]) -> tuple[Fraction, list[str]]:
    value, tokens = _factor(tokens)
    while tokens and tokens[0] in "*/":
        divide = tokens[0] == "/"
        factor, tokens = _factor(tokens[1:])
        value = value / factor if divide else value * factor
    return value, tokens


def _factor(tokens: list[str]) -> tuple[Fraction, list[str]]:
    if tokens[0] == "-":
        value, rest = _factor(tokens[1:])
        return -value, rest
    if tokens[0] == "(":
        value, rest = _sum(tokens[1:])
        if rest[0] != ")":
            raise ValueError("missing parenthesis")
        return value, rest[1:]
    return Fraction(tokens[0]), tokens[1:]
