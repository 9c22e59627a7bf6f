import json
from typing import Any, BinaryIO

import pytest

from accounts.models import Team
from datasets_app import generating, generation, importing, mapping, rows, tables
from datasets_app.models import Dataset
from datasets_app.problems import DatasetProblem

SMALL = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}


@pytest.fixture
def asked_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the test process, where reasoning-gym is imported once. Requests that are refused print nothing."""

    def ask(request: dict[str, Any], seconds: int, output: BinaryIO | None = None) -> bytes:
        rows = generating.questions(request["task"], request["parameters"], request["seed"], request["size"])
        return b"".join(json.dumps(row).encode() for row in rows)

    monkeypatch.setattr(generation, "ask", ask)


def test_a_generated_dataset_is_mapped_split_and_says_where_it_is_from(team: Team) -> None:
    version = importing.generate(team, None, "leg_counting", {"max_animals": 4}, seed=7, size=50)
    assert version.dataset.source == "reasoning_gym"
    assert version.dataset.name == "leg_counting (50)"
    assert version.dataset.source_detail == {
        "task": "leg_counting",
        "parameters": {"max_animals": 4},
        "seed": 7,
        "size": 50,
    }
    assert (version.row_count, version.accepted) == (50, True)
    chosen = {"instruction": "question", "input": "", "response": "answer", "rule": "whole", "extra": {}}
    assert version.mapping == chosen
    assert [column["name"] for column in version.columns] == ["question", "answer", "metadata"]
    [first, *_] = tables.page(version.path, 0, 1)
    assert json.loads(first["metadata"])["num_animals"] <= 4


def test_the_same_settings_give_the_same_file_and_another_seed_another(team: Team) -> None:
    one, same, other = (importing.generate(team, None, "chain_sum", {}, seed, 30) for seed in (1, 1, 2))
    assert one.sha256 == same.sha256 != other.sha256


def test_no_question_comes_twice_so_that_the_parts_share_none(team: Team) -> None:
    version = importing.generate(team, None, "chain_sum", {**SMALL}, 42, 80)
    section = mapping.section_of(version)
    parts = rows.parts(version, section)
    assert (parts.questions, parts.duplicates, parts.skipped.total) == (80, 0, 0)
    train = {row.instruction for row in rows.training_rows(version, section, 1)}
    assert not train & {row.instruction for row in rows.held_out_rows(version, section, 100)}


def test_a_task_that_has_fewer_questions_gives_all_it_has(team: Team) -> None:
    version = importing.generate(team, None, "chain_sum", {**SMALL}, 42, 2000)
    assert 50 < version.row_count < 2000
    assert version.report["wanted"] == 2000


@pytest.mark.parametrize(
    ("task", "parameters", "size", "words"),
    [
        ("no_such_task", {}, 10, "no task “no_such_task”"),
        ("composite", {"datasets": "chain_sum, composite"}, 10, "datasets must be names of tasks"),
        ("composite", {"datasets": "chain_sum, rush_hour"}, 10, "datasets must be names of tasks"),
        ("composite", {"datasets": "no_such_task"}, 10, "datasets must be names of tasks"),
        ("chain_sum", {"colour": 1}, 10, "no parameter “colour”. It has: min_terms"),
        ("spell_backward", {"data_file": "/etc/passwd"}, 10, "no parameter “data_file”"),
        ("chain_sum", {"seed": 1}, 10, "no parameter “seed”"),
        ("chain_sum", {"min_terms": "two"}, 10, "min_terms must be a whole number."),
        ("chain_sum", {"min_terms": 2.5}, 10, "min_terms must be a whole number."),
        ("chain_sum", {"min_terms": 5, "max_terms": 2}, 10, "does not accept these parameters: .*max_terms"),
        ("chain_sum", {}, 1, "Ask for 2 to 100\u202f000"),
        ("chain_sum", {}, 100_001, "Ask for 2 to 100\u202f000"),
        ("basic_arithmetic", {"format_style": "loud"}, 10, "one of these: simple, natural"),
    ],
)
def test_a_wrong_request_is_explained_and_stores_nothing(
    asked_here: None, team: Team, task: str, parameters: dict[str, Any], size: int, words: str
) -> None:
    with pytest.raises(DatasetProblem, match=words) as caught:
        importing.generate(team, None, task, parameters, 42, size)
    assert caught.value.field in {"task", "parameters", "size"}
    assert not Dataset.objects.exists()


def test_what_the_child_refuses_is_explained_at_its_field(team: Team) -> None:
    with pytest.raises(DatasetProblem, match="no parameter “colour”") as caught:
        importing.generate(team, None, "chain_sum", {"colour": 1}, 42, 10)
    assert caught.value.field == "parameters"
    assert not Dataset.objects.exists()


def test_a_generator_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetProblem, match="took too long or too much memory"):
        generation.ask({"task": "chain_sum", "parameters": {}, "seed": 1, "size": 10**9}, 1)


def test_examples_are_the_first_rows_that_would_be_stored(team: Team) -> None:
    version = importing.generate(team, None, "gsm_symbolic", {}, 42, 5)
    stored = [row["question"] for row in tables.page(version.path, 0, 3)]
    assert [example["question"] for example in generation.examples("gsm_symbolic", {}, 42)] == stored


def test_the_catalogue_has_the_curated_tasks_first_and_each_task_once() -> None:
    groups = generation.choices()
    assert [task for task, _ in groups[0][1]] == list(generation.CURATED)
    tasks = [task for _, members in groups for task, _ in members]
    assert len(tasks) == len(set(tasks)) == len(generation.catalogue())
    assert len(tasks) == 106


def test_tasks_are_found_by_words_of_their_name_and_category() -> None:
    found = [task for _, members in generation.choices("cube rubik") for task, _ in members]
    assert found == ["rubiks_cube"]
    assert {"gcd", "lcm"} <= {task for _, members in generation.choices("arithmetic") for task, _ in members}
    assert generation.choices("no such thing") == []


@pytest.mark.parametrize("task", [task for task, key in generating.OPEN.items() if key])
def test_a_task_with_many_right_answers_stores_one_and_says_so(task: str) -> None:
    for row in generating.questions(task, {}, 42, 2):
        assert row["answer"].strip()
    assert "many right answers" in generation.note(task)
    assert generation.note("chain_sum") == ""


def test_a_task_that_stores_no_answer_takes_the_puzzle_as_its_reference(team: Team) -> None:
    version = importing.generate(team, None, "rush_hour", {}, 42, 6)
    assert version.mapping["response"] == "metadata"
    assert version.report["parts"]["questions"] == 6


def test_a_mixture_of_tasks_holds_questions_of_each(team: Team) -> None:
    version = importing.generate(team, None, "composite", {"datasets": "spell_backward, leg_counting"}, 42, 30)
    found = " ".join(row["question"] for row in tables.page(version.path, 0, 30))
    assert "legs" in found
    assert "Spell this word backward" in found


def test_no_parameter_is_a_path() -> None:
    names = {item["name"] for about in generation.catalogue().values() for item in about["parameters"]}
    assert not [name for name in names if "file" in name or "path" in name]


def test_a_parameter_that_may_be_left_out_is_empty_on_the_form() -> None:
    [font] = [item for item in generation.catalogue()["figlet_font"]["parameters"] if item["name"] == "static_font"]
    assert (font["type"], font["default"]) == ("text", None)
    [case] = [item for item in generation.catalogue()["word_sorting"]["parameters"] if item["name"] == "transformation"]
    assert case["choices"] == ["lowercase", "uppercase", "original", "randomcase"]
    assert list(generating.questions("word_sorting", {"transformation": "uppercase"}, 42, 1))


def test_every_curated_task_makes_rows_with_a_question_and_an_answer() -> None:
    for task in generation.CURATED:
        for row in generating.questions(task, {}, 42, 3):
            assert row["question"].strip(), task
            assert row["answer"].strip(), task
            json.dumps(row, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [("3", "integer", 3), (3, "integer", 3), ("0.5", "number", 0.5), ("true", "boolean", True), ("", "boolean", False)],
)
def test_text_of_a_form_becomes_the_parameter_s_type(value: Any, kind: str, expected: Any) -> None:
    parameter: dict[str, Any] = {"name": "p", "type": kind, "default": None, "choices": []}
    assert generating.converted(value, parameter) == expected


@pytest.mark.parametrize(
    ("value", "kind"),
    [("x", "integer"), (True, "integer"), ("nan", "number"), ("inf", "number"), ("perhaps", "boolean"), ("", "words")],
)
def test_a_value_of_the_wrong_type_is_named(value: Any, kind: str) -> None:
    with pytest.raises(DatasetProblem, match="p must be"):
        generating.converted(value, {"name": "p", "type": kind, "default": None, "choices": []})


def test_words_keep_the_kind_of_list_that_the_task_expects() -> None:
    parameter: dict[str, Any] = {"name": "p", "type": "words", "default": ("+",), "choices": []}
    assert generating.converted("+, -", parameter) == ("+", "-")


def test_values_that_json_lacks_are_made_plain() -> None:
    made = generating.plain({1: (1, float("nan")), "s": {2}, "o": 3 + 4j})
    assert made == {"1": [1, None], "s": [2], "o": "(3+4j)"}
