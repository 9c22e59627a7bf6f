import ast
import json
import re
from pathlib import Path

import pytest

from rewards.functions import gym
from rewards.functions.gym import REFUSED, WITHOUT_ANSWER, ReasoningGym, reasoning_gym_score, scorer_of
from rewards.registry import Markers, RewardError, Sample, Score

MARKERS = Markers("<think>", "</think>", "<SOLUTION>", "</SOLUTION>")
# They make questions with these calls, and do not score with them.
ONLY_GENERATE = {"basic_arithmetic", "bf", "codeio", "gsm_symbolic"}
RUNS_TEXT = re.compile(r"(?<![\w.])(?:eval|exec|compile)$|(?:^|\.)(?:parse_expr|sympify|parse_latex|S)$")


def row(task: str, seed: int = 7) -> dict:
    """As a generated dataset holds it."""
    from datasets_app.generating import questions

    made = next(questions(task, {}, seed, 1))
    return made | {"metadata": json.dumps(made["metadata"])}


def scored(made: dict, answer: str, **changed: object) -> Score:
    columns = {"metadata": made["metadata"]}
    sample = Sample(made["question"], f"<SOLUTION>{answer}</SOLUTION>", made["answer"], columns, MARKERS)
    return reasoning_gym_score(Sample(**(vars(sample) | changed)), ReasoningGym())


TASKS = [
    "chain_sum", "word_sorting", "letter_jumble", "propositional_logic", "graph_color", "knights_knaves",
    "zebra_puzzles", "word_ladder", "sokoban", "tower_of_hanoi", "mini_sudoku", "jugs", "decimal_arithmetic",
    "complex_arithmetic",
    "group_anagrams", "shortest_path", "quantum_lock", "time_intervals", "polynomial_equations", "coin_flip",
    "syllogism",
    "palindrome_generation", "family_relationships", "leg_counting", "number_format", "dice",
]  # fmt: skip


# Scorers that overlook what stands round the right answer.
LENIENT = {"knights_knaves", "sokoban", "word_sorting"}


def listed(answer: str) -> list[str]:
    return [f"{answer}, 1, 2, 3, A, B, yes, no", f"1, 2, 3, A, B, yes, no, {answer}"]


@pytest.mark.parametrize("task", TASKS)
def test_the_right_answer_of_a_stored_row_outscores_wrong_empty_echoed_and_listed_ones(task):
    made = row(task)
    right = scored(made, made["answer"]).value
    assert right == 1
    others = ["wrong", made["question"], "", *([] if task in LENIENT else listed(made["answer"]))]
    assert all(scored(made, other).value < right for other in others)
    assert scored(made, "").value == 0


@pytest.mark.parametrize("task", sorted(LENIENT))
def test_the_scorers_that_overlook_more_text_are_known(task):
    made = row(task)
    assert scored(made, listed(made["answer"])[0]).value == 1


def test_another_right_answer_than_the_stored_one_counts():
    made = row("palindrome_generation")
    other = "".join(made["answer"][i] for i in range(len(made["answer"])))[::-1]
    assert scored(made, other).value == 1


def test_the_metadata_may_be_an_object_already():
    made = row("word_ladder")
    assert scored(made | {"metadata": json.loads(made["metadata"])}, made["answer"]).value == 1


def calls(tree: ast.AST) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def test_every_task_whose_module_runs_text_is_refused_or_only_generates_with_it():
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    root = Path(reasoning_gym.__file__).parent.parent
    found = set()
    for task, (made, _) in DATASETS.items():
        source = (root / made.__module__.replace(".", "/")).with_suffix(".py").read_text()
        tree = ast.parse(source)
        own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        if any(RUNS_TEXT.search(name) and name not in own for name in calls(tree)):
            found.add(task)
    refused = {task for task, why in REFUSED.items() if "Python code" in why}
    assert found - ONLY_GENERATE == refused


@pytest.mark.parametrize("task", sorted(ONLY_GENERATE))
def test_tasks_that_only_generate_with_such_calls_score_without_them(task):
    import inspect
    import textwrap

    from reasoning_gym.factory import DATASETS

    source = textwrap.dedent(inspect.getsource(DATASETS[task][0].score_answer))
    assert not [name for name in calls(ast.parse(source)) if RUNS_TEXT.search(name)]


