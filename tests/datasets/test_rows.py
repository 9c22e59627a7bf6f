import random
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from datasets_app import importing, rows
from datasets_app.models import DatasetVersion
from datasets_app.problems import DatasetProblem
from datasets_app.rows import Fields, Row
from tests.datasets.conftest import Importer, sums
from training.schema import DatasetSection

QUESTION_ANSWER = Fields("question", "answer")


def questions(found: list[Row]) -> set[str]:
    return {rows.same_question(row.instruction) for row in found}


def both(version: DatasetVersion, section: Any = QUESTION_ANSWER) -> tuple[list[Row], list[Row]]:
    return rows.training_rows(version, section, 1), rows.held_out_rows(version, section, 10_000)


def test_the_parts_cover_all_rows_and_share_none(version: DatasetVersion) -> None:
    train, held_out = both(version)
    assert len(held_out) == 4
    assert sorted(row.row for row in train + held_out) == list(range(40))


@pytest.mark.parametrize("seed", range(25))
def test_no_question_is_in_both_parts_whatever_the_seed_and_the_duplicates(seed: int, imported: Importer) -> None:
    chance = random.Random(seed)
    variants = ["What is {} + 1?", "what  is {} + 1?", " WHAT is\n{} + 1? "]
    made = [
        {"question": chance.choice(variants).format(number), "answer": str(number + 1)}
        for number in (chance.randrange(30) for _ in range(chance.randrange(2, 120)))
    ]
    version = imported(*made)
    distinct = len({rows.same_question(row["question"]) for row in made})
    version.split = {"seed": chance.randrange(2**32), "held_out": chance.randrange(1, 60), "chosen": True}
    train, held_out = both(version)
    assert not questions(train) & questions(held_out)
    assert len(questions(held_out)) == len(held_out) == min(version.split["held_out"], distinct // 2)
    parts = rows.parts(version, QUESTION_ANSWER)
    assert len(train) + len(held_out) + parts.duplicates == len(made)


def test_the_split_depends_on_its_seed_and_on_nothing_else(version: DatasetVersion) -> None:
    first = [row.row for row in rows.held_out_rows(version, QUESTION_ANSWER, 100)]
    assert [row.row for row in rows.held_out_rows(version, QUESTION_ANSWER, 100)] == first
    version.split["seed"] = 43
    assert [row.row for row in rows.held_out_rows(version, QUESTION_ANSWER, 100)] != first


def test_the_split_does_not_depend_on_the_order_of_the_rows(imported: Importer) -> None:
    made = sums(60)
    held = [row.instruction for row in both(imported(*made))[1]]
    assert [row.instruction for row in both(imported(*reversed(made)))[1]] == held


def test_a_smaller_limit_of_held_out_rows_is_a_beginning_of_a_larger_one(version: DatasetVersion) -> None:
    assert rows.held_out_rows(version, QUESTION_ANSWER, 2) == rows.held_out_rows(version, QUESTION_ANSWER, 4)[:2]


def test_max_samples_are_chosen_by_the_seed_and_not_from_the_top(version: DatasetVersion) -> None:
    section = Fields("question", "answer", max_samples=8)
    one, same, other = (rows.training_rows(version, section, seed) for seed in (1, 1, 2))
    assert one == same
    assert len(one) == 8
    assert [row.row for row in one] != [row.row for row in other]
    assert sorted(row.row for row in one) != list(range(8))
    assert one == rows.training_rows(version, QUESTION_ANSWER, 1)[:8], "fewer rows are a beginning of more rows"


@pytest.mark.parametrize(
    ("count", "held_out"), [(0, 0), (1, 0), (2, 1), (9, 1), (20, 2), (4999, 499), (5000, 500), (7473, 500)]
)
def test_a_tenth_is_held_out_at_most_500_and_at_least_one(count: int, held_out: int) -> None:
    assert rows.default_held_out(count) == held_out


def test_a_single_row_is_trained_on(imported: Importer) -> None:
    train, held_out = both(imported(*sums(1)))
    assert (len(train), len(held_out)) == (1, 0)


def test_the_schema_s_own_section_fits(version: DatasetVersion) -> None:
    section = DatasetSection(instruction_field="question", response_field="answer", max_samples=5)
    assert len(rows.training_rows(version, section, 42)) == 5


def test_a_row_carries_all_columns_and_the_rule_s_result(imported: Importer) -> None:
    version = imported({"question": "Six times seven?", "answer": "6 * 7 = 42\n#### 42", "level": 3, "tags": ["a"]})
    [row] = rows.training_rows(version, QUESTION_ANSWER, 1)
    assert row == Row(
        row=0,
        instruction="Six times seven?",
        response="6 * 7 = 42\n#### 42",
        reasoning="6 * 7 = 42",
        reference="42",
        columns={"question": "Six times seven?", "answer": "6 * 7 = 42\n#### 42", "level": 3, "tags": '["a"]'},
    )
    with pytest.raises(FrozenInstanceError):
        row.reference = "43"  # type: ignore[misc]


def test_numbers_are_read_as_people_write_them(imported: Importer) -> None:
    version = imported(*({"question": f"{n}?", "answer": cell} for n, cell in enumerate([72, 0.5, 3])))
    train, held_out = both(version)
    assert {row.reference for row in train + held_out} == {"72", "0.5", "3"}


def test_rows_without_question_answer_or_reference_are_left_out_and_counted(imported: Importer) -> None:
    good = [{"question": f"{n}?", "answer": f"so #### {n}"} for n in range(10)]
    bad = [
        {"question": "", "answer": "#### 1"},
        {"question": "  \n", "answer": "#### 1"},
        {"answer": "#### 1"},
        {"question": "a?", "answer": ""},
        {"question": "b?", "answer": None},
        {"question": "c?", "answer": "no final answer"},
    ]
    version = imported(*good, *bad)
    skipped = rows.skipped(version, QUESTION_ANSWER)
    assert (skipped.no_question, skipped.no_answer, skipped.no_reference, skipped.total) == (3, 2, 1, 6)
    train, held_out = both(version)
    assert len(train) + len(held_out) == 10


def test_the_rule_belongs_to_the_mapped_column_and_to_no_other(imported: Importer) -> None:
    version = imported(*({"question": f"{n}?", "answer": f"#### {n}", "long": f"x #### {n}"} for n in range(4)))
    assert version.mapping["rule"] == "after_hashes"
    train, _ = both(version, Fields("question", "long"))
    assert all(row.reference == row.columns["long"] for row in train)


@pytest.mark.parametrize("field", ["instruction_field", "response_field"])
def test_a_missing_column_is_named_with_those_that_exist(version: DatasetVersion, field: str) -> None:
    section = Fields("question", "answer")
    setattr(section, field, "missing")
    for read in (rows.training_rows, rows.held_out_rows):
        with pytest.raises(DatasetProblem, match=r"no column “missing”.*question, answer") as caught:
            read(version, section, 1)
        assert caught.value.field == field


def test_a_dataset_without_a_usable_row_can_not_be_trained_on(imported: Importer) -> None:
    version = imported({"question": "a?", "answer": ""}, {"question": "b?", "answer": ""})
    with pytest.raises(DatasetProblem, match="no row to train on"):
        rows.training_rows(version, QUESTION_ANSWER, 1)


def test_most_duplicates_never_leave_training_dry(imported: Importer) -> None:
    version = imported(*[{"question": "Always the same?", "answer": "1"}] * 50, {"question": "Another?", "answer": "2"})
    train, held_out = both(version)
    assert len(held_out) == 1
    assert train
    assert importing.section_of(version) == QUESTION_ANSWER
