import json

import pytest
from pydantic import ValidationError

from rewards import exchange, graders
from rewards.composition import Composition
from rewards.exchange import ImportProblem
from rewards.functions import custom, embedding, similarity  # noqa: F401
from rewards.functions.templated import NoVariable, columns_in, variables
from rewards.graders import GraderProblem
from rewards.registry import REGISTRY, Sample
from rewards.sandbox.jail_process import Jail

CHECK = {
    "type": "string_check",
    "name": "Right city",
    "operation": "eq",
    "input": "{{ sample.output_text }}",
    "reference": "{{item.city}}",
}
LIKE = CHECK | {"name": "Says why", "operation": "ilike", "reference": "because"}
SIMILAR = {
    "type": "text_similarity",
    "name": "Close",
    "evaluation_metric": "rouge_l",
    "input": "{{sample.output_text}}",
    "reference": "{{item.summary}}",
}
SCORE = {
    "type": "score_model",
    "name": "Tone",
    "model": "o4-mini",
    "input": [
        {"role": "developer", "content": "Give points for a friendly tone."},
        {"role": "user", "content": "Question: {{item.question}}\nReply: {{sample.output_text}}"},
    ],
}
LABEL = {
    "type": "label_model",
    "name": "Kind",
    "model": "gpt-4o-mini",
    "input": [
        {"role": "developer", "content": "Which tone has the reply?"},
        {"role": "user", "content": "{{sample.output_text}}"},
    ],
    "labels": ["kind", "neutral", "rude"],
    "passing_labels": ["kind", "neutral"],
}
PYTHON = {
    "type": "python",
    "name": "Length",
    "source": "def grade(sample, item):\n    return 1.0 if len(sample['output_text']) < 10 else 0.0\n",
    "image_tag": "2025-05-08",
}
MULTI = {
    "type": "multi",
    "name": "Both",
    "graders": {"city": CHECK, "why": LIKE},
    "calculate_output": "0.75 * city + 0.25 * why",
}


def imported(grader):
    made = graders.translated(grader)
    return Composition.model_validate(made.definition), made.notes


def total(grader, response, **columns):
    result = imported(grader)[0].score(Sample("Which city?", response, columns.pop("reference", None), columns))
    assert not result.errors, result.errors
    return result.total


class TestStringCheck:
    @pytest.mark.parametrize(
        ("operation", "response", "expected"),
        [
            ("eq", "Paris", 1.0),
            ("eq", "paris", 0.0),
            ("eq", " Paris", 0.0),
            ("ne", "Paris", 0.0),
            ("ne", "paris", 1.0),
            ("like", "It is Paris.", 1.0),
            ("like", "It is paris.", 0.0),
            ("ilike", "It is PARIS.", 1.0),
            ("ilike", "It is Lyon.", 0.0),
        ],
    )
    def test_each_operation_scores_as_openai_says(self, operation, response, expected):
        assert total(CHECK | {"operation": operation}, response, city="Paris") == expected

    def test_a_check_against_fixed_words_looks_at_form_only(self):
        assert imported(CHECK)[0].judges_answer
        assert imported(CHECK)[0].score(Sample("?", "Paris", None, {"city": "Paris"})).correct is True
        assert imported(CHECK | {"operation": "ne"})[0].score(Sample("?", "x", None, {"city": "y"})).correct is None
        fixed, _ = imported(LIKE)
        assert fixed.parts[0].function == "fixed_string_check" and not fixed.judges_answer
        with pytest.raises(ValidationError, match="Nothing here comes from the row"):
            REGISTRY["string_check"].parameters(reference="because")

    def test_templates_may_hold_words_and_several_variables(self):
        grader = CHECK | {"reference": "{{item.city}}, {{item.land}}"}
        assert total(grader, "Paris, France", city="Paris", land="France") == 1.0

    def test_values_inside_json_answers_and_columns_are_found(self):
        grader = CHECK | {"input": "{{sample.output_json.places[1].name}}", "reference": "{{item.right.name}}"}
        answer = json.dumps({"places": [{"name": "Lyon"}, {"name": "Paris"}]})
        assert total(grader, answer, right={"name": "Paris"}) == 1.0
        assert total(grader, '{"places": []}', right={"name": "Paris"}) == 0.0
        assert total(grader, "Paris", right={"name": "Paris"}) == 0.0

    def test_a_missing_column_is_an_error_and_no_zero(self):
        result = imported(CHECK)[0].score(Sample("Which?", "Paris"))
        assert result.total is None
        assert result.errors == {"Right city": "This row has no column “city”."}

    def test_a_missing_reference_answer_is_an_error_and_no_zero(self):
        result = imported(CHECK | {"reference": "{{reference}}"})[0].score(Sample("Which?", "Paris"))
        assert result.errors == {"Right city": "This row has no reference answer."}

    def test_the_columns_that_it_reads_are_known(self):
        assert imported(CHECK | {"input": "{{item.a.b}} {{sample.output_text}}"})[0].columns == ["a", "city"]
        assert columns_in("{{item.x[0]}} {{reference}}") == ["x"]

    @pytest.mark.parametrize("name", ["sample.output_tools", "sample.choices[0].message", "sample.output_audio.data"])
    def test_what_no_answer_here_has_is_refused_by_name(self, name):
        with pytest.raises(GraderProblem, match="Right city") as refused:
            imported(CHECK | {"input": "{{" + name + "}}"})
        assert name in str(refused.value) and "nothing that an answer here has" in str(refused.value)

    @pytest.mark.parametrize("template", ["{{city}}", "{{item.}}", "{{ }}", "{{item.a b}}", "{{sample}}"])
    def test_what_is_no_variable_is_refused(self, template):
        with pytest.raises(NoVariable, match=r"is no variable|nothing that an answer"):
            variables(template)


