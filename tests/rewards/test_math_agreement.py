"""The verdict of math_answer on real GSM8K answers: variants of the right answer and of wrong ones."""

import json
import re
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from rewards.functions.maths import MathAnswer, math_answer
from rewards.numbers import NUMBER
from rewards.registry import Markers, Sample

TRAIN = Path(__file__).resolve().parents[3] / "shared" / "data" / "gsm8k" / "train.jsonl"
MARKERS = Markers("<start_working_out>", "<end_working_out>", "<SOLUTION>", "</SOLUTION>")
AGREEMENT = 0.995

pytestmark = pytest.mark.skipif(not TRAIN.is_file(), reason=f"GSM8K is not at {TRAIN}")


def rows() -> list[tuple[str, str, str]]:
    found = []
    for line in TRAIN.read_text().splitlines():
        row = json.loads(line)
        working, answer = row["answer"].split("####")
        found.append((row["question"], re.sub(r"<<.*?>>", "", working).strip(), answer.strip()))
    return found


def in_markers(working: str, solution: str) -> str:
    return f"<start_working_out>{working}<end_working_out>\n<SOLUTION>{solution}</SOLUTION>"


def plain(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else str(float(number))


def unit_of(working: str) -> str:
    words = re.findall(r"[\d.,]+ ([a-z]+)", working)
    return words[-1] if words else "items"


def right_variants(question: str, working: str, answer: str) -> Iterator[tuple[str, str]]:
    value = Fraction(answer.replace(",", ""))
    digits = plain(value)
    grouped = f"{value.numerator:,}" if value.denominator == 1 else digits
    yield "plain", in_markers(working, digits)
    yield "as written", in_markers(working, answer)
    yield "decimals", in_markers(working, f"{float(value):.2f}")
    yield "thousands", in_markers(working, grouped)
    yield "dollars", in_markers(working, f"${grouped}")
    yield "LaTeX dollars", in_markers(working, f"\\${digits}")
    yield "maths mode", in_markers(working, f"${digits}$")
    yield "unit", in_markers(working, f"{digits} {unit_of(working)}")
    yield "boxed", in_markers(working, f"\\boxed{{{digits}}}")
    yield "bold", in_markers(working, f"**{digits}**.")
    yield "fraction", in_markers(working, f"\\frac{{{value.numerator * 7}}}{{{value.denominator * 7}}}")
    yield "equation", in_markers(working, f"x = {digits}")
    yield "sentence", in_markers(working, f"The answer is {digits}.")
    yield "own format of GSM8K", f"{working}\n#### {answer}"
    yield "boxed without markers", f"{working} So we get \\boxed{{{digits}}}."
    yield "answer line", f"{working}\nAnswer: {grouped}"
    yield "last sentence", f"{working}\nSo the result is {digits}."
    yield "echo before the answer", f"{question}\n{working}\nThe answer is {digits}."
    yield "cut off behind the number", f"<start_working_out>{working}<end_working_out><SOLUTION>{digits}"


def wrong_variants(question: str, working: str, answer: str) -> Iterator[tuple[str, str]]:
    value = Fraction(answer.replace(",", ""))
    digits = plain(value)
    yield "one more", in_markers(working, plain(value + 1))
    yield "one less", in_markers(working, plain(value - 1))
    yield "negated", in_markers(working, plain(-value) if value else "1")
    yield "denied", in_markers(working, f"not {digits}")
    yield "ten times", in_markers(working, plain(value * 10) if value else "10")
    yield "million", in_markers(working, f"{digits} million" if value else "1 million")
    yield "list", in_markers(working, f"{plain(value - 1)}, {digits}, {plain(value + 1)}")
    yield "two candidates", in_markers(working, f"{digits} or {plain(value + 1)}")
    yield "two blocks", f"<SOLUTION>{plain(value + 1)}</SOLUTION><SOLUTION>{digits}</SOLUTION>"
    yield "two boxes", in_markers(working, f"\\boxed{{{digits}}} \\boxed{{{plain(value + 1)}}}")
    yield "right in the reasoning only", in_markers(f"{working} So it is {digits}.", plain(value + 2))
    yield "false equation", in_markers(working, f"{plain(value + 1)} = {digits}")
    yield "not worked out", in_markers(working, f"{digits} + 0")
    yield "empty block", in_markers(working, "")
    yield "empty", ""
    yield "echo", question
    yield "echo in the markers", in_markers(question, question)
    yield "list without markers", f"It is one of {plain(value - 1)}, {plain(value + 1)}, {digits}"
    yield "denied without markers", f"I am sure that it is not {digits}."
    for number in {match["number"] for match in NUMBER.finditer(question)}:
        if Fraction(number.replace(",", "")) != value:
            yield "number of the question", in_markers(working, number)


def verdict(question: str, response: str, answer: str) -> bool:
    return math_answer(Sample(question, response, answer, markers=MARKERS), MathAnswer()).value == 1.0


@pytest.mark.parametrize(("expected", "variants"), [(True, right_variants), (False, wrong_variants)])
def test_the_verdict_on_gsm8k_agrees_with_the_truth(expected, variants, capsys):
    disagreements, judged = [], 0
    for question, working, answer in rows()[::4]:
        for kind, response in variants(question, working, answer):
            judged += 1
            if verdict(question, response, answer) is not expected:
                disagreements.append((kind, answer, response[-100:]))
    agreement = 1 - len(disagreements) / judged
    lines = [f"GSM8K, {'right' if expected else 'wrong'} variants: {judged:,} judged, {agreement:.3%} agree"]
    lines += [f"  {kind}: reference {answer!r}, response ...{text!r}" for kind, answer, text in disagreements[:20]]
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert judged > 25_000
    assert agreement >= AGREEMENT