@pytest.mark.parametrize("task", sorted(REFUSED))
def test_refused_tasks_are_an_error_with_the_reason_and_never_run(task, monkeypatch):
    monkeypatch.setattr(gym, "_made", lambda name: pytest.fail("it was made"))
    made = {"question": "?", "answer": "1", "metadata": json.dumps({"source_dataset": task})}
    with pytest.raises(RewardError, match=re.escape(REFUSED[task])):
        scored(made, "__import__('os').getcwd()")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, "no column “metadata”"),
        ({"metadata": "not JSON"}, "holds no JSON"),
        ({"metadata": "[]"}, "does not name a task"),
        ({"metadata": "{}"}, "does not name a task"),
        ({"metadata": '{"source_dataset": 3}'}, "does not name a task"),
        ({"metadata": '{"source_dataset": "no_such_task"}'}, "no task 'no_such_task'"),
        ({"metadata": None}, "does not name a task"),
        ({"metadata": '{"source_dataset": "word_ladder"}'}, "scorer failed on the row: KeyError"),
    ],
)
def test_a_row_that_reasoning_gym_did_not_make_is_an_error_and_no_zero(columns, said):
    with pytest.raises(RewardError, match=said):
        scored({"question": "?", "answer": "COLD,WARM", "metadata": "{}"}, "COLD,WARM", columns=columns)


def test_a_row_whose_own_reference_the_scorer_calls_wrong_is_an_error_and_no_zero():
    made = row("word_sorting") | {"answer": "a, b"}
    with pytest.raises(RewardError, match="gives 0 for the row's own reference"):
        scored(made, "c")


def test_an_answer_that_stands_in_the_question_may_be_right():
    grid = "1 1 1\n1 1 1\n1 1 1"
    facts = {"source_dataset": "rotate_matrix"}
    made = {"question": f"Turn this by 90 degrees:\n{grid}", "answer": grid, "metadata": json.dumps(facts)}
    assert scored(made, grid).value == 1


@pytest.mark.parametrize("task", ["boxnet", "rush_hour"])
def test_a_task_without_a_stored_answer_is_judged_by_its_facts(task):
    made = row(task)
    assert scored(made | {"answer": made["metadata"]}, "no idea").value < 0.1


def test_every_task_that_is_not_refused_calls_its_own_answer_right_and_another_wrong():
    from reasoning_gym.factory import DATASETS

    right, wrong = {}, {}
    for task in sorted(set(DATASETS) - set(REFUSED) - WITHOUT_ANSWER):
        made = row(task)
        right[task], wrong[task] = scored(made, made["answer"]).value, scored(made, "zzz").value
    assert {task: value for task, value in right.items() if value < 1} == {}
    assert {task: value for task, value in wrong.items() if value > 0.1} == {}


def test_a_missing_reference_is_an_error():
    with pytest.raises(RewardError, match="no reference"):
        scored(row("chain_sum"), "1", reference="")


def test_an_answer_that_the_scorer_can_not_read_scores_nothing():
    assert scored(row("calendar_arithmetic"), "\ud800 not a day").value == 0


@pytest.mark.parametrize("answer", ["1e999999999", "9" * 5000, "x" * 30_000, "1/1e9999"])
def test_numbers_that_would_fill_the_memory_are_not_computed(answer):
    assert scored(row("coin_flip"), answer).value == 0


def test_a_right_answer_that_looks_like_such_a_number_counts():
    made = {"question": "In base 16?", "answer": "3e12345", "metadata": '{"source_dataset": "base_conversion"}'}
    assert scored(made, "3e12345").value == 1
    assert scored(made, "3e12346").value == 0


def test_the_column_is_asked_for():
    assert ReasoningGym().columns() == ["metadata"]
    assert ReasoningGym(column="facts").columns() == ["facts"]


def test_a_scorer_is_made_once():
    assert scorer_of("chain_sum") is scorer_of("chain_sum")