class TestMulti:
    def test_its_formula_and_parts_are_kept(self):
        composition, notes = imported(MULTI)
        assert composition.formula == "0.75 * city + 0.25 * why"
        assert [part.name for part in composition.parts] == ["city", "why"]
        assert notes == []
        assert total(MULTI, "Paris", city="Paris") == 0.75
        assert total(MULTI, "Paris because I say so", city="Paris") == 0.25

    def test_the_functions_of_the_formula_are_known(self):
        grader = MULTI | {"calculate_output": "max(city, why) ^ 2 - abs(min(city, why)) / 4"}
        assert total(grader, "Paris", city="Paris") == 1.0

    def test_a_grader_that_the_formula_leaves_out_is_left_out_and_told(self):
        composition, notes = imported(MULTI | {"calculate_output": "city"})
        assert [part.name for part in composition.parts] == ["city"]
        assert notes == ["Left out, because calculate_output does not use it: why."]

    def test_a_formula_over_unknown_names_is_refused_with_the_place(self):
        with pytest.raises(GraderProblem, match="calculate_output: The formula names town"):
            imported(MULTI | {"calculate_output": "town"})

    def test_a_multi_inside_a_multi_becomes_its_formula_in_brackets(self):
        inner = MULTI | {"calculate_output": "city + why"}
        grader = MULTI | {"graders": {"inner": inner, "city": CHECK}, "calculate_output": "0.25 * inner + city ^ 2"}
        composition, notes = imported(grader)
        assert [part.name for part in composition.parts] == ["inner_city", "inner_why", "city"]
        assert composition.formula == "0.25 * (inner_city + inner_why) + city ** 2"
        assert notes == []
        assert total(grader, "Paris", city="Paris") == 1.25
        assert total(grader, "Lyon because I say so", city="Paris") == 0.25

    def test_a_multi_inside_may_be_used_twice_and_names_never_meet(self):
        grader = {
            "type": "multi",
            "graders": {"a": {"type": "multi", "graders": {"b": CHECK}, "calculate_output": "b"}, "a_b": LIKE},
            "calculate_output": "max(a, a / 2, a_b)",
        }
        composition, _ = imported(grader)
        assert [part.name for part in composition.parts] == ["a_b", "a_b_2"]
        assert composition.formula == "max(a_b, a_b / 2, a_b_2)"
        assert total(grader, "because", city="Paris") == total(grader, "Paris", city="Paris") == 1.0

    def test_a_multi_inside_that_is_wrong_is_named_with_its_place(self):
        inner = MULTI | {"calculate_output": "town"}
        outer = MULTI | {"graders": {"inner": inner}, "calculate_output": "inner"}
        with pytest.raises(GraderProblem, match=r"graders.inner.calculate_output: The formula names town"):
            imported(outer)
        with pytest.raises(GraderProblem, match=r"“inner\.why”"):
            wrong = MULTI | {"graders": {"city": CHECK, "why": LIKE | {"input": "{{sample.choices}}"}}}
            imported(outer | {"graders": {"inner": wrong}})

    def test_what_is_left_out_of_a_multi_inside_is_told_with_its_place(self):
        inner = MULTI | {"calculate_output": "city", "pass_threshold": 0.5}
        _, notes = imported(MULTI | {"graders": {"inner": inner}, "calculate_output": "inner"})
        assert notes[0].startswith("“inner”: pass_threshold only says")
        assert notes[1] == "Left out, because graders.inner.calculate_output does not use it: inner.why."

    def test_multis_that_grow_without_end_are_refused(self):
        deep = MULTI
        for _ in range(12):
            deep = {"type": "multi", "graders": {"x": deep}, "calculate_output": "x"}
        with pytest.raises(GraderProblem, match="nested deeper than 10 levels"):
            imported(deep)
        wide = CHECK
        for _ in range(9):
            wide = {"type": "multi", "graders": {"x": wide}, "calculate_output": " + ".join("x" * 10)}
        with pytest.raises(GraderProblem, match="more than 2000 characters"):
            imported(wide)

    def test_a_wrong_grader_inside_is_named(self):
        with pytest.raises(GraderProblem, match="“why”"):
            imported(MULTI | {"graders": {"city": CHECK, "why": LIKE | {"input": "{{sample.choices}}"}}})
        with pytest.raises(GraderProblem, match=r"graders.why.string_check.operation"):
            imported(MULTI | {"graders": {"city": CHECK, "why": LIKE | {"operation": "is"}}})

    def test_a_range_other_than_0_to_1_is_brought_back_in_the_formula(self):
        grader = {
            "type": "multi",
            "graders": {"tone": SCORE | {"range": [1, 7]}, "city": CHECK},
            "calculate_output": "0.5 * tone + city ^ 2",
        }
        composition, _ = imported(grader)
        assert composition._formula.value({"tone": 0.5, "city": 1.0}) == 0.5 * 4 + 1


