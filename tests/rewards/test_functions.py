import dataclasses
import threading
import time
from contextlib import suppress

import pytest
from pydantic import ValidationError

from rewards import functions  # noqa: F401
from rewards.composition import Composition, Part
from rewards.functions.maths import MathAnswer, math_answer
from rewards.registry import REGISTRY, Markers, RewardError, RewardFunction, Sample, Score, reward_function
from rewards.symbolic import TooSlow, deadline, is_formula, same_formula

MARKERS = Markers("<think>", "</think>", "<SOLUTION>", "</SOLUTION>")
# Those of judge_model need a judge: tests/rewards/test_judge.py has one.
EXAMPLES = [(f, example) for f in REGISTRY.values() for example in f.examples if f.name != "judge_model"]
WANTED = {
    "math_answer", "exact_match", "markers", "solution_markers", "length", "contains", "regex", "multiple_choice",
    "json_valid", "repetition",
}  # fmt: skip


def value(name: str, response: str, reference: str | None = None, **parameters: object) -> float:
    part = {"name": "part", "function": name, "parameters": parameters}
    result = Composition.model_validate({"parts": [part]}).score(
        Sample("How many clips were sold in total?", response, reference, markers=MARKERS)
    )
    if result.errors:
        raise RewardError(result.errors["part"])
    return result.parts["part"]


def test_the_functions_of_the_first_slice_are_registered():
    assert set(REGISTRY) >= WANTED


@pytest.mark.parametrize(("function", "example"), EXAMPLES, ids=lambda one: getattr(one, "name", None))
def test_each_example_scores_what_it_says(function: RewardFunction, example):
    part = Part(name="part", function=function.name, parameters=example.parameters)
    [verdict] = part.judge([example.sample])
    assert isinstance(verdict, Score), verdict
    assert verdict.value == pytest.approx(example.value)


@pytest.mark.parametrize("function", REGISTRY.values(), ids=lambda function: function.name)
def test_each_function_explains_itself(function: RewardFunction):
    assert function.help.endswith(".") and len(function.help) < 130
    values = [example.value for example in function.examples]
    assert max(values) == function.maximum
    assert min(values) < 0.5, "an example shows what scores low"
    for name, info in function.parameters.model_fields.items():
        assert info.title, f"{name} has no title"


@pytest.mark.parametrize("function", [f for f in REGISTRY.values() if f.needs_reference], ids=lambda f: f.name)
@pytest.mark.parametrize("reference", [None, "", "  \n"])
def test_a_missing_reference_is_an_error_and_no_zero(function: RewardFunction, reference):
    with pytest.raises(RewardError):
        function.score(Sample("?", "<SOLUTION>72</SOLUTION>", reference, markers=MARKERS), function.parameters())


@pytest.mark.parametrize("name", ["markers", "solution_markers"])
def test_a_prompt_without_markers_is_an_error(name):
    with pytest.raises(RewardError, match="no"):
        REGISTRY[name].score(Sample("?", "72"), REGISTRY[name].parameters())


def test_two_functions_of_one_name_are_refused():
    def math_answer(sample, parameters):
        """Wrong."""

    with pytest.raises(ValueError, match="math_answer"):
        reward_function(title="Twice", category="Answer")(math_answer)
    assert REGISTRY["math_answer"].title == "Right number or formula"


