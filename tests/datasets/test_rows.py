import json
import random
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from datasets_app import mapping, rows, splits
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
    assert mapping.section_of(version) == QUESTION_ANSWER


# Paths, input and further columns


def test_question_and_answer_may_be_places_inside_nested_cells(imported: Importer) -> None:
    chat = [{"role": "user", "content": "Six times seven?"}, {"role": "assistant", "content": "#### 42"}]
    version = imported({"messages": chat, "meta": {"level": 3}}, {"messages": chat[:1]})
    section = Fields("messages[role=user].content", "messages[role=assistant].content")
    assert mapping.section_of(version) == section
    [row] = rows.training_rows(version, section, 1)
    assert (row.instruction, row.reference) == ("Six times seven?", "42")
    assert rows.skipped(version, section).no_answer == 1


def test_the_input_follows_the_question_after_a_blank_line_where_there_is_one(imported: Importer) -> None:
    version = imported(
        {"instruction": "Sort these.", "input": "3 1 2", "output": "1 2 3"},
        {"instruction": "Say hello", "input": "", "output": "Hello"},
        {"instruction": "", "input": "lost", "output": "nothing"},
    )
    assert version.mapping["input"] == "input"
    section = mapping.section_of(version)
    train, held_out = both(version, section)
    assert {row.instruction for row in train + held_out} == {"Sort these.\n\n3 1 2", "Say hello"}
    assert rows.skipped(version, section).no_question == 1, "an input alone is no question"


def test_questions_that_differ_only_in_their_input_are_different_ones(imported: Importer) -> None:
    version = imported(*({"instruction": "Sort these.", "input": f"{n} 0", "output": f"0 {n}"} for n in range(40)))
    assert rows.parts(version, mapping.section_of(version)).questions == 40


def test_the_mapping_s_input_belongs_to_its_question_and_to_no_other(imported: Importer) -> None:
    version = imported(*({"instruction": f"{n}?", "input": "x", "output": "y", "other": f"{n}"} for n in range(4)))
    train, _ = both(version, Fields("other", "output"))
    assert all(row.instruction == row.columns["other"] for row in train)


def test_rewards_get_what_the_mapping_names_beside_all_columns(imported: Importer) -> None:
    version = imported(*({**row, "meta": {"tests": [f"assert {n}"]}} for n, row in enumerate(sums(4))))
    mapping.map_columns(version, "question", "answer", extra={"test": "meta.tests[0]", "copy": "answer"})
    [row] = rows.load(version, QUESTION_ANSWER, [2])
    assert row.columns["test"] == "assert 2"
    assert row.columns["copy"] == row.columns["answer"] == "3"
    assert json.loads(row.columns["meta"]) == {"tests": ["assert 2"]}


# Three parts


def three(version: DatasetVersion, section: Any = QUESTION_ANSWER) -> tuple[list[Row], list[Row], list[Row]]:
    most = 10_000
    return (
        rows.training_rows(version, section, 1),
        rows.validation_rows(version, section, most),
        rows.held_out_rows(version, section, most),
    )


def share_no_question(*parts: list[Row]) -> bool:
    return len(set().union(*map(questions, parts))) == sum(len(questions(part)) for part in parts)


def test_a_validation_part_is_taken_from_train_and_leaves_test_as_it_was(version: DatasetVersion) -> None:
    before = [row.row for row in rows.held_out_rows(version, QUESTION_ANSWER, 100)]
    splits.set_split(version, 4, 42, 6)
    train, validation, held_out = three(version)
    assert (len(train), len(validation), len(held_out)) == (30, 6, 4)
    assert [row.row for row in held_out] == before
    assert share_no_question(train, validation, held_out)
    assert version.report["parts"]["validation"] == 6


def test_test_and_validation_together_are_at_most_half_of_the_questions(version: DatasetVersion) -> None:
    version.split = {"seed": 1, "held_out": 15, "validation": 500}
    parts = rows.parts(version, QUESTION_ANSWER)
    assert (len(parts.train), len(parts.validation), len(parts.held_out)) == (20, 5, 15)


PARTS = {"train": "train", "dev": "validation", "test": "test"}