class TestTextSimilarity:
    def test_it_is_measured_on_the_whole_answer_against_the_row_s_reference(self):
        composition, notes = imported(SIMILAR)
        assert composition.parts[0].parameters == {"metric": "rouge_l", "look_in": "text"}
        assert composition.score(Sample("?", "The cat sat.", "The cat sat.")).total == 1.0
        assert composition.score(Sample("?", "A dog barked.", "The cat sat.")).total == 0.0
        assert any("map the column “summary” as answer" in note for note in notes)
        assert any("may differ a little" in note for note in notes)

    def test_the_reference_answer_itself_needs_no_mapping(self):
        assert not any("map the column" in note for note in imported(SIMILAR | {"reference": "{{reference}}"})[1])

    @pytest.mark.parametrize("metric", ["rouge_1", "rouge_5", "bleu", "gleu", "fuzzy_match"])
    def test_openai_s_metrics_are_known(self, metric):
        composition, _ = imported(SIMILAR | {"evaluation_metric": metric})
        assert composition.score(Sample("?", "one two three four five", "one two three four five")).total == 1.0

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"evaluation_metric": "levenshtein"}, "the metric 'levenshtein' is not known here. There are: rouge_l"),
            ({"evaluation_metric": "meteor"}, "WordNet's list of English synonyms, which this program does not have"),
            ({"input": "So: {{sample.output_text}}"}, "has to be a single variable"),
            ({"input": "{{item.question}}"}, "only the whole answer"),
            ({"input": "{{sample.output_json.a}}"}, "only the whole answer"),
            ({"reference": "{{item.a}} {{item.b}}"}, "has to be a single variable"),
            ({"reference": "Paris"}, "has to be a single variable"),
            ({"reference": "{{sample.output_text}}"}, "compares the answer with itself"),
        ],
    )
    def test_what_it_can_not_compare_is_refused_by_name(self, change, message):
        with pytest.raises(GraderProblem, match="“Close”") as refused:
            imported(SIMILAR | change)
        assert message in str(refused.value)


class TestCosine:
    @pytest.fixture(autouse=True)
    def with_the_package(self, monkeypatch):
        monkeypatch.setattr(embedding, "PACKAGE", "json")

    def test_it_compares_embeddings_of_the_whole_answer_and_says_that_the_model_is_another(self):
        composition, notes = imported(SIMILAR | {"evaluation_metric": "cosine"})
        part = composition.parts[0]
        assert (part.function, part.parameters) == ("embedding_similarity", {"look_in": "text"})
        assert "text-embedding-3-large" in notes[1] and part.parsed.model in notes[1]
        assert "map the column “summary” as answer" in notes[0]

    def test_without_the_package_it_is_refused_with_the_way_to_get_it(self, monkeypatch):
        monkeypatch.setattr(embedding, "PACKAGE", "no_such_package")
        with pytest.raises(GraderProblem, match=r"“Close”: cosine .* pip install sentence-transformers"):
            imported(SIMILAR | {"evaluation_metric": "cosine"})

    def test_what_can_not_be_compared_is_refused_as_for_words(self):
        with pytest.raises(GraderProblem, match="only the whole answer"):
            imported(SIMILAR | {"evaluation_metric": "cosine", "input": "{{item.question}}"})


