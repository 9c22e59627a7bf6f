"""The launch gate: right answers must earn more than what only looks like them."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from rewards import checks, gate
from rewards.attacks import attacks, many_answers, negated, shapes, well_formed
from rewards.checks import Exam
from rewards.composition import Composition
from rewards.functions import custom
from rewards.gate import Drawn, Report, examine, key, subjects_of
from rewards.models import RewardCheck
from rewards.registry import REGISTRY, Markers, NoParameters, RewardError, RewardFunction, Sample, Score
from rewards.shipped import MARKERS, SHIPPED

M = Markers(**MARKERS)
ROWS = [(Sample(f"What is {n} + {n}?", "", str(2 * n), {}, M), f"{n} + {n} = {2 * n}.") for n in range(10, 16)]


def of(*parts, **more):
    return Composition.model_validate({"parts": list(parts), **more})


def part(function, weight=1.0, **parameters):
    return {"name": function, "function": function, "weight": weight, "parameters": parameters}


MATH = of(part("math_answer", 2.0), part("markers"))


def labels(report, kind="false pass"):
    return {failure.label for failure in report.failures if failure.kind == kind}


@pytest.fixture
def register(monkeypatch):
    def add(score, **traits):
        definition = RewardFunction(
            "own", "Own", "", "Test", NoParameters, score, judges_answer=True, needs_reference=True, **traits
        )
        monkeypatch.setitem(REGISTRY, "own", definition)
        return of(part("own"))

    return add


@pytest.mark.parametrize("preset", SHIPPED, ids=lambda preset: preset["slug"])
def test_every_shipped_preset_passes_on_its_golden_cases(preset):
    report = examine(Composition.model_validate(preset["definition"]), preset["golden"])
    assert report.passed, report.problems
    assert report.questions == len(preset["golden"]) or report.asks_outside


def test_a_sound_reward_passes_on_rows():
    report = examine(MATH, [], subjects_of(ROWS))
    assert report.passed and not report.warnings
    assert (report.questions, report.rows, report.right_answers) == (6, 6, 6)
    assert (report.false_passes, report.false_fails, report.errors, report.changed) == (0, 0, 0, 0)
    assert report.attacks > 50 and report.p95_seconds < gate.SLOWEST_P95


def test_a_reward_that_finds_the_answer_anywhere_is_refused_and_says_which_answers_got_through(register):
    report = examine(register(lambda s, p: Score(float(s.reference in s.response))), [], subjects_of(ROWS))
    assert not report.passed
    assert {"denied", "list of many answers", "right in the reasoning only"} <= labels(report)
    assert "wrong answers earn as much as the right one" in report.problems[0]


def test_an_answer_that_got_through_is_shown_where_it_says_something(register):
    rows = [(ROWS[0][0], "so " * 200)]
    report = examine(register(lambda s, p: Score(1.0)), [], subjects_of(rows))
    (denied,) = [failure for failure in report.failures if failure.label == "denied"]
    assert denied.ending.endswith("<SOLUTION>-20</SOLUTION>")


def code(text):
    return of(part("custom_python", code=text))


def test_custom_code_that_is_told_the_answer_is_examined_on_rows():
    report = examine(code("def reward(completions, answer, **more):\n    return [1.0] * len(completions)"), [], [])
    assert report.answers == 0
    gameable = "def f(completions, answer, **more):\n    return [float(a in c) for c, a in zip(completions, answer)]"
    rows = [(replace(sample, columns={"answer": sample.reference}), why) for sample, why in ROWS]
    report = examine(code(gameable), [], subjects_of(rows))
    assert {"denied", "list of many answers", "right in the reasoning only"} <= labels(report)
    assert not report.passed


def test_the_code_that_the_editor_begins_with_passes():
    report = examine(code(custom.TEMPLATE), [], subjects_of(ROWS))
    assert report.passed and not report.warnings and report.attacks > 50


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def reward(completions, reference, **columns): ...", True),
        ("def reward(completions, *, ground_truth): ...", True),
        ("def reward(completions, **kwargs):\n    return kwargs['solution']", True),
        ("def grade(sample, item):\n    return item.get('expected_answer')", True),
        ("def reward(response, reference): ...", True),
        ("def clean(answer): ...\ndef reward(completions, **columns): ...", False),
        ("def reward(completions, level=None, **kwargs): ...", False),
    ],
)
def test_code_is_told_the_answer_if_it_names_it(text, told):
    assert code(text).compares is told
    assert bool(gate.rows_wanted(code(text))) is told


def test_a_reward_that_refuses_right_answers_is_refused(register):
    report = examine(register(lambda s, p: Score(0.5 if "nothing" in s.response else 0.25)), [], subjects_of(ROWS))
    assert report.false_fails == 6 and report.false_fail_rate == 1
    assert any("6 of 6 right answers count as wrong" in problem for problem in report.problems)


def test_errors_are_counted_with_their_reason(register):
    def fails(sample, parameters):
        raise RewardError("the reference is no colour")

    report = examine(register(fails), [], subjects_of(ROWS))
    assert report.error_rate == 1 and report.false_passes == 0
    assert any("the reference is no colour" in problem for problem in report.problems)


def test_a_reward_that_changes_its_mind_is_refused(register):
    count = iter(range(1_000_000))
    report = examine(register(lambda s, p: Score(next(count) / 1_000_000)), [], subjects_of(ROWS[:1]))
    assert report.changed > 5 and any("another total" in problem for problem in report.problems)


def test_a_slow_reward_is_told_and_the_budget_ends_the_examination(register, monkeypatch):
    monkeypatch.setattr(gate, "SLOWEST_P95", 0.0)
    report = examine(MATH, [], subjects_of(ROWS), budget=0.0)
    assert report.timed_out and report.questions == 0
    assert "was ended after" in report.warnings[0]
    report = examine(MATH, [], subjects_of(ROWS))
    assert any("Judging an answer takes" in problem for problem in report.problems)


def test_form_alone_is_warned_of_and_not_refused():
    report = examine(of(part("markers")), [], subjects_of(ROWS))
    assert report.passed and "gamed by form alone" in report.warnings[0]


def test_golden_answers_out_of_order_are_a_problem():
    case = {
        "instruction": "1 + 1?",
        "reference": "2",
        "markers": MARKERS,
        "answers": [{"text": "<SOLUTION>3</SOLUTION>", "rank": 1}, {"text": "<SOLUTION>2</SOLUTION>", "rank": 2}],
    }
    report = examine(MATH, [case])
    assert not report.passed and "must score more than" in report.golden_problems[0]


def test_what_asks_a_service_is_not_examined_unasked(register):
    composition = register(lambda s, p: Score(1.0), asks_outside=True)
    report = examine(composition, [], subjects_of(ROWS))
    assert report.passed and report.answers == 0 and "costs money" in report.warnings[0]
    assert examine(composition, [], subjects_of(ROWS), ask=True).answers > 0


def test_nothing_to_examine_is_said():
    assert "nothing to examine" in examine(MATH, []).warnings[0]


def test_a_reference_that_stands_alone_is_right_where_markers_would_be_wrong():
    rows = [(Sample("Give JSON.", "", '{"a": 1}', {}, M), ""), (Sample("And here?", "", '{"a": 2}', {}, M), "")]
    composition = of({**part("json_valid", 0.0), "gate": 1.0}, part("json_equal"))
    assert examine(composition, [], subjects_of(rows)).passed


def test_attacks_never_say_what_the_reference_says():
    subject = subjects_of([(Sample("Say it: not so", "", "Say it: not so", {}, M), "")])[0]
    made = attacks(subject, shapes(M)[0])
    assert "echo of the question" not in {attack.label for attack in made}
    assert len({attack.label for attack in made}) == len(made)


def test_rows_without_a_reference_ask_nothing():
    assert subjects_of([(Sample("?", "", None), ""), (Sample("?", "", "  "), "")]) == []


@pytest.mark.parametrize(("text", "denied"), [("5", "-5"), ("-5", "5"), ("0", "1"), ("Paris", "not Paris")])
def test_denying_changes_the_answer(text, denied):
    assert negated(text) == denied


@pytest.mark.parametrize(
    ("text", "others", "guesses"),
    [
        ("C", (), "A, B, C, D, E, F"),
        ("yes", (), "yes, no, true, false"),
        ("5", (), "4, 5, 6, 11"),
        ("Paris", ("Rome", "Bonn"), "Rome, Paris, Bonn"),
        ("Paris", (), ""),
    ],
)
def test_many_answers_hide_the_right_one_among_others(text, others, guesses):
    assert many_answers(text, others) == guesses


def test_a_right_answer_is_laid_out_with_the_markers_there_are():
    subject = subjects_of(ROWS[:1])[0]
    assert [shape.name for shape, _ in well_formed(subject)] == ["full", "short", "bare", "fenced"]
    assert "<SOLUTION>20</SOLUTION>" in well_formed(subject)[0][1]
    assert [shape.name for shape in shapes(Markers())] == ["bare", "fenced"]


def test_a_report_comes_back_from_json_as_it_was(register):
    report = examine(register(lambda s, p: Score(1.0)), [], subjects_of(ROWS))
    again = Report.of(json.loads(json.dumps(report.as_json())))
    assert again == report and again.problems == report.problems


def test_the_key_changes_with_reward_cases_and_the_source_of_rows():
    source = {"version": "1", "sha256": "a"}
    keys = {
        key(MATH, [], source),
        key(of(part("markers")), [], source),
        key(MATH, [{"a": 1}], source),
        key(MATH, [], {**source, "sha256": "b"}),
        key(MATH, []),
    }
    assert len(keys) == 5 and key(MATH, [], source) == key(MATH.model_copy(), [], dict(source))


def test_a_failure_names_its_row(register):
    subjects = subjects_of([(Sample("No reference?", "", None, {}, M), ""), *ROWS], [3, 7, 9, 11, 13, 15, 17])
    report = examine(register(lambda s, p: Score(1.0)), [], subjects)
    assert {failure.row for failure in report.failures} <= {7, 9, 11, 13, 15, 17}
    assert report.failed_rows and 3 not in report.failed_rows


def test_the_measures_say_what_was_found_beside_what_may_be(register):
    found = {m.title: m for m in examine(register(lambda s, p: Score(1.0)), [], subjects_of(ROWS)).measures}
    assert not found["False passes"].holds and found["False passes"].most == "2%"
    assert found["False fails"].holds and found["False fails"].found.startswith("0 of 6")
    assert examine(MATH, []).measures == []


def test_each_question_that_is_done_is_told(register):
    told = []
    examine(MATH, [], subjects_of(ROWS), told=lambda done, of: told.append((done, of)))
    assert told == [(number, 6) for number in range(1, 7)]


def test_the_gate_needs_no_django():
    code = "import sys, rewards.gate, rewards.quick_start; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def rows_drawn(monkeypatch):
    """Where rows come from, for tests without a dataset. Returns how often they were read."""
    read = []
    monkeypatch.setattr(checks, "draw", lambda source: read.append(source) or Drawn(subjects_of(ROWS), 60))
    return read


EXAM = Exam(MATH, [], {"version": "1"})


@pytest.mark.django_db
def test_a_stored_report_is_used_until_it_is_old(rows_drawn):
    first = checks.report_on(EXAM)
    assert (first.rows, first.drawn_from) == (6, 60)
    assert checks.report_on(EXAM) == first and len(rows_drawn) == 1
    RewardCheck.objects.update(updated_at=timezone.now() - timedelta(days=2))
    assert checks.newest(EXAM) is None
    checks.report_on(EXAM)
    assert len(rows_drawn) == 2 and RewardCheck.objects.count() == 1


@pytest.mark.django_db
def test_what_is_looked_for_reads_no_row(rows_drawn, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert checks.newest(EXAM) is None
    assert not rows_drawn


def test_an_exam_comes_back_from_json_as_it_was():
    again = Exam.of(json.loads(json.dumps(EXAM.as_json())))
    assert again.key == EXAM.key and again.composition == EXAM.composition
