"""Versions that a filter makes run as an import's job; here its work is done in the test process."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from accounts.models import Team
from datasets_app import importing, imports, mapping, rows, sources, splits, tables, versions, writing
from datasets_app.filters import RANDOM, TITLES, Filters, titled, words
from datasets_app.models import Dataset, DatasetVersion, Import
from datasets_app.problems import DatasetInUse, DatasetProblem
from jobs.choices import JobStatus
from tests.datasets.conftest import Importer, sums
from training.choices import Status
from training.models import Session


def run(job: Import) -> Import:
    Import.objects.filter(pk=job.pk).update(status=JobStatus.RUNNING, attempt=job.attempt + 1)
    job.refresh_from_db()
    imports.perform(job)
    job.refresh_from_db()
    return job


def filtered(version: DatasetVersion, by: User | None = None, **wanted: Any) -> DatasetVersion:
    job = run(versions.start_filter(version, by, Filters(**wanted)))
    assert job.status == JobStatus.READY, job.error
    assert job.version
    return job.version


def cells(version: DatasetVersion) -> list[dict[str, Any]]:
    return tables.page(version.path, 0, 10_000)


def dropped(version: DatasetVersion) -> list[dict[str, Any]]:
    assert version.rejected_path
    return [json.loads(line) for line in version.rejected_path.read_text().splitlines()]


MIXED = [
    {"question": "How many?", "answer": "7", "kind": "a"},
    {"question": "  how MANY? ", "answer": "8", "kind": "b"},
    {"question": "How many?", "answer": "7", "kind": "a"},
    {"question": "Why?", "answer": "", "kind": "a"},
    {"question": "", "answer": "9", "kind": "b"},
    {"question": "A question that goes on and on and on?", "answer": "10", "kind": "a"},
    {"question": "Where?", "answer": "An answer that goes on and on", "kind": "Hidden words"},
]


@pytest.mark.parametrize(
    ("wanted", "kept", "reasons"),
    [
        ({"empty": True}, [0, 1, 2, 5, 6], {"empty": 2}),
        ({"min_question": 5}, [0, 1, 2, 5, 6], {"question_short": 2}),
        ({"max_question": 20}, [0, 1, 2, 3, 4, 6], {"question_long": 1}),
        ({"min_answer": 1}, [0, 1, 2, 4, 5, 6], {"answer_short": 1}),
        ({"max_answer": 2}, [0, 1, 2, 3, 4, 5], {"answer_long": 1}),
        ({"same_rows": True}, [0, 1, 3, 4, 5, 6], {"same_rows": 1}),
        ({"same_questions": True}, [0, 3, 4, 5, 6], {"same_questions": 2}),
        ({"search": "hidden"}, [6], {"search": 6}),
        ({"search": "HIDDEN", "search_how": "holds_not"}, [0, 1, 2, 3, 4, 5], {"search": 1}),
        ({"search": "a", "search_column": "kind", "search_how": "is"}, [0, 2, 3, 5], {"search": 3}),
        ({"search": "a", "search_column": "kind", "search_how": "is_not"}, [1, 4, 6], {"search": 4}),
        ({"keep": 3}, [0, 1, 2], {"keep": 4}),
        ({"keep": 50}, [0, 1, 2, 3, 4, 5, 6], {}),
        (
            {"empty": True, "max_answer": 2, "same_rows": True, "same_questions": True, "keep": 1},
            [0],
            {"empty": 2, "answer_long": 1, "same_rows": 1, "same_questions": 1, "keep": 1},
        ),
    ],
)
def test_each_filter_keeps_and_drops_what_it_says(
    imported: Importer, wanted: dict[str, Any], kept: list[int], reasons: dict[str, int]
) -> None:
    version = imported(*MIXED)
    made = filtered(version, **wanted)
    before = cells(version)
    assert cells(made) == [before[number] for number in kept]
    assert made.origin["dropped"] == reasons
    assert versions.dry_run(version, Filters(**wanted)).dropped == reasons
    assert made.row_count == len(kept)
    assert made.rejected_count == len(MIXED) - len(kept) == sum(reasons.values())
    listed = dropped(made)
    assert sorted(line["line"] - 1 for line in listed) == [n for n in range(len(MIXED)) if n not in kept]
    assert made.report["rejected"] == listed


def test_what_was_dropped_is_listed_with_its_row_its_reason_and_its_text(imported: Importer) -> None:
    made = filtered(imported(*MIXED), empty=True)
    assert dropped(made) == [
        {"line": 4, "reason": "It has no question, no answer or no final answer.", "text": "Why?"},
        {
            "line": 5,
            "reason": "It has no question, no answer or no final answer.",
            "text": '{"question": "", "answer": "9", "kind": "b"}',
        },
    ]


@pytest.mark.parametrize("seed", range(15))
def test_kept_and_dropped_rows_are_all_rows_of_the_parent(seed: int, imported: Importer) -> None:
    chance = random.Random(seed)
    made = [
        {"question": chance.choice(["Why {}?", "why  {}?", ""]).format(chance.randrange(9)), "answer": "x" * number}
        for number in (chance.randrange(12) for _ in range(chance.randrange(20, 90)))
    ]
    version = imported({"question": "Kept?", "answer": "12345"}, *made)
    wanted: dict[str, Any] = {
        "empty": chance.random() < 0.5,
        "min_answer": chance.choice([None, 2]),
        "max_answer": chance.choice([None, 8]),
        "same_rows": chance.random() < 0.5,
        "same_questions": chance.random() < 0.5,
        "keep": chance.choice([None, 5, 30]),
        "keep_how": chance.choice(["first", RANDOM]),
    }
    if Filters(**wanted).is_empty:
        wanted["empty"] = True
    child = filtered(version, **wanted)
    assert child.row_count + len(dropped(child)) == version.row_count
    assert child.rejected_count == len(dropped(child)) == sum(child.origin["dropped"].values())
    numbers = [line["line"] - 1 for line in dropped(child)]
    assert len(set(numbers)) == len(numbers)
    before = cells(version)
    assert cells(child) == [row for number, row in enumerate(before) if number not in set(numbers)], "in their order"
    if wanted["same_questions"]:
        asked = [rows.same_question(row["question"] or "") for row in cells(child)]
        assert len(set(asked)) == len(asked)


def test_a_new_version_keeps_mapping_and_split_and_says_what_it_is_made_of(imported: Importer, owner: User) -> None:
    version = imported(*sums(60))
    mapping.map_columns(version, "question", "answer", "last_number")
    splits.set_split(version, 9, 3, 4)
    made = filtered(version, owner, keep=40)
    assert made.dataset == version.dataset
    assert made.number == 2
    assert made.accepted
    assert made.mapping == version.mapping
    assert made.split == version.split
    assert made.origin == {"version": 1, "filters": {"keep": 40}, "dropped": {"keep": 20}, "by": "charlie"}
    assert made.report["parts"]["train"] == 27
    assert made.sha256 != version.sha256
    assert [c["type"] for c in made.columns] == [c["type"] for c in version.columns]
    version.refresh_from_db()
    assert version.row_count == 60, "the parent stays as it was"


def test_a_split_that_nobody_chose_follows_the_rows(imported: Importer) -> None:
    assert filtered(imported(*sums(60)), keep=20).split["held_out"] == 2


def test_the_share_of_filled_cells_is_counted_anew(imported: Importer) -> None:
    version = imported(*({**row, "note": "x" if n < 10 else None} for n, row in enumerate(sums(40))))
    made = filtered(version, keep=10)
    assert {c["name"]: c["filled"] for c in made.columns} == {"question": 1, "answer": 1, "note": 1}


def test_random_rows_are_chosen_by_the_seed_and_keep_their_order(imported: Importer) -> None:
    version = imported(*sums(100))
    one, same, other = (cells(filtered(version, keep=10, keep_how=RANDOM, seed=seed)) for seed in (1, 1, 2))
    assert one == same != other
    numbers = [int(row["answer"]) for row in one]
    assert numbers == sorted(numbers) != list(range(1, 11))


def test_rows_of_many_groups_are_filtered_into_groups_of_a_useful_size(
    imported: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(tables, "BATCH_ROWS", 16)
    monkeypatch.setattr(writing, "GROUP_ROWS", 32)
    version = imported(*({**row, "even": n % 2} for n, row in enumerate(sums(300))))
    made = filtered(version, search="1", search_column="even", search_how="is")
    assert [row["even"] for row in cells(made)] == [1] * 150
    with pq.ParquetFile(made.path) as file:
        sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert all(size >= 32 for size in sizes[:-1])
    assert max(sizes) <= 48


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({}, "nothing is chosen"),
        ({"min_question": 9, "max_question": 3}, "at least 9 and at most 3"),
        ({"search": "x", "search_column": "gone"}, "no column “gone”"),
    ],
)
def test_filters_that_can_not_work_are_refused_at_once(version: DatasetVersion, wanted: Any, text: str) -> None:
    for verb in (versions.dry_run, lambda v, f: versions.start_filter(v, None, f)):
        with pytest.raises(DatasetProblem, match=text):
            verb(version, Filters(**wanted))
    assert not Import.objects.exists()


def test_without_columns_only_what_needs_none_can_be_filtered(imported: Importer) -> None:
    version = imported({"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 3, "b": 3})
    with pytest.raises(DatasetProblem, match="Choose question and answer column first"):
        versions.dry_run(version, Filters(empty=True))
    made = filtered(version, same_rows=True)
    assert [row["a"] for row in cells(made)] == [1, 3]
    assert made.mapping == {}
    assert dropped(made)[0]["text"] == '{"a": 1, "b": 2}'


def test_filters_that_drop_everything_make_no_version(version: DatasetVersion, uploads: Path) -> None:
    before = sorted(uploads.iterdir())
    job = run(versions.start_filter(version, None, Filters(min_question=10_000)))
    assert job.status == JobStatus.FAILED
    assert "drop every row" in job.error
    assert DatasetVersion.objects.count() == 1
    assert sorted(uploads.iterdir()) == before


def test_a_cancelled_filter_leaves_nothing(version: DatasetVersion, uploads: Path) -> None:
    before = sorted(uploads.iterdir())
    job = versions.start_filter(version, None, Filters(keep=3))
    Import.objects.filter(pk=job.pk).update(status=JobStatus.CANCELLED)
    imports.perform(job)
    assert DatasetVersion.objects.count() == 1
    assert sorted(uploads.iterdir()) == before


def test_a_parent_that_was_deleted_meanwhile_is_said(version: DatasetVersion, imported: Importer) -> None:
    versions.remap(version, None)
    job = versions.start_filter(version, None, Filters(keep=3))
    DatasetVersion.objects.filter(pk=version.pk).delete()
    assert "has been deleted" in run(job).error


def test_a_large_version_is_counted_only_in_part(version: DatasetVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "DRY_RUN_ROWS", 10)
    found = versions.dry_run(version, Filters(search="zebra"))
    assert (found.looked_at, found.kept, found.dropped) == (10, 0, {"search": 10})


def test_filters_are_told_in_words() -> None:
    every = Filters(
        empty=True,
        min_question=5,
        max_answer=2000,
        search="x",
        search_column="kind",
        search_how="is_not",
        same_rows=True,
        same_questions=True,
        keep=1000,
        keep_how=RANDOM,
        seed=7,
    )
    assert words(every) == [
        "rows without question, answer or final answer",
        "question under 5 characters",
        "answer over 2\u202f000 characters",
        "rows with “kind” equal to “x”",
        "repeated rows",
        "repeated questions",
        "all but 1\u202f000 rows chosen by seed 7",
    ]
    assert Filters.of(every.stored) == every
    assert all(TITLES.values())


# Another mapping


def test_another_mapping_is_another_version_with_the_same_rows(version: DatasetVersion, owner: User) -> None:
    used_by(version)
    made = versions.remap(version, owner, instruction="answer", response="question", rule="whole")
    assert (made.number, made.file, made.sha256, made.row_count) == (2, version.file, version.sha256, 40)
    assert made.mapping["instruction"] == "answer"
    assert made.origin["version"] == 1
    assert made.origin["mapping"] == ["question from “question” to “answer”", "answer from “answer” to “question”"]
    version.refresh_from_db()
    assert version.mapping["instruction"] == "question"
    assert sources.resolve(version.dataset.team, version.dataset.name) == made


def test_a_mapping_that_can_not_work_makes_no_version(version: DatasetVersion) -> None:
    with pytest.raises(DatasetProblem, match="can't be the same"):
        versions.remap(version, None, instruction="answer", response="answer")
    assert DatasetVersion.objects.count() == 1


# Deleting


def used_by(version: DatasetVersion, status: str = Status.COMPLETED, name: str = "A run") -> Session:
    made: Session = Session.objects.create(
        team=version.dataset.team,
        name=name,
        status=status,
        dataset_version=version,
        dataset_fingerprint=version.fingerprint,
    )
    return made


def test_a_deleted_version_takes_its_files_and_no_other_s(
    imported: Importer, django_capture_on_commit_callbacks: Any
) -> None:
    version = imported(*sums(40))
    made = filtered(version, keep=5)
    with django_capture_on_commit_callbacks(execute=True):
        importing.delete_version(made)
    assert not made.path.exists()
    assert made.rejected_path and not made.rejected_path.exists()
    assert version.path.exists()
    assert list(Dataset.objects.get().versions.values_list("number", flat=True)) == [1]


def test_a_file_that_two_versions_share_goes_with_the_last_of_them(
    version: DatasetVersion, django_capture_on_commit_callbacks: Any
) -> None:
    made = versions.remap(version, None, instruction="answer", response="question")
    with django_capture_on_commit_callbacks(execute=True):
        importing.delete_version(version)
    assert made.path.exists()
    assert rows.parts(made, mapping.section_of(made)).train
    with django_capture_on_commit_callbacks(execute=True):
        importing.delete_version(made)
    assert not made.path.exists()
    assert not Dataset.objects.exists(), "the last version is the dataset"


def test_the_number_of_a_deleted_version_never_returns(version: DatasetVersion) -> None:
    made = versions.remap(version, None, instruction="answer", response="question")
    importing.delete_version(made)
    assert versions.remap(version, None, instruction="answer", response="question").number == 3


def test_a_version_that_a_session_used_asks_first_and_its_fingerprint_stays(version: DatasetVersion) -> None:
    other = versions.remap(version, None)
    session = used_by(version)
    with pytest.raises(DatasetInUse, match="1 session was trained on this version") as caught:
        importing.delete_version(version)
    assert not caught.value.certain
    importing.delete_version(version, confirmed=True)
    session.refresh_from_db()
    assert session.dataset_version is None
    assert session.dataset_fingerprint == {
        "dataset": "sums",
        "dataset_id": str(version.dataset_id),
        "version": 1,
        "sha256": version.sha256,
        "rows": 40,
        "split": {"seed": 42, "held_out": 4},
        "mapping": version.mapping,
    }
    assert other.path.exists()


def test_what_is_running_keeps_its_version_and_frees_the_others(version: DatasetVersion) -> None:
    other = versions.remap(version, None)
    used_by(version, Status.TRAINING)
    with pytest.raises(DatasetInUse, match="Training now: A run") as caught:
        importing.delete_version(version, confirmed=True)
    assert caught.value.certain
    importing.delete_version(other)


def test_a_version_that_is_being_filtered_can_not_be_deleted(version: DatasetVersion) -> None:
    versions.remap(version, None)
    versions.start_filter(version, None, Filters(keep=3))
    with pytest.raises(DatasetInUse, match="is being made from this one"):
        importing.delete_version(version, confirmed=True)


# Naming a version


def test_a_version_is_named_behind_the_dataset_s_name_or_id(team: Team, version: DatasetVersion) -> None:
    made = versions.remap(version, None)
    for name in ("sums", str(version.dataset_id)):
        assert sources.resolve(team, name) == made
        assert sources.resolve(team, f"{name}@1") == version
        assert sources.resolve(team, f"{name}@2") == made
        with pytest.raises(DatasetProblem, match=r"has no version 3\. It has: 1, 2") as caught:
            sources.resolve(team, f"{name}@3")
        assert caught.value.field == "source"


def test_a_dataset_whose_own_name_looks_like_a_version_wins(team: Team, version: DatasetVersion) -> None:
    Dataset.objects.update(name="sums@2")
    assert sources.resolve(team, "sums@2") == version
    assert sources.resolve(team, "sums@2@1") == version
    with pytest.raises(DatasetProblem, match="has no dataset “sums@1”"):
        sources.resolve(team, "sums@1")


def test_the_counts_are_told_in_one_order_whatever_the_database_made_of_theirs() -> None:
    names = list(TITLES)
    told = titled({name: number for number, name in reversed(list(enumerate(names)))})
    assert told == [(TITLES[name], number) for number, name in enumerate(names)]
