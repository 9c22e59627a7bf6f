import subprocess
import sys

import pytest
from pydantic import ValidationError

from loracraft.numbers import thousands
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
    assert thousands(MAX_CHARACTERS) in result.errors["answer"]


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


WRONG = Sample("What is 12 + 7?", "<SOLUTION>9</SOLUTION>", "19", markers=MARKERS)
FORMLESS = Sample("What is 12 + 7?", "19", "19", markers=MARKERS)


def gated(**more) -> Composition:
    form = {"name": "form", "function": "solution_markers", "weight": 0.5, "gate": 1.0}
    return Composition.model_validate({"parts": [{"name": "answer", "function": "math_answer"}, form], **more})


def test_a_closed_gate_decides_the_total_whatever_else_was_earned():
    result = gated().score(FORMLESS)
    assert (result.total, result.gate, result.parts["answer"]) == (0.0, "form", 1.0)
    assert result.correct is False, "what a gate must have is part of being right"
    assert gated(gated_total=-1).score(FORMLESS).total == -1.0
    assert gated().score(RIGHT).total == 1.5 and gated().score(RIGHT).gate == ""


def test_a_closed_gate_decides_even_where_another_part_could_not_judge():
    """The answer lost its form: that is known, whether or not there is a reference."""
    result = gated().score(Sample("What is 12 + 7?", "19", None, markers=MARKERS))
    assert result.total == 0.0 and "answer" in result.errors


def test_a_gate_that_could_not_judge_is_an_error():
    assert gated().score(Sample("What is 12 + 7?", "19", "19")).total is None


def test_a_part_is_clipped_before_it_is_weighted():
    made = Composition.model_validate(
        {"parts": [{"name": "length", "function": "length", "weight": 2.0, "clip": [0.2, 0.6]}]}
    )
    assert (made.score(RIGHT).total, made.score(Sample("?", "", "19")).total) == (1.2, 0.4)
    assert made.score(RIGHT).parts == {"length": 1.0}, "the part's own score stays visible"
    assert (made.best_total, made.worst_total) == (1.2, 0.4)


def test_a_total_can_be_divided_by_the_weights():
    assert gated(normalise="weights").score(RIGHT).total == 1.0


def test_a_total_can_run_from_the_worst_to_the_best():
    parts = [
        {"name": "answer", "function": "math_answer", "weight": 2.0},
        {"name": "form", "function": "solution_markers", "weight": -1.0},
    ]
    made = Composition.model_validate({"parts": parts, "normalise": "range"})
    assert made.score(FORMLESS).total == 1.0
    assert made.score(WRONG).total == 0.0
    assert (made.worst_total, made.best_total) == (0.0, 1.0)


def test_a_formula_takes_the_place_of_the_sum():
    made = gated(formula="answer * (1 + form)")
    assert (made.score(RIGHT).total, made.score(WRONG).total) == (2.0, 0.0)
    assert made.best_total is None and made.judges_answer


def test_a_formula_without_a_value_is_an_error():
    result = gated(formula="form / answer").score(WRONG)
    assert result.total is None and "no value" in result.errors["formula"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"formula": "answer + nothing"}, "nothing, which is no part"),
        ({"formula": "form * 2"}, "does not use answer"),
        ({"formula": "answer + form", "normalise": "range"}, "normalise"),
        ({"normalise": "twice"}, "normalise"),
        ({"gated_total": float("nan")}, "gated_total"),
    ],
)
def test_wrong_totals_are_refused(more, message):
    with pytest.raises(ValidationError, match=message):
        gated(**more)


@pytest.mark.parametrize(
    "more", [{"gate": 0.0}, {"gate": 1.5}, {"clip": [1, 0]}, {"clip": [0, float("inf")]}, {"clip": [0]}]
)
def test_a_gate_or_clip_that_can_do_nothing_is_refused(more):
    with pytest.raises(ValidationError, match=r"gate|clip"):
        Composition.model_validate({"parts": [{"name": "a", "function": "math_answer", **more}]})


@pytest.fixture
def in_batches(monkeypatch):
    def register(score_all):
        function = RewardFunction("batch", "Batch", "", "Test", NoParameters, score_all=score_all)
        monkeypatch.setitem(REGISTRY, "batch", function)
        return composition(("batch", "batch", 1.0))

    return register


def test_a_batch_function_is_called_once_for_all_answers(in_batches):
    sizes = []

    def score_all(samples, parameters):
        sizes.append(len(samples))
        return [RewardError("No.") if sample.response == "no" else Score(0.5) for sample in samples]

    results = in_batches(score_all).score_all([Sample("?", "yes"), Sample("?", "no"), Sample("?", "yes")])
    assert sizes == [3]
    assert [result.total for result in results] == [0.5, None, 0.5]
    assert results[1].errors == {"batch": "No."}


@pytest.mark.parametrize(
    ("score_all", "message"),
    [
        (lambda samples, _: [Score(1.0)], "1 verdicts on 2"),
        (lambda samples, _: [None, None], "AttributeError"),
        (raise_key_error, "KeyError"),
        (refuse, "No reference."),
    ],
)
def test_a_batch_that_fails_is_an_error_of_each_answer(in_batches, score_all, message):
    results = in_batches(score_all).score_all([RIGHT, WRONG])
    assert [result.total for result in results] == [None, None]
    assert all(message in result.errors["batch"] for result in results)


def test_a_gigantic_answer_costs_only_itself():
    long = Sample("?", "x" * (MAX_CHARACTERS + 1), "19")
    results = composition(("answer", "math_answer", 1.0)).score_all([long, RIGHT])
    assert [result.total for result in results] == [None, 1.0]


def test_no_answers_have_no_results():
    assert composition(("answer", "math_answer", 1.0)).score_all([]) == []


def test_a_similarity_says_right_or_wrong_only_from_a_threshold():
    parts = [{"name": "near", "function": "text_similarity", "parameters": {"metric": "token_f1"}}]
    graded = Composition.model_validate({"parts": parts})
    sample = Sample("Where?", "in the garden", "the garden", markers=MARKERS)
    assert graded.judges_answer and graded.score(sample).correct is None
    parts[0]["parameters"]["pass_threshold"] = 0.6
    assert Composition.model_validate({"parts": parts}).score(sample).correct is True