class TestScoreModel:
    def test_it_becomes_a_judge_at_openai_and_says_so(self):
        composition, notes = imported(SCORE)
        part = composition.parts[0]
        assert part.function == "judge_model"
        given = part.parsed
        assert (given.endpoint, given.model) == ("https://api.openai.com/v1", "o4-mini")
        assert (given.low, given.high) == (0.0, 1.0)
        assert given.rubric == "Give points for a friendly tone."
        assert given.template == "Question: {columns.question}\nReply: {response}"
        assert "names no endpoint" in notes[0]

    def test_its_range_is_the_scale_and_the_total_is_on_it(self):
        composition, _ = imported(SCORE | {"range": [1, 7]})
        assert (composition.parts[0].parsed.low, composition.parts[0].parsed.high) == (1.0, 7.0)
        assert composition._formula.value({"part": 0.5}) == 4.0

    def test_a_prompt_of_one_text_becomes_the_rubric_and_texts_stay_data(self):
        composition, _ = imported(SCORE | {"input": "Compare {{sample.output_text}} with {{item.ideal}}. 0 to 1."})
        given = composition.parts[0].parsed
        assert given.rubric == "Compare (the text “Answer to grade” below) with (the text “ideal” below). 0 to 1."
        assert "{response}" in given.template and "{columns.ideal}" in given.template

    def test_sampling_parameters_that_have_a_place_are_kept_and_others_told(self):
        composition, notes = imported(
            SCORE | {"sampling_params": {"temperature": 0.5, "max_completions_tokens": 999, "top_p": 1, "seed": 4}}
        )
        assert (composition.parts[0].parsed.temperature, composition.parts[0].parsed.max_tokens) == (0.5, 999)
        assert "“Tone”: seed, top_p has no counterpart here and is left out." in notes

    def test_a_pass_threshold_changes_no_score_and_is_told(self):
        assert any("pass_threshold" in note for note in imported(SCORE | {"pass_threshold": 0.8})[1])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"range": [1, 1]}, "the lower end has to come first"),
            ({"input": [{"role": "user", "content": {"type": "input_image", "image_url": "x"}}]}, "other than text"),
            ({"input": [{"role": "user", "content": "{{sample.output_json.a}}"}]}, "whole answers"),
            ({"input": [{"role": "user", "content": "{{sample.output_tools}}"}]}, "“Tone”"),
        ],
    )
    def test_what_a_judge_is_not_shown_is_refused_by_name(self, change, message):
        with pytest.raises(GraderProblem, match=message):
            imported(SCORE | change)

    def test_messages_may_hold_pieces_of_text(self):
        pieces = [{"role": "user", "content": [{"type": "input_text", "text": "Is it polite? {{sample.output_text}}"}]}]
        assert imported(SCORE | {"input": pieces})[0].parts[0].parsed.rubric.startswith("Is it polite?")


class TestLabelModel:
    def test_it_becomes_a_judge_that_chooses_one_of_its_labels(self):
        composition, notes = imported(LABEL)
        given = composition.parts[0].parsed
        assert composition.parts[0].function == "judge_model"
        assert (given.endpoint, given.model) == ("https://api.openai.com/v1", "gpt-4o-mini")
        assert (given.labels, given.passing_labels) == (["kind", "neutral", "rude"], ["kind", "neutral"])
        assert given.rubric == "Which tone has the reply?"
        assert given.template == "{response}"
        assert composition.formula == "" and "names no endpoint" in notes[0]

    def test_inside_a_multi_it_is_a_name_of_the_formula(self):
        grader = {"type": "multi", "graders": {"tone": LABEL, "city": CHECK}, "calculate_output": "tone * city"}
        assert imported(grader)[0].formula == "tone * city"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"passing_labels": ["nice"]}, "“Kind”: passing_labels names nice, which labels does not"),
            ({"passing_labels": []}, "“Kind”: none of its labels pass"),
            ({"passing_labels": ["kind", "neutral", "rude"]}, "“Kind”: all of its labels pass"),
            ({"input": [{"role": "user", "content": "{{sample.output_json.a}}"}]}, "“Kind”"),
            ({"labels": "kind"}, "label_model.labels"),
            ({"labels": [" kind", "rude"], "passing_labels": ["rude"]}, "without spaces around it"),
        ],
    )
    def test_labels_that_can_not_tell_answers_apart_are_refused_by_name(self, change, message):
        with pytest.raises(GraderProblem, match=message):
            imported(LABEL | change)