class TestWhereTheAnswerIs:
    def test_only_the_solution_block_counts_where_there_is_one(self):
        assert value("math_answer", "It is 72. <SOLUTION>71</SOLUTION>", "72") == 0
        assert value("math_answer", "It is 71. <SOLUTION>72</SOLUTION> or 73", "72") == 1

    def test_two_blocks_must_agree(self):
        assert value("math_answer", "<SOLUTION>72</SOLUTION><SOLUTION>71</SOLUTION>", "72") == 0
        assert value("math_answer", "<SOLUTION>72</SOLUTION> so <SOLUTION>72.0</SOLUTION>", "72") == 1

    def test_a_repeated_question_is_no_answer(self):
        assert value("math_answer", "How many clips were sold in total?", "72") == 0
        echo = Sample("There are 48 clips and 24 more. What is half of 144?", "What is half of 144?", "144")
        assert math_answer(echo, MathAnswer()).value == 0

    def test_the_number_of_a_repeated_question_does_not_count_but_the_answer_behind_it_does(self):
        question = "She has 48 clips. How many is that and 24 more?"
        sample = Sample(question, f"{question} 72", "72")
        assert math_answer(sample, MathAnswer()).value == 1
        assert math_answer(Sample(question, f"Well: {question}", "24"), MathAnswer()).value == 0

    @pytest.mark.parametrize("look_in", ["markers", "marked"])
    def test_a_restricted_place_does_not_fall_back_to_the_text(self, look_in):
        assert value("math_answer", "It is 72", "72", look_in=look_in) == 0

    def test_looking_only_in_markers_that_the_prompt_lacks_is_an_error(self):
        with pytest.raises(RewardError, match="solution markers"):
            math_answer(Sample("?", "72", "72"), MathAnswer(look_in="markers"))

    def test_the_last_of_several_answer_lines_stands(self):
        assert value("math_answer", "Answer: 71\nNo. Answer: 72", "72") == 1
        assert value("math_answer", "Answer: 72\nNo. Answer: 71", "72") == 0
        assert value("math_answer", "The answer is 72. So the answer is 71.", "72") == 0

    @pytest.mark.parametrize("text", ["The answer is not 72.", "\\boxed{71} \\boxed{72}", "#### 71\n#### 72"])
    def test_marks_that_deny_or_disagree_score_nothing(self, text):
        assert value("math_answer", text, "72") == 0


