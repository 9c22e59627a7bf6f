import pytest

from rewards.formula import DEEPEST, Formula
from rewards.registry import RewardError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + b", 5.0),
        ("0.5 * a - b / 2", -0.5),
        ("a ^ b", 8.0),
        ("2 * a ^ 2", 8.0),
        ("-a", -2.0),
        ("min(a, b) + max(a, b, 7)", 9.0),
        ("abs(a - b) + floor(2.5) + ceil(2.5) + sqrt(4)", 8.0),
        ("exp(0) + log(1)", 1.0),
        ("(a + b) * (a - b)", -5.0),
    ],
)
def test_arithmetic_over_parts(text, value):
    assert Formula(text, {"a", "b"}).value({"a": 2.0, "b": 3.0}) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "can't be read"),
        ("a +", "can't be read"),
        ("c", "names c, which is no part. Parts: a, b"),
        ("__import__('os')", "may hold part names"),
        ("a.__class__", "may hold part names"),
        ("(lambda: 1)()", "may hold part names"),
        ("[a for a in b]", "may hold part names"),
        ("'text'", "may hold part names"),
        ("True", "may hold part names"),
        ("a if b else 1", "may hold part names"),
        ("min(a)", "two or more"),
        ("sqrt(a, b)", "one value"),
        ("max(*a, b)", "may hold"),
        ("min(a, key=b)", "may hold part names"),
        ("(" * 500 + "a" + ")" * 500, "can't be read|nested"),
        ("-" * (DEEPEST + 5) + "a", "nested deeper"),
        ("a" * 3000, "longer than"),
    ],
)
def test_anything_but_arithmetic_is_refused_with_its_reason(text, message):
    with pytest.raises(ValueError, match=message):
        Formula(text, {"a", "b"})


@pytest.mark.parametrize(
    "text", ["a / (a - a)", "log(0 * a)", "sqrt(0 - a)", "a ^ 99999", "exp(a ^ 20)", "(0-a) ^ 0.5"]
)
def test_arithmetic_without_a_result_is_an_error_and_no_zero(text):
    with pytest.raises(RewardError, match="The formula"):
        Formula(text, {"a"}).value({"a": 2.0})


def test_a_gigantic_number_is_an_error_of_the_row():
    with pytest.raises(RewardError):
        Formula("9" * 1900 + " * a", {"a"}).value({"a": 1.0})
