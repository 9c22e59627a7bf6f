"""Whatever a model writes, a function gives a score within its range, or says why it can't."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rewards import functions  # noqa: F401
from rewards.registry import REGISTRY, Markers, RewardError, Sample

ROOT = Path(__file__).resolve().parents[2]
MARKERS = Markers("<think>", "</think>", "<SOLUTION>", "</SOLUTION>")
SCHEMA = json.dumps({"type": "object", "properties": {"a": {"type": "integer", "multipleOf": 0.01}}, "required": ["a"]})
APA = "Okafor, N. (2019). Rivers under cities. Urban Water, 14(2)."
GYM = {"metadata": json.dumps({"source_dataset": "decimal_arithmetic"})}
CASES = [
    ("section_order", {"sections": ["Cause", "Fix"]}, "", {}),
    ("section_content", {"name": "Cause", "until": "Fix", "keywords": ["cable"]}, "", {}),
    ("pattern_sequence", {"patterns": ["a+", "(b|c)", "[0-9]"]}, "", {}),
    ("json_schema", {"schema_text": SCHEMA, "partial": True}, "", {}),
    ("code_block", {"language": "python"}, "", {}),
    ("python_syntax", {}, "", {}),
    ("python_structure", {"function": "f", "docstrings": True, "type_hints": True, "longest_function": 3}, "", {}),
    ("citation", {"in_text": True}, "", {}),
    ("citation", {"style": "mla", "link": True}, "", {}),
    ("citation_match", {}, APA, {}),
    *[("text_similarity", {"metric": m}, "It slept.", {}) for m in ("rouge_l", "rouge_2", "chrf", "bleu", "gleu")],
    ("text_similarity", {"metric": "fuzzy_match", "pass_threshold": 0.5}, "It slept.", {}),
    ("readability", {}, "", {}),
    ("vocabulary", {"window": 5}, "", {}),
    ("written_in", {"fewest_letters": 1}, "", {}),
    ("reasoning_gym_score", {}, "1.5", GYM),
    ("signal_accuracy", {"levels": True}, "STRONG_BUY", {}),
]
PIECES = [
    "<SOLUTION>", "</SOLUTION>", "## Cause\n", "Fix:", "```python\n", "\n```\n", '{"a": ', "1e999", "}", "[",
    "def f():",
    "\0", "\ud800", "…", "Okafor, N. (2019). ", "(Okafor, 2019)", "https://doi.org/10.1234/x", "BUY", "STRONG_",
    "entry 1",
    "stop 0,5", "\\boxed{", "answer: ", "ß", "İ", "١", "a" * 300, " " * 300, "(" * 300, "。", "\r\n", "\u2028", "-1.5",
]  # fmt: skip
TEXT = st.one_of(
    st.text(max_size=300),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=10)), max_size=12).map("".join),
)


@pytest.mark.parametrize(("name", "parameters", "reference", "columns"), CASES, ids=lambda each: str(each)[:30])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(response=TEXT)
def test_any_text_is_scored_within_the_range_or_refused_with_a_reason(name, parameters, reference, columns, response):
    function = REGISTRY[name]
    sample = Sample("What is asked here, in so many words?", response, reference, columns, MARKERS)
    assert function.score is not None
    try:
        score = function.score(sample, function.parameters.model_validate(parameters))
    except RewardError as error:
        assert str(error).endswith((".", ":")) or len(str(error)) >= 200
        return
    assert math.isfinite(score.value)
    assert function.minimum <= score.value <= function.maximum


@pytest.mark.parametrize("name", ["text_similarity", "citation_match", "reasoning_gym_score", "signal_accuracy"])
@settings(max_examples=60, deadline=None)
@given(reference=TEXT, row=TEXT)
def test_any_reference_and_any_row_are_judged_or_refused_with_a_reason(name, reference, row):
    function = REGISTRY[name]
    sample = Sample("?", "Answer: a, b (2019). BUY", reference, {"metadata": row}, MARKERS)
    assert function.score is not None
    try:
        score = function.score(sample, function.parameters())
    except RewardError:
        return
    assert function.minimum <= score.value <= function.maximum


def test_every_function_of_these_modules_is_among_the_cases():
    modules = ("structure", "code", "citation", "similarity", "language", "gym", "trading")
    ours = {f.name for f in REGISTRY.values() if f.score and f.score.__module__.rsplit(".", 1)[-1] in modules}
    assert ours == {name for name, *_ in CASES}


@pytest.mark.parametrize("response", ["\ud800", "a\udfff1", "\0"])
@pytest.mark.parametrize("parameters", [{"pattern": "a"}, {"pattern": ".", "whole": True}])
def test_half_characters_are_no_trouble_for_patterns(response, parameters):
    function = REGISTRY["regex"]
    assert function.score(Sample("?", response), function.parameters.model_validate(parameters)).value in (0, 1)


PLACED = [(name, parameters) for name, parameters, *_ in CASES if "place" in REGISTRY[name].parameters.model_fields]


@pytest.mark.parametrize(("name", "parameters"), PLACED, ids=lambda each: str(each)[:30])
def test_a_section_that_the_prompt_does_not_have_is_an_error_and_no_zero(name, parameters):
    function = REGISTRY[name]
    with pytest.raises(RewardError, match="no solution markers"):
        function.score(Sample("?", "72"), function.parameters.model_validate(parameters | {"place": "solution"}))


FORM_ONLY = {"section_order", "section_content", "pattern_sequence", "json_schema", "code_block", "python_syntax",
             "python_structure", "citation", "readability", "vocabulary", "written_in"}  # fmt: skip


def test_functions_of_form_do_not_claim_to_judge_the_answer():
    ours = {name for name, *_ in CASES}
    assert {name for name in ours if REGISTRY[name].form_only} == FORM_ONLY
    assert all(REGISTRY[name].needs_reference for name in ours - FORM_ONLY)


@pytest.mark.parametrize("name", sorted(FORM_ONLY - {"section_content", "section_order", "pattern_sequence"}))
def test_an_empty_answer_has_no_good_form(name):
    function = REGISTRY[name]
    assert function.score(Sample("?", "", markers=MARKERS), function.parameters()).value == 0


LIBRARIES = ("jsonschema", "referencing", "rapidfuzz", "sacrebleu", "py3langid", "reasoning_gym", "numpy")


def test_the_libraries_are_imported_when_a_function_needs_them_and_not_before():
    code = f"import sys, rewards.composition; print([name for name in {LIBRARIES} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
