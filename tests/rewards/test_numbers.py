from fractions import Fraction

import pytest

from rewards.numbers import concluded, last_quantity, quantity, worked_out

ONE_NUMBER = {
    "72": 72, "72.0": 72, "$72": 72, "72 clips": 72, "\\boxed{72}": 72, "72.": 72, "**72**.": 72, "(72)": 72,
    "-72": -72, "- 72": -72, "−72": -72, "-$72": -72, "is -47": -47, "$-72$": -72,
    "1,234.50": Fraction("1234.5"), "1{,}234": 1234, "3/4": Fraction(3, 4), "1 1/2": Fraction(3, 2),
    "\\frac{3}{4}": Fraction(3, 4), "\\frac34": Fraction(3, 4), "½": Fraction(1, 2), ".5": Fraction(1, 2),
    "7.2 x 10^3": 7200, "1e5": 100_000, "2 million": 2_000_000, "5k": 5000, "3 dozen": 36,
    "48 + 24 = 72": 72, "x = 72": 72, "20 hours * $5 = $100": 100, "10/3 = 3.33": Fraction("3.33"),
    "\\(72\\)": 72, "\\[ 72 \\]": 72, "$$72$$": 72, "1.8 × 10²": 180, "12\u202f000": 12_000, "12 000": 12_000,
    "18 and a half": Fraction(37, 2), "25 per cent": 25, "seventy-two": 72,
    "one thousand two hundred and five clips": 1205,
    "72, not 71": 72, "not 71 but 72": 72, "1 hour and 30 minutes": 90, "5 feet 3 inches": 63,
    "72 km/h": 72, "72 m^2": 72, "72°": 72, "It is 72 clips in total": 72,
}  # fmt: skip
NO_NUMBER = [
    "", "many", "not 72", "isn't 72", "≠ 72", "less than 72", "at least 72", "half of 72", "twice 72", "71 or 72",
    "70, 71, 72", "71 = 72", "48 + 24", "80 - 8", "80-8", "2x", "x^72", "72!", "sqrt(72)", "\\sqrt{72}", "|72|",
    "1/0", "2.5.1", "3:30", "72 or more", "9" * 5000, "72 (wrong)", "covid-19", "√72",
    "72²", "4ab", "4a^2b", "5 x", "x^2 + y^2 = 72", "not x = 72", "72 + 1 = 72", "up to 72", "anything but 72",
    "2 hours, 120 minutes", "one or two", "no one",
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), ONE_NUMBER.items())
def test_a_text_that_stands_for_one_number(text, value):
    found = quantity(text)
    assert found is not None and found.value == value


@pytest.mark.parametrize("text", NO_NUMBER)
def test_a_text_that_stands_for_none(text):
    assert quantity(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("So the total is 48 + 24 = 72.", 72),
        ("The answer is 72!", 72),
        ("Step 1: think. She has $1,234 left.", 1234),
        ("48 clips in April and 24 in May", 24),
        ("The largest number is -47.", -47),
        ("It takes 60 minutes or 1 hour.", 1),
        ("So there are **72**.", 72),
        ("She sold 24 more. So the result is seventy-two clips.", 72),
        ("So there are 72 clips (48 + 24).", 72),
    ],
)
def test_the_last_number_of_a_text(text, value):
    assert last_quantity(text).value == value


@pytest.mark.parametrize(
    "text",
    [
        "70, 71, 72",
        "70\n71\n72",
        "- 70\n- 71\n- 72",
        "70 or 72",
        "It is not 72",
        "It is not -7",
        "7 = 3 + 4",
        "",
        "It is 71. It might also be 72.",
        "71. Or 72.",
        "71 clips, 72 clips",
        "70 clips or 72 clips",
        "I say that 72 is wrong.",
        "72 is not the answer.",
        "So the result is 72x.",
        "So there are 72 clips (48 + 25).",
    ],
)
def test_lists_denials_and_open_sums_have_no_last_number(text):
    assert last_quantity(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("-3 - -3", 0),
        ("1,000 / 8", 125),
        ("20 × 5", 100),
        ("2 ÷ 4", Fraction(1, 2)),
    ],
)
def test_plain_arithmetic(text, value):
    assert worked_out(text) == value


@pytest.mark.parametrize("text", ["", "2 +", "2 / 0", "x + 1", "(" * 150 + "1", "2 ** 3", "1 1"])
def test_anything_else_is_not_worked_out(text):
    assert worked_out(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72 (48 + 24)", 72),
        ("20 days (2 weeks and 6 days)", 20),
        ("72, because 48 + 24 = 72", 72),
        ("She sold 48 and then 24, so 72.", 72),
    ],
)
def test_a_number_may_stand_with_what_it_follows_from(text, value):
    assert quantity(text) is None or text.startswith("20 days")
    assert concluded(text).value == value


@pytest.mark.parametrize("text", ["72 (48 + 25)", "71 (or 72)", "72 or 71, because I guess", "so 71 or 72", "71, 72"])
def test_a_number_beside_others_concludes_nothing(text):
    assert concluded(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9 eggs at $2 make $18.", 18),
        ("With 16 and 3 given, the result is 18.", 18),
        ("She sells 9 * 2 = $18 every day", 18),
        ("They raised 324 x 2 = $ 648", 648),
        ("18\nThat is what was asked for. I hope this helps!", 18),
        ("It is 17 or it is 18.", None),
        ("Option A: 17, option B: 18", None),
        ("It is 17 if it rains and 18 if not.", None),
        ("The numbers are 16 and 18.", None),
        ("The result of 16 and 3 is not 18.", None),
        ("17 = 18", None),
    ],
)
def test_a_sentence_with_several_numbers_stands_for_the_one_it_comes_to(text, value):
    said = concluded(text)
    assert (said and said.value) == value