class TestMathAnswer:
    @pytest.mark.parametrize("reference", ["He sold 48+24 = 72 rolls.\n#### 72", "So \\boxed{72}", "$72", "72 rolls"])
    def test_a_worked_reference_stands_for_its_answer(self, reference):
        assert value("math_answer", "<SOLUTION>72</SOLUTION>", reference) == 1
        assert value("math_answer", "<SOLUTION>71</SOLUTION>", reference) == 0

    def test_a_reference_in_prose_is_an_error(self):
        with pytest.raises(RewardError, match="exact match"):
            value("math_answer", "<SOLUTION>risaP</SOLUTION>", "Paris")

    @pytest.mark.parametrize(
        ("reference", "answer", "right"),
        [
            ("25", "25%", True),
            ("0.25", "25%", True),
            ("25%", "0.25", True),
            ("25%", "25", True),
            ("0.25", "0.25%", False),
            ("0.25%", "0.25", False),
            ("5 km", "5", True),
            ("5", "5 km", True),
            ("5 km", "5 kilometres", True),
            ("5 km", "5 m", False),
            ("5 km", "5000 m", True),
            ("90 minutes", "1 hour and 30 minutes", True),
            ("$5", "500 cents", True),
            ("£5", "5 pounds", True),
            ("1 year", "365 days", False),
            ("$5", "5 dollars", True),
            ("$5", "€5", False),
        ],
    )
    def test_percentages_and_units(self, reference, answer, right):
        assert value("math_answer", f"<SOLUTION>{answer}</SOLUTION>", reference) == float(right)

    @pytest.mark.parametrize(
        ("reference", "answer", "right"),
        [
            ("\\frac{\\sqrt{3}}{2}", "\\sqrt{3}/2", True),
            ("\\frac{\\sqrt{3}}{2}", "sqrt(3)/2", True),
            ("\\frac{\\sqrt{3}}{2}", "\\sqrt{2}/3", False),
            ("x^2 + 2x + 1", "(x+1)^2", True),
            ("x^2 + 2x + 1", "(x-1)^2", False),
            ("(1, 2)", "(1, 2)", True),
            ("(1, 2)", "(2, 1)", False),
            ("2\\pi", "\\boxed{2\\pi}", True),
            ("2\\pi", "6.28 or 2\\pi", False),
        ],
    )
    def test_formulas_are_compared_by_meaning(self, reference, answer, right):
        assert value("math_answer", f"<SOLUTION>{answer}</SOLUTION>", reference) == float(right)

    @pytest.mark.parametrize(
        ("question", "answer", "right"),
        [
            ("How many minutes did it take?", "1.5 hours", True),
            ("How many minutes did it take?", "90 hours", False),
            ("A pen costs $5. How much do 18 pens cost?", "9000 cents", True),
            ("A pen costs $5. How much do 18 pens cost?", "90 cents", False),
            ("How long is it, in meters?", "9000 cm", True),
            ("A pen costs $5. Tell me how much 18 pens cost.", "90 cents", False),
            ("How many hours or minutes did it take?", "90 hours", True),
            ("How many minutes did it take?", "90 km", True),
        ],
    )
    def test_a_bare_reference_is_in_the_unit_that_the_question_asks_for(self, question, answer, right):
        sample = Sample(question, f"<SOLUTION>{answer}</SOLUTION>", "90", markers=MARKERS)
        assert math_answer(sample, MathAnswer()).value == float(right)

    @pytest.mark.parametrize("tail", ["No wait, it is 71.", "Scratch that, 71.", "No wait, that is wrong."])
    def test_what_is_taken_back_does_not_count(self, tail):
        assert value("math_answer", f"The answer is 72.\n{tail}", "72") == 0
        assert value("math_answer", f"<SOLUTION>72. {tail}</SOLUTION>", "72") == 0

    def test_somebody_elses_mistake_takes_nothing_back(self):
        assert value("math_answer", "The answer is 72. If you got 71, that is wrong.", "72") == 1

    def test_facts_of_the_question_that_follow_the_result_are_no_answer(self):
        sample = Sample("Ann sold 48 clips. How many in all?", "So there are 72. Ann sold 48 clips.", "72")
        assert math_answer(sample, MathAnswer()).value == 1
        assert math_answer(dataclasses.replace(sample, reference="48"), MathAnswer()).value == 0
        given = dataclasses.replace(sample, response="So there are 72. The question gave us 48.")
        assert math_answer(given, MathAnswer()).value == 1

    def test_a_tolerance_is_absolute_or_relative(self):
        answer = "<SOLUTION>101</SOLUTION>"
        assert value("math_answer", answer, "100") == 0
        assert value("math_answer", answer, "100", tolerance=1) == 1
        assert value("math_answer", answer, "100", tolerance=0.01, relative=True) == 1
        assert value("math_answer", answer, "100", tolerance=0.009, relative=True) == 0

    def test_the_feedback_says_what_was_expected_and_found(self):
        score = math_answer(Sample("?", "<SOLUTION>81</SOLUTION>", "18", markers=MARKERS), MathAnswer())
        assert score.feedback == "Expected 18, found 81 in the solution block."
        score = math_answer(Sample("?", "It is 81 or so.", "18"), MathAnswer())
        assert score.feedback == "Expected 18, found 81 in the text."
        score = math_answer(Sample("?", "81 or 82", "18"), MathAnswer())
        assert score.feedback == "Expected 18, found no single last number in the text."

    @pytest.mark.parametrize(
        "hard", ["9^9^9^9^9", "1000000!", "\\sum_{i=1}^{10} i", "2^{999999}", "((((" * 40, "x" * 5000]
    )
    def test_formulas_that_would_run_for_ever_are_wrong_at_once(self, hard):
        start = time.perf_counter()
        assert value("math_answer", f"<SOLUTION>{hard}</SOLUTION>", "x^2") == 0
        assert time.perf_counter() - start < 2

    def test_it_works_in_a_thread_where_alarm_signals_do_not(self):
        found: list[object] = []

        def judge() -> None:
            found.append(value("math_answer", "<SOLUTION>(x+1)^2</SOLUTION>", "x^2+2x+1"))

        thread = threading.Thread(target=judge)
        thread.start()
        thread.join(20)
        assert found == [1.0]

    @pytest.mark.parametrize(
        "text",
        [" " * 300_000, "answer" + " " * 300_000, "\\boxed{" * 40_000, "1," * 150_000, "-" * 300_000, "#### " * 60_000],
    )
    def test_long_junk_is_read_in_linear_time(self, text):
        start = time.perf_counter()
        value("math_answer", text, "72")
        value("exact_match", text, "Paris")
        value("multiple_choice", text, "B")
        assert time.perf_counter() - start < 15


