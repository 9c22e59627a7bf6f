"""Numbers as people and models write them: $1,234.50, 3/4, 1 1/2, 25%, \\frac{3}{4}, 7.2 x 10^3, 2 million, -5 km.

Everything is exact (Fraction). A text stands for a number only if nothing in it says otherwise: several numbers, a
negation, a comparison or an operator that is not worked out make it no number. What two numbers say together counts as
one where it is one: 1 hour and 30 minutes; 72 (48 + 24); 72, not 71.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

LONGEST_ANSWER = 500
SIGNS = str.maketrans({"−": "-", "–": "-", "﹣": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "⁄": "/", "’": "'"})
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
GLYPHS = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8"}

SPELLINGS = [
    (re.compile(r"(?<=\d)[\u00a0\u202f\u2009](?=\d{3}(?!\d))"), ","),
    (re.compile(r"\*\*([^*\n]{1,200})\*\*"), r"\1"),
    (re.compile(r"\$\$|\\[()\[\]]"), " "),
    (re.compile(r"\$(-?\d[\d.,]*)\$(?!\d)"), r"\1"),
    (re.compile(r"(\d),? and (?:a|one)[ -]half\b", re.IGNORECASE), r"\1 1/2"),
    (re.compile(r"\bper cent\b", re.IGNORECASE), "percent"),
]
LATEX = [
    (re.compile(r"\\[dtc]?frac\s*\{\s*(-?[\d.]+)\s*\}\s*\{\s*([\d.]+)\s*\}"), r" \1/\2"),
    (re.compile(r"\\[dtc]?frac\s*(\d)\s*(\d)"), r" \1/\2"),
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf|boxed|mbox)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"(\d)(?:\{,\}|\\,|\\!|\\ )(?=\d{3})"), r"\1,"),
    (re.compile(r"\\(?:left|right|displaystyle|quad|[,;:! ])"), " "),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree|°"), " degrees"),
    (re.compile(r"\\([$%#&_])"), r"\1"),
    (re.compile(r"(\d)\s*(?:\\times|\\cdot|×|\*|x)\s*10\s*\^\s*\{?\s*([-+]?\d{1,3})\s*\}?"), r"\1e\2"),
    (re.compile(r"(\d\s{0,3}[A-Za-z]{1,20})\s?(?:\^\{?[23]\}?|[²³])(?![A-Za-z0-9(])"), r"\1"),
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
    r"(?:less|more|fewer|greater|other|rather|larger|smaller|bigger) than|at least|at most|up to|anything but"
    r"|different from|square root of)"
    r"|n't|n’t|[<>≠≤≥]|\\(?:neq?|lt|gt|leq?|geq?))\s*(?:(?:be|is|equal|to|exactly|[-$€£])\s*){0,3}$",
    re.IGNORECASE,
)
DENIED_AFTER = re.compile(
    r"^[^.!?\n]{0,40}?(?:\b(?:is|was|are|would be) (?:not (?:the|right|correct|it)\b|wrong\b|incorrect\b|false\b)"
    r"|(?:isn't|wasn't|can't be|cannot be) (?:the|right|correct)\b)",
    re.IGNORECASE,
)
OPERATOR_BEFORE = re.compile(
    r"(?:[+*/^×÷√!|]|\^\{|\\\w+\s*\{?|[A-Za-z]{2,6}\()\s?$|(?:[0-9)\]}%]\s?|[A-Za-z])-\s?[$€£]?$|[A-Za-z]\s-\s[$€£]?$"
)
# A letter right behind a number is a unit (3h) or a variable (2x): a unit only if it is one of LETTER_UNITS.
UNWORKED = re.compile(
    r"[\^*+=<>≠≤≥|\\_√×÷]|(?<![A-Za-z])[!/]|/(?![A-Za-z])|\bminus\b|\bplus\b|\bsquared\b|\bcubed\b|\bhalf\b"
    r"|\bor\b|\bif\b|\bnot\b|n't\b|\bwrong\b|\bincorrect\b|\bfalse\b"
)
VARIABLE = re.compile(r"^(?:[A-Za-z]{1,2}| [xyz])(?![A-Za-z])")
LETTER_UNITS = {*"mghslLCFKNVWJA", "am", "pm", "th", "st", "nd", "rd"}
# What stands left of "=" is a name, or an equation in letters.
IN_LETTERS = re.compile(r"(?<![A-Za-z])[A-Za-z]\s?[-+*/^²³]|[-+*/^]\s?[A-Za-z](?![A-Za-z])|\bnot\b|n't\b|≠")
JOINS = re.compile(r"^(?:[\s,;|/&]|\bor\b|\band\b|\bto\b|[-*•]\s?)*$", re.IGNORECASE)
# What makes the number before it a candidate beside the one behind it, even across a full stop.
ALTERNATIVE = re.compile(
    r"\b(?:or|alternatively|otherwise|maybe|perhaps|possibly|(?:might|could|may) (?:also |just as well )?be)\b",
    re.IGNORECASE,
)
FARTHEST_ALTERNATIVE = 60
# What makes a sentence with several numbers come to its last one, and what keeps it from deciding.
COMES_TO = re.compile(
    r"(?:=|\b(?:is|are|was|were|be|makes?|made|equals?|gives?|gets?|got|has|have|had|earn(?:s|ed)?|costs?|needs?|totals?"
    r"|leaves?|left|spends?|spent|pays?|paid|raised|sold|sells?|altogether)\b)[^.;:?\d]{0,40}$",
    re.IGNORECASE,
)
UNDECIDED = re.compile(
    r"\b(?:or|either|might|between(?=\s*[-$€£]?\d)|guess(?:es)?|unsure|unless)\b|\?|[;:]\s*[-$€£]?\d", re.IGNORECASE
)
# "73 = 72" is no sentence.
PROSE, FEWEST_WORDS = re.compile(r"(?<!\\)\b[A-Za-z]{2,}"), 2
# "3 apples, 5 apples": the same word behind each.
LISTED = re.compile(r"^\s?([A-Za-z]+)[,;]\s$")
AMOUNT = r"[-$€£]{0,2}\d[\d,]*(?:\.\d+)?"
OTHER_DENIED = [
    (re.compile(rf"\bnot {AMOUNT}(?: [a-z]+)?,? but (?=\S*\d)", re.IGNORECASE), ""),
    (re.compile(rf"(\d[^\n.;]{{0,30}}?),? (?:and )?not {AMOUNT}(?: [a-z]+)?$", re.IGNORECASE), r"\1"),
]
BECAUSE = re.compile(r",?\s\b(?:because|since)\b", re.IGNORECASE)
SO = re.compile(r"\b(?:so|therefore|thus|hence)\b,?", re.IGNORECASE)
SPACED_END = re.compile(r"(?<![\d.,/])(?<![\d.,/] )\d{1,3}(?: \d{3})+$")
BRACKETS_END = re.compile(r"\s\((?=[^()]*\d)([^()]{1,80})\)$")
IN_BRACKETS = re.compile(r"\s\(([^()]{1,80})\)")
SPACED = re.compile(r"(?<![\d.,/])\d{1,3}(?: \d{3})+(?![\d/]|[.,]\d)")

# Each unit with its kind and its size among that kind; what a year or a month has of days differs.
UNITS = {
    "km": ("length", "1000", "km kilometer kilometers kilometre kilometres"),
    "m": ("length", "1", "m meter meters metre metres"),
    "cm": ("length", "1/100", "cm centimeter centimeters centimetre centimetres"),
    "mm": ("length", "1/1000", "mm millimeter millimeters millimetre millimetres"),
    "mi": ("length, imperial", "63360", "mi mile miles"),
    "yd": ("length, imperial", "36", "yd yard yards"),
    "ft": ("length, imperial", "12", "ft foot feet"),
    "in": ("length, imperial", "1", "inch inches"),
    "kg": ("mass", "1000", "kg kilogram kilograms"),
    "g": ("mass", "1", "g gram grams"),
    "lb": ("mass, imperial", "16", "lb lbs"),
    "pound": ("mass, imperial", "16", "pound pounds"),
    "oz": ("mass, imperial", "1", "oz ounce ounces"),
    "l": ("volume", "1000", "l liter liters litre litres"),
    "ml": ("volume", "1", "ml milliliter milliliters millilitre millilitres"),
    "s": ("time", "1", "s sec second seconds"),
    "min": ("time", "60", "min minute minutes"),
    "h": ("time", "3600", "h hr hrs hour hours"),
    "day": ("time", "86400", "day days"),
    "week": ("time", "604800", "week weeks"),
    "month": ("calendar", "1", "month months"),
    "year": ("calendar", "12", "year years"),
    "$": ("dollars", "100", "$ dollar dollars usd"),
    "cent": ("dollars", "1", "cent cents ¢"),
    "€": ("euros", "1", "€ euro euros eur"),
    "£": ("pounds", "1", "£ gbp"),
}
UNIT_OF = {word: unit for unit, (_, _, words) in UNITS.items() for word in words.split()}
SAME_WORD = {"£", "pound"}
SMALL = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
WORD_VALUES = {word: i for i, word in enumerate(SMALL)} | {word: 10 * i for i, word in enumerate(TENS, 2)}
WORD_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6}
IN_WORDS = re.compile(
    rf"\b(?:{'|'.join(WORD_VALUES)})\b(?:(?:[ -]|,? and )(?:{'|'.join([*WORD_VALUES, *WORD_SCALES])})\b)*+",
    re.IGNORECASE,
)
# In free text "one" and "two" mean many things; only the last sentence's own result is read.
SPOKEN_RESULT = re.compile(
    r"\b(?:result|answer|total|sum|number)\b[^.!?\n\d]{0,40}\b(?:is|to|of|=) "
    rf"({IN_WORDS.pattern})(?: [^.!?\n\d]{{0,40}})?$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Quantity:
    value: Fraction
    percent: bool = False
    unit: str = ""

    def in_unit(self, unit: str) -> Quantity | None:
        """The same quantity in another unit of its kind; None for another kind."""
        if {self.unit, unit} == SAME_WORD:
            return Quantity(self.value, self.percent, unit)
        if not self.unit or not unit or UNITS[self.unit][0] != UNITS[unit][0]:
            return None
        return Quantity(self.value * Fraction(UNITS[self.unit][1]) / Fraction(UNITS[unit][1]), self.percent, unit)

    def says_the_same(self, other: Quantity) -> bool:
        same = self.in_unit(other.unit) or self
        worth = (quantity.value / (100 if quantity.percent else 1) for quantity in (same, other))
        return same.value == other.value or len(set(worth)) == 1


def clean(text: str) -> str:
    for pattern, replacement in SPELLINGS:
        text = pattern.sub(replacement, text)
    text = re.sub(r"(?<=\d)[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda match: f"^{{{match[0].translate(RAISED)}}}", text.translate(SIGNS))
    for glyph, plain in GLYPHS.items():
        text = text.replace(glyph, f" {plain}")
    for pattern, replacement in LATEX:
        text = pattern.sub(replacement, text)
    text = text.strip().strip("`*_").rstrip(".,;:`*_ ")
    for pattern, replacement in OTHER_DENIED:
        text = pattern.sub(replacement, text)
    # Two dollar signs round a formula are LaTeX, one is money.
    return text.strip("$").strip() if text.count("$") == 2 else text


def quantity(text: str) -> Quantity | None:
    """The one number that `text` stands for, or None. Of "48 + 24 = 72" it is 72; of "71 = 72" there is none."""
    if len(text) > LONGEST_ANSWER:
        return None
    return _result(SPACED.sub(lambda match: match[0].replace(" ", ""), in_digits(clean(text))))


def concluded(text: str) -> Quantity | None:
    """As `quantity`, where the number may also stand with what it follows from: "72, because …", "…, so 72"."""
    if (whole := quantity(text)) is not None or len(text) > LONGEST_ANSWER:
        return whole
    plain = clean(text)
    brackets = IN_BRACKETS.search(plain)
    if brackets and (said := quantity(plain[: brackets.start()] + plain[brackets.end() :])):
        return said if _repeats(brackets[1], said) else None
    reason = None if ALTERNATIVE.search(plain) else BECAUSE.search(plain)
    if reason and (said := quantity(plain[: reason.start()])):
        return said
    *_, last = [None, *SO.finditer(plain)]
    if last and (said := quantity(plain[last.end() :])):
        return said
    first, _, more = plain.partition("\n")
    return quantity(first) if not re.search(r"\d", more) and quantity(first) else _come_to(plain)


def _come_to(text: str) -> Quantity | None:
    """What a sentence with several numbers comes to: "9 eggs at $2 make $18." None if it leaves a choice."""
    if len(PROSE.findall(text)) < FEWEST_WORDS or UNDECIDED.search(text) or ALTERNATIVE.search(text):
        return None
    *_, last = [None, *NUMBER.finditer(text)]
    if last is None or not COMES_TO.search(text[: last.start()].rstrip("-$€£ ")):
        return None
    return _last_of(text)


def _repeats(text: str, said: Quantity) -> bool:
    again = quantity(text)
    return again.says_the_same(said) if again else worked_out(text) == said.value


def in_digits(text: str) -> str:
    """Number words as digits, in a text that has none: "two hundred and five clips" is "205 clips"."""
    return text if re.search(r"\d", text) else IN_WORDS.sub(lambda match: str(_value_of_words(match[0])), text)


def _value_of_words(words: str) -> int:
    total = part = 0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word in WORD_VALUES:
            part += WORD_VALUES[word]
        elif word == "hundred":
            part *= 100
        elif word in WORD_SCALES:
            total, part = total + part * WORD_SCALES[word], 0
    return total + part


def _result(text: str) -> Quantity | None:
    sides = text.split("=")
    last = _plain(sides[-1])
    if last is None or not all(_agrees(side, last) for side in sides[:-1]):
        return None
    return last


def last_quantity(text: str) -> Quantity | None:
    """The last number of free text, unless it is one of several candidates, denied, or part of an open sum."""
    text = clean(text[-LONGEST_ANSWER * 4 :])
    text = SPACED_END.sub(lambda match: match[0].replace(" ", ""), text)
    if spoken := SPOKEN_RESULT.search(text):
        return Quantity(Fraction(_value_of_words(spoken[1])))
    if (brackets := BRACKETS_END.search(text)) and (said := _last_of(text[: brackets.start()])):
        return said if _repeats(brackets[1], said) else None
    return _last_of(text)


def _last_of(text: str) -> Quantity | None:
    matches = list(NUMBER.finditer(text))
    if not matches:
        return None
    last = matches[-1]
    if not _readable(last) or _questioned(text, last):
        return None
    if together := _compound(text, matches[-2:]):
        return together
    said = _read(text, last)
    candidates = [match for match in _run_of_candidates(text, matches) if _readable(match)]
    return said if all(_read(text, match).says_the_same(said) for match in candidates) else None


def _questioned(text: str, match: re.Match[str]) -> bool:
    """Denied, compared, or only a part of something."""
    before, after = text[max(0, match.start() - 60) : match.start()], text[match.end() : match.end() + 80]
    return bool(
        DENIED_BEFORE.search(before)
        or OPERATOR_BEFORE.search(before)
        or DENIED_AFTER.search(after)
        or _is_variable(after)
        or re.match(r"\s?(?:\^|squared\b|cubed\b)", after)
    )


def _run_of_candidates(text: str, matches: list[re.Match[str]]) -> list[re.Match[str]]:
    run = [matches[-1]]
    for match in reversed(matches[:-1]):
        if not _beside(text, match, run[-1]):
            break
        run.append(match)
    return run


def _beside(text: str, match: re.Match[str], following: re.Match[str]) -> bool:
    between = text[match.end() : following.start()]
    if JOINS.match(between.replace("$", "")):
        return True
    if listed := LISTED.match(between):
        return bool(re.match(rf"\s?{listed[1]}\b", text[following.end() :]))
    return len(between) <= FARTHEST_ALTERNATIVE and bool(ALTERNATIVE.search(between))


def _compound(text: str, matches: list[re.Match[str]]) -> Quantity | None:
    """1 hour and 30 minutes, 5 feet 3 inches: the second is less than one of the first."""
    if len(matches) != 2 or not all(map(_readable, matches)):
        return None
    between = text[matches[0].end() : matches[1].start()]
    first, second = (_read(text, match) for match in matches)
    whole = first.in_unit(second.unit)
    if whole is None or not re.match(r"\s?[A-Za-z]+,?(?: and)?\s$", between) or first.value <= 0:
        return None
    return (
        Quantity(whole.value + second.value, unit=second.unit)
        if 0 <= second.value < whole.value / first.value
        else None
    )


def _plain(text: str) -> Quantity | None:
    matches = list(NUMBER.finditer(text))
    if not matches or not all(_readable(match) for match in matches):
        return None
    together = _compound(text, matches)
    first, around = matches[0], NUMBER.sub(" ", text)
    before, after = text[: first.start()], text[first.end() :]
    if (len(matches) > 1 and not together) or DENIED_BEFORE.search(before) or OPERATOR_BEFORE.search(before):
        return None
    if UNWORKED.search(around.replace("-", " ")) or _is_variable(after) or _is_letter(before.strip()):
        return None
    return together or _read(text, first)


def _is_letter(before: str) -> bool:
    return bool(re.match(r"[A-Za-z](?![A-Za-z])", before)) and before[0] not in LETTER_UNITS


def _is_variable(after: str) -> bool:
    letters = VARIABLE.match(after)
    return letters is not None and letters[0] not in LETTER_UNITS and letters[0].lower() not in UNIT_OF


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
    word = re.match(r"\s{0,3}-?([A-Za-z¢$€£]+)", after)
    return UNIT_OF.get(word[1], UNIT_OF.get(word[1].lower(), "")) if word else ""


def _agrees(side: str, last: Quantity) -> bool:
    """What stands left of "=": a name for the number, the number itself, or a sum that gives it."""
    if not re.search(r"\d", side):
        return not IN_LETTERS.search(side)
    same = _plain(side)
    if same is not None and "/" not in side:
        return same.value == last.value
    # A quotient may be rounded, and so may what decimals come to.
    value, rounding = worked_out(side), abs(last.value) / 200 if re.search(r"[/.÷]", side) else 0
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
