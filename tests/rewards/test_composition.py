import subprocess
import sys

import pytest
from pydantic import ValidationError

from rewards.composition import MAX_CHARACTERS, Composition
from rewards.registry import REGISTRY, Markers, NoParameters, RewardError, RewardFunction, Sample, Score

MARKERS = Markers(solution_start="<SOLUTION>", solution_end="</SOLUTION>")
RIGHT = Sample("What is 12 + 7?", "<SOLUTION>19</SOLUTION>", "19", markers=MARKERS)


def composition(*parts: tuple[str, str, float]) -> Composition:
    return Composition.model_validate(
        {"parts": [{"name": name, "function": function, "weight": weight} for name, function, weight in parts]}
    )


@pytest.fixture
def faulty(monkeypatch):
    def register(name, score, **traits):
        monkeypatch.setitem(REGISTRY, name, RewardFunction(name, name, "", "Test", NoParameters, score, **traits))
        return composition(("broken", name, 1.0), ("answer", "math_answer", 2.0))

    return register


def raise_key_error(sample, parameters):
    raise KeyError("column")


def refuse(sample, parameters):
    raise RewardError("No reference.")


def test_the_total_is_the_weighted_sum():
    result = composition(("answer", "math_answer", 2.0), ("format", "solution_markers", 0.5)).score(RIGHT)
    assert result.total == 2.5
    assert result.parts == {"answer": 1.0, "format": 1.0}
    assert result.correct is True
    assert result.errors == {}


def test_a_wrong_answer_in_the_right_form_is_not_correct():
    sample = Sample("What is 12 + 7?", "<SOLUTION>9</SOLUTION>", "19", markers=MARKERS)
    result = composition(("answer", "math_answer", 2.0), ("format", "solution_markers", 0.5)).score(sample)
    assert (result.total, result.correct) == (0.5, False)


def test_form_alone_judges_no_answer():
    form = composition(("format", "solution_markers", 1.0))
    assert form.score(RIGHT).correct is None
    assert not form.judges_answer and not form.needs_reference
    assert composition(("answer", "math_answer", 1.0)).judges_answer


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (raise_key_error, "KeyError: 'column'"),
        (refuse, "No reference."),
        (lambda *_: Score(float("nan")), "nan"),
        (lambda *_: Score(1.5), "not between 0 and 1"),
        (lambda *_: Score("high"), "ValueError"),
        (lambda *_: None, "AttributeError"),
    ],
)
def test_what_a_part_can_not_judge_is_an_error_and_no_zero(faulty, score, message):
    result = faulty("broken_function", score).score(RIGHT)
    assert result.total is None
    assert result.parts == {"broken": None, "answer": 1.0}
    assert message in result.errors["broken"]
    assert result.correct is True, "the part that judges the answer did"


def test_correct_is_unknown_if_the_judge_erred(faulty):
    assert faulty("broken_judge", refuse, judges_answer=True).score(RIGHT).correct is None


@pytest.mark.parametrize("field", ["response", "instruction", "reference"])
def test_a_gigantic_text_is_an_error_of_every_part(field):
    texts = {"instruction": "?", "response": "1", "reference": "1", field: "x" * (MAX_CHARACTERS + 1)}
    result = composition(("answer", "math_answer", 1.0), ("length", "length", 1.0)).score(Sample(**texts))
    assert set(result.errors) == {"answer", "length"}
    assert f"{MAX_CHARACTERS:,}" in result.errors["answer"]


def test_parameters_are_parsed_once(monkeypatch):
    made = composition(("length", "length", 1.0))
    monkeypatch.setattr(REGISTRY["length"].parameters, "model_validate", lambda *_: pytest.fail("parsed again"))
    assert made.score(RIGHT).total == 1.0


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"parts": []}, "at least 1"),
        ({"parts": [{"name": "a", "function": "magic"}]}, "no reward function 'magic'"),
        ({"parts": [{"name": "a", "function": "length"}] * 2}, "same name"),
        ({"parts": [{"name": "a", "function": "length", "weight": float("inf")}]}, "finite"),
        ({"parts": [{"name": "a", "function": "length", "wait": 1}]}, "wait"),
    ],
)
def test_wrong_definitions_are_refused(definition, message):
    with pytest.raises(ValidationError, match=message):
        Composition.model_validate(definition)


def test_a_definition_survives_json():
    made = composition(("answer", "math_answer", 2.0))
    assert Composition.model_validate_json(made.model_dump_json()).score(RIGHT) == made.score(RIGHT)


def test_the_best_total_counts_penalties_as_avoidable():
    assert composition(("answer", "math_answer", 2.0), ("long", "length", -0.5)).best_total == 2.0


def test_scoring_needs_neither_django_nor_torch():
    code = (
        "import sys; from rewards.composition import Composition;"
        "print([m for m in ('django', 'torch', 'sympy', 'pandas') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