class TestSymbolic:
    def test_a_deadline_interrupts_the_block_and_nothing_behind_it(self):
        with pytest.raises(TooSlow), deadline(0.05):
            while True:
                pass
        for _ in range(100_000):
            pass

    def test_a_deadline_that_ends_with_its_block_hits_nothing_behind_it(self):
        for _ in range(50):
            with suppress(TooSlow), deadline(0.001):
                time.sleep(0.001)
            sum(range(20_000))

    def test_slow_formulas_raise_a_time_out(self, monkeypatch):
        monkeypatch.setattr("rewards.symbolic.DEADLINE_SECONDS", 0.05)
        monkeypatch.setattr("rewards.symbolic._same", lambda *_: [None for _ in iter(int, 1)])
        with pytest.raises(TimeoutError, match=r"0\.05 s"):
            same_formula("x", "y")

    @pytest.mark.parametrize("text", ["Paris", "", "the sum of 3", "x" * 300])
    def test_prose_is_no_formula(self, text):
        assert not is_formula(text)


class TestExactMatch:
    @pytest.mark.parametrize(
        "answer", ["Lyon", "not Paris", "Paris or Lyon", "Paris, Lyon, Nice", "", "Is it Paris", "sirap"]
    )
    def test_anything_else_is_wrong(self, answer):
        assert value("exact_match", f"<SOLUTION>{answer}</SOLUTION>", "Paris") == 0

    def test_accents_signs_and_names_with_numbers(self):
        assert value("exact_match", "Answer: Besançon", "besancon") == 1
        assert value("exact_match", "<SOLUTION>C++</SOLUTION>", "C") == 0
        assert value("exact_match", "<SOLUTION>-5</SOLUTION>", "5") == 0
        assert value("exact_match", "<SOLUTION>747</SOLUTION>", "Boeing 747") == 0


class TestMultipleChoice:
    @pytest.mark.parametrize("answer", ["A", "A B", "A and B", "(A) (B)", "all of A, B", "neither B", "dog", "BB", ""])
    def test_anything_but_the_one_right_letter_is_wrong(self, answer):
        assert value("multiple_choice", f"<SOLUTION>{answer}</SOLUTION>", "B") == 0

    def test_an_article_is_no_choice(self):
        assert value("multiple_choice", "<SOLUTION>B) A dog barks</SOLUTION>", "B") == 1

    def test_a_reference_that_names_several_is_an_error(self):
        with pytest.raises(RewardError, match="no single choice"):
            value("multiple_choice", "B", "A or B")


class TestParameters:
    @pytest.mark.parametrize(
        ("name", "parameters"),
        [
            ("contains", {}),
            ("contains", {"phrases": [" "]}),
            ("regex", {"pattern": "("}),
            ("regex", {"pattern": r"(a)\1"}),
            ("regex", {"pattern": "(?=a)"}),
            ("length", {"shortest": 5, "longest": 4}),
            ("length", {"unit": "tokens", "place": "solution"}),
            ("math_answer", {"tolerance": -1}),
            ("math_answer", {"tolerance": float("nan")}),
            ("math_answer", {"tolerence": 1}),
            ("multiple_choice", {"choices": "A"}),
        ],
    )
    def test_wrong_ones_are_refused_when_the_reward_is_made(self, name, parameters):
        with pytest.raises(ValidationError):
            Composition.model_validate({"parts": [{"name": "p", "function": name, "parameters": parameters}]})

    def test_a_pattern_never_blows_up(self):
        start = time.perf_counter()
        assert value("regex", "a" * 100_000 + "!", pattern="^(a|a)*$|(a*)*b") == 0
        assert time.perf_counter() - start < 5

    def test_length_counts_tokens_only_where_they_are_known(self):
        with pytest.raises(RewardError, match="tokens"):
            value("length", "one two", unit="tokens")
