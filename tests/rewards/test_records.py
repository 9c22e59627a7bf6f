import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.functions.records import JsonEqual, json_equal
from rewards.registry import RewardError, Sample

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def score(response, reference, **parameters):
    return json_equal(Sample("?", response, reference), JsonEqual(**parameters)).value


@given(VALUES)
def test_a_record_equals_itself(value):
    assert score(json.dumps(value), json.dumps(value)) == 1.0


@given(VALUES, VALUES)
def test_the_score_is_a_share_and_full_only_for_what_is_equal(value, other):
    shared = score(json.dumps(other), json.dumps(value))
    assert 0.0 <= shared <= 1.0
    assert score(json.dumps(other), json.dumps(value), partial=False) in (0.0, 1.0)


@pytest.mark.parametrize(
    ("response", "reference", "value"),
    [
        ("true", "1", 0.0),
        ('{"a": true}', '{"a": 1}', 0.0),
        ("null", "null", 1.0),
        ("{}", "[]", 0.0),
        ('{"a": {"b": [1, 2]}}', '{"a": {"b": [1, 3]}}', 0.5),
        ('{"a": 1, "a": 2}', '{"a": 2}', 1.0),
        ('{"a": "X"}', '{"a": "x"}', 1.0),
        ("[" * 100_000, '{"a": 1}', 0.0),
        ('{"a": 1} {"a": 1}', '{"a": 1}', 0.0),
    ],
)
def test_values_are_compared_with_their_type_and_place(response, reference, value):
    assert score(response, reference) == value


def test_case_counts_where_it_is_asked_for():
    assert score('{"a": "X"}', '{"a": "x"}', ignore_case=False) == 0.0


def test_every_field_at_once_earns_no_more_than_the_right_ones():
    """A list of all answers is a longer record."""
    assert score('{"a": 1, "b": 1, "c": 1, "d": 1}', '{"a": 1}') == 0.25


@pytest.mark.parametrize("reference", [None, "", "Ada, 1815", "{'name': 'Ada'}"])
def test_a_reference_that_is_no_json_is_an_error(reference):
    with pytest.raises(RewardError, match="no JSON"):
        score("{}", reference)


def test_the_feedback_names_what_is_wrong():
    said = json_equal(Sample("?", '{"a": 1, "c": 3}', '{"a": 1, "b": 2}'), JsonEqual()).feedback
    assert said == "1 of 2 fields are right; not b; 1 are too many."