class TestOthers:
    def test_a_grader_in_a_request_for_a_run_is_found(self):
        made = graders.translated({"grader": CHECK, "model_sample": "x"})
        assert made.definition["parts"][0]["name"] == "Right city"

    def test_an_unknown_field_is_told(self):
        assert imported(CHECK | {"weight": 2})[1] == ["“Right city”: weight has no counterpart here and is left out."]

    def test_a_function_that_is_missing_is_said_by_name(self, monkeypatch):
        monkeypatch.delitem(REGISTRY, "judge_model")
        with pytest.raises(GraderProblem, match=r"“Tone” can't be imported: .* no reward function 'judge_model'"):
            imported(SCORE)


def run(definition, completions, **columns):
    """What the code scores in the real sandbox."""
    [part] = definition["parts"]
    with Jail(part["parameters"]["code"]) as jail:
        return jail.rewards(completions, {"instruction": ["?"] * len(completions), **columns})


class TestPython:
    def test_a_python_grader_keeps_its_arguments(self):
        source = (
            "def grade(sample, item):\n"
            "    if sample['output_json']:\n"
            "        return float(sample['output_json']['city'] == item['city'])\n"
            "    return 0.5 * (item['city'] in sample['output_text'])\n"
        )
        made = graders.translated(PYTHON | {"source": source})
        scores = run(made.definition, ['{"city": "Paris"}', "It is Paris", "Lyon"], city=["Paris"] * 3)
        assert scores == [1.0, 0.5, 0.0]
        assert any("runs in the sandbox" in note for note in made.notes)
        assert "“Length”: image_tag has no counterpart here and is left out." in made.notes

    def test_an_imported_python_grader_scores_as_a_part(self):
        composition, _ = imported(PYTHON)
        results = composition.score_all([Sample("?", "short"), Sample("?", "much too long for it")])
        assert [result.total for result in results] == [1.0, 0.0], results[0].errors

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("def score(sample, item): return 1", "defines no function grade"),
            ("def grade(sample, item)\n    return 1", "“Length” is no Python: line 1"),
        ],
    )
    def test_a_python_grader_without_grade_is_refused_by_name(self, source, message):
        with pytest.raises(GraderProblem, match=message):
            graders.translated(PYTHON | {"source": source})

    def test_a_pasted_reward_function_stays_as_it_is(self):
        source = "def reward(completions, **columns):\n    return [len(text) for text in completions]\n"
        made = exchange.read(source)
        assert made.kind == "a Python function" and "are read as 0 to 1" in made.notes[0]
        assert made.definition["parts"][0] == {
            "name": "reward", "function": "custom_python", "parameters": {"code": source},
        }  # fmt: skip

    def test_a_function_of_another_name_is_called(self):
        source = (
            "import re\n\n"
            "def digits(completions, answer, **kwargs):\n"
            "    return [float(a in c) for a, c in zip(answer, completions)]\n"
        )
        made = exchange.read(source)
        assert made.definition["parts"][0]["name"] == "digits"
        assert run(made.definition, ["is 7", "is 8"], answer=["7", "7"]) == [1.0, 0.0]

    def test_one_without_keyword_arguments_gets_only_what_it_takes(self):
        source = (
            "def ends(prompts, completions):\n    return [float(c.endswith(p)) for p, c in zip(prompts, completions)]\n"
        )
        assert run(exchange.read(source).definition, ["why?", "no"], city=["a", "b"]) == [1.0, 0.0]

    def test_conversations_are_given_where_the_code_reads_them(self):
        source = (
            "def polite(completions, **kwargs):\n"
            "    texts = [completion[0]['content'] for completion in completions]\n"
            "    return [1.0 if 'please' in text else 0.0 for text in texts]\n"
        )
        made = exchange.read(source)
        assert run(made.definition, ["please", "no"]) == [1.0, 0.0]
        assert not any("None" in note for note in made.notes)

    def test_one_that_sometimes_returns_none_leaves_that_answer_out_and_says_so(self):
        source = (
            "def maths_only(prompts, completions, task, **kwargs):\n"
            "    return [float('4' in c[0]['content']) if t == 'maths' else None for c, t in zip(completions, task)]\n"
        )
        made = exchange.read(source)
        assert any("Where it returns None, the answer is left out" in note for note in made.notes)
        samples = [Sample("2 + 2?", "4", None, {"task": task}) for task in ("maths", "poem")]
        first, second = Composition.model_validate(made.definition).score_all(samples)
        assert first.total == 1.0
        assert second.total is None and "no value" in second.errors["maths_only"]

    def test_arguments_that_only_the_trainer_has_are_refused_unless_they_have_a_default(self):
        for arguments in ("completions, completion_ids", "completions, *, log_metric"):
            with pytest.raises(ImportProblem, match="which only TRL's trainer has"):
                exchange.read(f"def reward({arguments}):\n    return [1.0] * len(completions)\n")
        made = exchange.read(
            "def reward(completions, trainer_state=None, **kwargs):\n    return [1.0] * len(completions)\n"
        )
        assert run(made.definition, ["a"]) == [1.0]

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("import re", "defines no function"),
            ("async def reward(completions): return []", "defines no function"),
            (
                "def a(completions): return []\n\ndef b(completions): return []",
                "defines a, b, and none is called reward",
            ),
            ("def reward(completions):\n  return [", "“The pasted code” is no Python: line 2"),
        ],
    )
    def test_what_is_no_reward_function_is_refused(self, source, message):
        with pytest.raises(ImportProblem, match=message):
            exchange.read(source)


