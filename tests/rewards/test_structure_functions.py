import json
import time

import pytest
from pydantic import ValidationError

from rewards.functions.structure import (
    JsonSchema,
    PatternSequence,
    SectionContent,
    SectionOrder,
    json_schema,
    pattern_sequence,
    section_content,
    section_order,
)
from rewards.registry import Markers, RewardError, Sample, Score

MARKERS = Markers("<think>", "</think>", "<SOLUTION>", "</SOLUTION>")


def of(response: str) -> Sample:
    return Sample("Report the fault.", response, markers=MARKERS)


def order(response: str, *names: str, **parameters: object) -> Score:
    return section_order(of(response), SectionOrder(sections=list(names), **parameters))


class TestSectionOrder:
    @pytest.mark.parametrize(
        "text",
        [
            "## Cause\nA cable.\n\n## Fix\nPlug it in.",
            "1. **Cause**\nA cable.\n2. **Fix**\nPlug it in.",
            "CAUSE: a cable.\nFIX: plug it in.",
            "Intro.\n\nCause\nA cable.\nFix\nPlug it in.",
            "**Cause:** a cable\n__Fix__: plug it in",
        ],
    )
    def test_headings_are_found_however_they_are_written(self, text):
        assert order(text, "Cause", "Fix").value == 1

    def test_a_word_in_a_sentence_is_no_heading(self):
        assert order("The cause of it.\nFix it now.", "Cause", "Fix").value == 0

    def test_feedback_names_what_is_wrong(self):
        said = order("## Fix\nPlug it in.\n## Cause\nA cable.\n## Fix\nAgain.", "Cause", "Fix", "Cost").feedback
        assert said == "“Fix” occurs more than once; “Cost” is missing."
        assert "“Fix” comes too early" in order("## Fix\nPlug.\n## Cause\nCable.", "Cause", "Fix").feedback

    def test_words_are_counted_up_to_the_next_section(self):
        text = "## Cause\none two three\n## Fix\none"
        assert order(text, "Cause", "Fix", min_words=2).feedback == "“Fix” has 1 words, fewer than 2."
        assert order(text, "Cause", "Fix", max_words=2).feedback == "“Cause” has 3 words, more than 2."

    def test_headings_repeated_without_text_earn_nothing(self):
        assert order("## Cause\n## Fix\n" * 5, "Cause", "Fix").value == 0

    def test_markers_stand_anywhere_and_their_end_is_no_word(self):
        assert order("x <a>One</a> <b>Two</b>", "<a>", "<b>", kind="markers").value == 1
        assert order("<a></a><b>Two</b>", "<a>", "<b>", kind="markers").value == 0.5

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"sections": ["A", "a"]}, "named twice"),
            ({"sections": ["A", "  "]}, "is empty"),
            ({"sections": ["A"], "min_words": 5, "max_words": 2}, "below"),
        ],
    )
    def test_what_can_never_hold_is_refused(self, wrong, said):
        with pytest.raises(ValidationError, match=said):
            SectionOrder(**wrong)

    def test_a_line_of_spaces_takes_no_time(self):
        began = time.perf_counter()
        order("## " + " " * 300_000 + "x", "Cause", "Fix")
        assert time.perf_counter() - began < 2


class TestSectionContent:
    def content(self, response: str, **parameters: object) -> Score:
        return section_content(of(response), SectionContent(name="Cause", **parameters))

    def test_keywords_count_only_inside_the_section(self):
        text = "The plug.\n## Cause\nA cable.\n## Fix\nPlug it in."
        assert self.content(text, until="Fix", keywords=["cable"]).value == 1
        assert self.content(text, until="Fix", keywords=["plug", "cable"]).value == pytest.approx(2 / 3)
        assert self.content(text, keywords=["plug"]).value == 1

    def test_a_wrong_length_costs_its_share_and_is_named(self):
        scored = self.content("Cause: a cable", min_words=10, keywords=["cable"])
        assert scored.value == 0.5
        assert scored.feedback == "“Cause” has 2 words, fewer than 10."

    @pytest.mark.parametrize("text", ["Nothing.", "Cause:\n", "Cause: x\nCause: y", ""])
    def test_a_missing_empty_or_repeated_section_scores_nothing(self, text):
        assert self.content(text).value == 0


class TestPatternSequence:
    def matched(self, text: str, *patterns: str, **parameters: object) -> float:
        return pattern_sequence(of(text), PatternSequence(patterns=list(patterns), **parameters)).value * len(patterns)

    def test_the_longest_run_in_order_counts_wherever_it_begins(self):
        assert self.matched("b c a", "a", "b", "c") == pytest.approx(2)
        assert self.matched("c a b", "a", "b", "c") == pytest.approx(2)
        assert self.matched("c b a", "a", "b", "c") == pytest.approx(1)
        assert self.matched("a a", "a", "a", "a") == pytest.approx(2)

    def test_case_counts_only_where_asked(self):
        assert self.matched("First", "first") == 1
        assert self.matched("First", "first", ignore_case=False) == 0

    @pytest.mark.parametrize(
        ("pattern", "said"), [("a(", "not an RE2 pattern"), ("a*", "empty text"), ("a" * 2001, "2\u202f000")]
    )
    def test_patterns_that_can_not_be_looked_for_are_refused(self, pattern, said):
        with pytest.raises(ValidationError, match=said):
            PatternSequence(patterns=["x", pattern])

    def test_many_patterns_over_a_long_text_take_no_time(self):
        began = time.perf_counter()
        assert self.matched("a" * 300_000, *["(a+)+$|b"] * 20) == pytest.approx(1)
        assert time.perf_counter() - began < 5


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z]"},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