def random_rows(chance: random.Random) -> list[dict[str, Any]]:
    variants = ["What is {} + 1?", "what  is {} + 1?", " WHAT is\n{} + 1? ", ""]
    return [
        {
            "question": chance.choice(variants).format(number),
            "answer": chance.choice([str(number + 1), str(number + 1), ""]),
            "split": chance.choice(["train", "train", "train", "dev", "test", "extra"]),
        }
        for number in (chance.randrange(40) for _ in range(chance.randrange(40, 200)))
    ]


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("by_column", [False, True])
def test_no_two_parts_share_a_question_and_every_row_is_counted_once(
    seed: int, by_column: bool, imported: Importer
) -> None:
    chance = random.Random(seed)
    made = random_rows(chance)
    version = imported(*made)
    if by_column:
        version.split = {"seed": seed, "column": "split", **splits.grouped(["train", "dev", "test", "extra"], PARTS)}
    else:
        version.split = {"seed": seed, "held_out": chance.randrange(20), "validation": chance.randrange(20)}
    train, validation, held_out = three(version)
    assert share_no_question(train, validation, held_out)
    for part in (validation, held_out):
        assert len(part) == len(questions(part)), "one row of each question"
    parts = rows.parts(version, QUESTION_ANSWER)
    assert [len(parts.train), len(parts.validation), len(parts.held_out)] == [
        len(train),
        len(validation),
        len(held_out),
    ]
    assert parts.usable + parts.skipped.total == len(made)
    assert parts.counts["usable"] == parts.usable
    if by_column:
        assert {row.columns["split"] for row in train} <= {"train"}
        assert {row.columns["split"] for row in validation} <= {"dev"}
        assert {row.columns["split"] for row in held_out} <= {"test"}
        in_test = {rows.same_question(r["question"]) for r in made if r["split"] == "test" and r["answer"]} - {""}
        assert questions(held_out) == in_test, "test wins over the others"


def splitted(imported: Importer) -> DatasetVersion:
    return imported(
        *({**row, "split": "test" if n < 5 else "train" if n < 30 else "extra"} for n, row in enumerate(sums(40)))
    )


def test_the_source_s_own_split_is_taken_at_import(imported: Importer) -> None:
    version = splitted(imported)
    assert version.split == {
        "seed": 42,
        "column": "split",
        "train": ["train"],
        "validation": [],
        "test": ["test"],
        "other": ["extra"],
        "held_out": 5,
    }
    counts = version.report["parts"]
    assert (counts["train"], counts["held_out"], counts["unassigned"]) == (25, 5, 10)


def test_a_column_called_split_that_names_no_test_part_is_left_alone(imported: Importer) -> None:
    version = imported(*({**row, "split": "train"} for row in sums(40)))
    assert version.split == {"seed": 42, "held_out": 4}
    version = imported(*({**row, "split": f"part {n}"} for n, row in enumerate(sums(40))))
    assert "column" not in version.split


@pytest.mark.parametrize(
    ("wanted", "count"),
    [("train", 25), ("extra", 10)],
)
def test_the_config_s_split_names_what_is_trained_on(imported: Importer, wanted: str, count: int) -> None:
    version = splitted(imported)
    train = rows.training_rows(version, Fields("question", "answer", split=wanted), 1)
    assert len(train) == count
    assert {row.columns["split"] for row in train} == {wanted}


def test_another_part_of_the_source_trains_without_the_test_questions(imported: Importer) -> None:
    made = [{**row, "split": "test" if n < 5 else "train"} for n, row in enumerate(sums(30))]
    version = imported(*made, *({**row, "split": "extra"} for row in sums(10)))
    section = Fields("question", "answer", split="extra")
    train = rows.training_rows(version, section, 1)
    assert len(train) == 5
    assert not questions(train) & questions(rows.held_out_rows(version, section, 100))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("test", "“test” is kept back from training.*Use “train” or “extra”"),
        ("gone", "No row of .* has “gone” in its column “split”"),
    ],
)
def test_a_split_that_can_not_be_trained_on_is_refused(imported: Importer, wanted: str, words: str) -> None:
    version = splitted(imported)
    with pytest.raises(DatasetProblem, match=words) as caught:
        rows.training_rows(version, Fields("question", "answer", split=wanted), 1)
    assert caught.value.field == "split"


def test_without_a_split_column_only_train_can_be_named(version: DatasetVersion) -> None:
    with pytest.raises(DatasetProblem, match="split by a seed, so there is no part “test”"):
        rows.training_rows(version, Fields("question", "answer", split="test"), 1)


def test_the_split_may_be_taken_from_a_column_by_hand(imported: Importer) -> None:
    version = imported(*({**row, "fold": n % 4} for n, row in enumerate(sums(40))))
    splits.set_source_split(version, "fold", {"0": "test", "1": "validation", "2": "train"})
    train, validation, held_out = three(version)
    assert (len(train), len(validation), len(held_out)) == (10, 10, 10)
    version.refresh_from_db()
    assert version.split["other"] == ["3"]
    assert version.split["held_out"] == 10


@pytest.mark.parametrize(
    ("column", "assigned", "words"),
    [
        ("fold", {"0": "train"}, "in the test part"),
        ("fold", {"0": "test"}, "in the train part"),
        ("question", {}, "more than 20 different values"),
        ("gone", {}, "no column “gone”"),
    ],
)
def test_a_split_from_a_column_that_can_not_work_is_refused(
    imported: Importer, column: str, assigned: dict[str, str], words: str
) -> None:
    version = imported(*({**row, "fold": n % 4} for n, row in enumerate(sums(40))))
    before = dict(version.split)
    with pytest.raises(DatasetProblem, match=words) as caught:
        splits.set_source_split(version, column, assigned)
    assert caught.value.field == "column"
    version.refresh_from_db()
    assert version.split == before