def test_without_custom_code_python_is_refused_with_the_reason(monkeypatch):
    monkeypatch.delitem(REGISTRY, "custom_python", raising=False)
    with pytest.raises(GraderProblem, match="“Length” can't be imported: this program has no reward function"):
        graders.translated(PYTHON)


class TestFiles:
    def test_what_is_exported_is_read_again(self):
        preset = {
            "name": "Mine", "slug": "mine", "category": "Own", "description": "Short.", "version": 3,
            "definition": {"parts": [{"name": "short", "function": "length", "gate": 0.5, "clip": [0, 0.9]}]},
            "golden": [{"instruction": "?", "reference": "a", "answers": [{"text": "a", "rank": 1}]}],
        }  # fmt: skip
        made = exchange.read(json.dumps(exchange.exported(preset)))
        assert (made.name, made.slug, made.category, made.description) == ("Mine", "mine", "Own", "Short.")
        assert made.definition["parts"][0]["clip"] == [0.0, 0.9]
        assert made.golden[0]["answers"][0]["text"] == "a"
        assert made.kind == "an exported preset"

    def test_a_bare_definition_and_a_grader_are_read_too(self):
        assert exchange.read('{"parts": [{"name": "a", "function": "length"}]}').kind == "a definition"
        made = exchange.read(json.dumps(MULTI))
        assert (made.kind, made.name) == ("an OpenAI grader", "Both")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (" ", "nothing to read"),
            ('{"parts": [}', "Line 1, column 12"),
            ("[1]", "in braces"),
            ('{"a": 1}', "none of the kinds"),
            ('{"format": "other"}', "format: 'other' is not the format"),
            ('{"format": "loracraft-reward", "format_version": 2}', "format_version: this program reads version 1"),
            ('{"format": "loracraft-reward", "format_version": 1}', "definition: This is missing"),
            ('{"format": "loracraft-reward", "format_version": 1, "definition": {"parts": []}}', "definition.parts:"),
            ('{"parts": [{"name": "a", "function": "magic"}]}', "parts.0: There is no reward function 'magic'"),
            ('{"type": "string_check", "name": "n"}', "string_check.operation: This is missing"),
            ("[" * 100_000, "nested too deeply|neither JSON"),
            ('"' + "x" * 1_000_001 + '"', "larger than 1 MB"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(self, text, message):
        with pytest.raises(ImportProblem, match=message):
            exchange.read(text)

    def test_a_wrong_golden_case_is_said_with_its_place(self):
        file = {
            "format": "loracraft-reward", "format_version": 1, "golden": [{"instruction": "?"}],
            "definition": {"parts": [{"name": "a", "function": "length"}]},
        }  # fmt: skip
        with pytest.raises(ImportProblem, match=r"golden.0.answers: This is missing"):
            exchange.read(json.dumps(file))