def by_schema(response: str, schema: object = SCHEMA, **parameters: object) -> Score:
    return json_schema(of(response), JsonSchema(schema_text=json.dumps(schema), **parameters))


class TestJsonSchema:
    def test_the_path_of_what_is_wrong_is_named(self):
        scored = by_schema('{"name": "Ada", "age": 36, "tags": ["a", 1]}')
        assert scored.value == 0
        assert "at tags.1: 1 is not of type 'string'" in scored.feedback

    @pytest.mark.parametrize(
        ("text", "share"),
        [
            ('{"name": "Ada", "age": 36}', 1.0),
            ('{"name": "Ada"}', 0.5),
            ('{"name": "ada", "age": 36}', 0.5),
            ('{"name": "Ada", "age": -1, "tags": []}', 2 / 3),
            ('{"name": "Ada", "age": 1, "other": 1}', 0.5),
            ("{}", 0.0),
            ("[]", 0.0),
            ("72", 0.0),
            ("no JSON", 0.0),
        ],
    )
    def test_partly_the_share_of_right_keys_counts(self, text, share):
        assert by_schema(text, partial=True).value == pytest.approx(share)
        assert by_schema(text).value == float(share == 1)

    def test_unwanted_keys_do_not_dilute_an_error(self):
        more = {f"k{i}": i for i in range(100)}
        schema = {key: value for key, value in SCHEMA.items() if key != "additionalProperties"}
        assert by_schema(json.dumps({"name": 1, "age": 1, **more}), schema, partial=True).value == 0.5

    @pytest.mark.parametrize(
        ("schema", "said"),
        [
            ('{"a"', "not JSON"),
            ('{"type": "thing"}', "no JSON schema"),
            ('{"$ref": "https://example.com/person.json"}', "refers to"),
            ('{"properties": {"a": {"$ref": "file:///etc/passwd"}}}', "refers to"),
            ('{"patternProperties": {"^a": {}}}', "patternProperties"),
            ('{"pattern": "(?=a)"}', "not an RE2 pattern"),
        ],
    )
    def test_schemas_that_can_not_be_used_are_refused_when_the_reward_is_made(self, schema, said):
        with pytest.raises(ValidationError, match=said):
            JsonSchema(schema_text=schema)

    def test_nothing_is_fetched_for_a_reference_to_another_document(self, monkeypatch):
        def fetched(*args, **kwargs):
            raise AssertionError("the network was asked")

        monkeypatch.setattr("urllib.request.urlopen", fetched)
        with pytest.raises(RewardError, match="can't be applied"):
            by_schema("1", {"$id": "https://example.com/a", "allOf": [{"$ref": "#/$defs/none"}]})

    def test_a_schema_that_refers_to_itself_works(self):
        tree = {"$defs": {"node": {"type": "array", "items": {"$ref": "#/$defs/node"}}}, "$ref": "#/$defs/node"}
        assert by_schema("[[], [[]]]", tree).value == 1
        assert by_schema("[[], [1]]", tree).value == 0

    def test_a_schema_without_an_end_is_an_error_and_no_zero(self):
        with pytest.raises(RewardError, match="can't be applied"):
            by_schema("1", {"$ref": "#"})

    def test_a_schema_that_doubles_its_work_at_each_step_is_stopped(self, monkeypatch):
        monkeypatch.setattr("rewards.functions.structure.SCHEMA_SECONDS", 0.2)
        steps = {f"s{i}": {"allOf": [{"$ref": f"#/$defs/s{i + 1}"}] * 2} for i in range(30)}
        with pytest.raises(RewardError, match="took longer"):
            by_schema("1", {"$defs": {**steps, "s30": {}}, "$ref": "#/$defs/s0"})

    @pytest.mark.parametrize("text", ["[" * 60 + "]" * 60, "[" * 50_000])
    def test_what_nests_too_deeply_scores_nothing(self, text):
        assert by_schema(text, {"type": "array"}).value == 0

    def test_a_text_that_is_too_long_is_an_error(self):
        with pytest.raises(RewardError, match="100\u202f001 characters"):
            by_schema("1" * 100_001, {})

    def test_patterns_run_in_linear_time(self):
        began = time.perf_counter()
        assert by_schema(json.dumps("a" * 50_000 + "b"), {"pattern": "^(a+)+$"}).value == 0
        assert time.perf_counter() - began < 2
