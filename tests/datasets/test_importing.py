import io
from typing import Any

import pytest
from django.contrib.auth.models import User

from accounts.models import Team
from datasets_app import importing, mapping, rows, sources, splits
from datasets_app.models import Dataset, DatasetVersion, PromptTemplate
from datasets_app.problems import DatasetInUse, DatasetProblem
from tests.datasets.conftest import Importer, jsonl, sums
from training.choices import Status
from training.models import Session
from training.schema import GRPO_PROMPT, PromptSection


def reloaded(version: DatasetVersion) -> DatasetVersion:
    return DatasetVersion.objects.select_related("dataset").get(pk=version.pk)


def session(version: DatasetVersion, status: str = Status.COMPLETED) -> Session:
    made: Session = Session.objects.create(
        team=version.dataset.team, name="A run", status=status, dataset_version=version
    )
    return made


def test_an_import_records_who_what_and_where(team: Team, owner: User) -> None:
    version = importing.import_jsonl(team, owner, "sums.jsonl", io.BytesIO(jsonl(*sums(30))))
    stored = reloaded(version)
    assert stored.dataset.name == "sums"
    assert stored.dataset.created_by == owner
    assert stored.dataset.source_detail == {"file_name": "sums.jsonl"}
    assert (stored.number, stored.row_count, stored.accepted) == (1, 30, True)
    assert stored.mapping == {
        "instruction": "question",
        "input": "",
        "response": "answer",
        "rule": "whole",
        "extra": {},
    }
    assert stored.split == {"seed": 42, "held_out": 3}
    assert stored.report["parts"]["train"] == 27
    assert stored.path.is_file()


def test_rejected_lines_wait_for_a_decision_and_the_good_rows_are_there(team: Team, imported: Importer) -> None:
    version = imported(raw=jsonl(*sums(3)) + b"broken\n")
    assert not reloaded(version).accepted
    assert version.row_count == 3
    assert version.report["rejected"] == [
        {"line": 4, "reason": "Not JSON: Expecting value at character 1.", "text": "broken"}
    ]
    with pytest.raises(DatasetProblem, match="rejected lines to decide on"):
        sources.resolve(team, "sums")
    assert importing.accept(version) is True
    assert importing.accept(version) is False, "only one decides"
    assert sources.resolve(team, "sums") == version


def test_a_name_that_the_team_has_gets_a_number(imported: Importer, outsider: User) -> None:
    names = [imported(*sums(2)).dataset.name for _ in range(3)]
    assert names == ["sums", "sums (2)", "sums (3)"]
    assert imported(*sums(2), team=outsider.teams.get()).dataset.name == "sums"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("C:\\data\\x.jsonl", "x"),
        (".jsonl", "Dataset"),
        ("a" * 300, "a" * 200),
        ("nul\x00.jsonl", "nul"),
    ],
)
def test_a_name_is_made_fit_to_be_shown(imported: Importer, given: str, name: str) -> None:
    assert imported(*sums(2), name=given).dataset.name == name


def test_columns_that_can_not_be_told_are_left_to_the_user(imported: Importer) -> None:
    version = imported({"a": 1, "b": 2}, {"a": 2, "b": 3})
    assert version.mapping == {}
    with pytest.raises(DatasetProblem, match="no question and answer column yet"):
        mapping.section_of(version)


def test_mapping_other_columns_counts_the_parts_anew(imported: Importer) -> None:
    version = imported(*({"q": f"{n}?", "a": f"so #### {n}", "b": "" if n else "x"} for n in range(10)))
    mapping.map_columns(version, "q", "b")
    stored = reloaded(version)
    assert stored.mapping == {"instruction": "q", "input": "", "response": "b", "rule": "whole", "extra": {}}
    assert stored.report["parts"]["skipped"]["no_answer"] == 9
    mapping.map_columns(version, "q", "a")
    assert reloaded(version).mapping["rule"] == "after_hashes", "an empty rule is detected"
    mapping.map_columns(version, "q", "a", "last_number")
    assert reloaded(version).mapping["rule"] == "last_number"


@pytest.mark.parametrize(
    ("columns", "field", "words"),
    [
        (("missing", "answer", ""), "instruction", "no column “missing”.*question, answer"),
        (("question", "missing", ""), "response", "no column “missing”.*question, answer"),
        (("question", "question", ""), "response", "can't be the same"),
        (("question", "answer", "magic"), "rule", "no rule “magic”.*after_hashes"),
        (("question", "answer", "after_hashes"), "rule", "finds no final answer in any row"),
    ],
)
def test_a_mapping_that_can_not_work_is_refused_on_its_field(
    version: DatasetVersion, columns: tuple[str, str, str], field: str, words: str
) -> None:
    before = reloaded(version).mapping
    with pytest.raises(DatasetProblem, match=words) as caught:
        mapping.map_columns(version, *columns)
    assert caught.value.field == field
    assert reloaded(version).mapping == before


def test_the_split_may_be_chosen_and_stays_when_columns_change(imported: Importer) -> None:
    version = imported(*({**row, "other": "x"} for row in sums(40)))
    splits.set_split(version, 7, 5)
    mapping.map_columns(version, "question", "other")
    assert reloaded(version).split == {"seed": 5, "held_out": 7, "validation": 0, "chosen": True}
    assert len(rows.held_out_rows(reloaded(version), mapping.section_of(version), 100)) == 7


@pytest.mark.parametrize("held_out", [0, -1, 21, 10_000])
def test_an_impossible_split_is_refused(version: DatasetVersion, held_out: int) -> None:
    with pytest.raises(DatasetProblem, match="Between 1 and 20 of the 40 different questions"):
        splits.set_split(version, held_out, 1)
    assert reloaded(version).split == {"seed": 42, "held_out": 4}


def test_mapping_and_split_are_frozen_once_a_session_uses_the_version(version: DatasetVersion) -> None:
    session(version)
    for change in (
        lambda: mapping.map_columns(version, "question", "answer", "last_number"),
        lambda: splits.set_split(version, 5, 1),
    ):
        with pytest.raises(DatasetProblem, match="A session uses this version"):
            change()
    stored = reloaded(version)
    assert (stored.mapping["rule"], stored.split["held_out"]) == ("whole", 4)


def test_deleting_a_dataset_removes_its_file(version: DatasetVersion, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        importing.delete(version.dataset)
        assert version.path.exists(), "the file outlives a transaction that may still be rolled back"
    assert not version.path.exists()
    assert not Dataset.objects.exists()


def test_deleting_what_a_session_used_asks_first_and_keeps_the_session(version: DatasetVersion) -> None:
    used = session(version)
    with pytest.raises(DatasetInUse, match="1 session was trained") as caught:
        importing.delete(version.dataset)
    assert not caught.value.certain
    importing.delete(version.dataset, confirmed=True)
    used.refresh_from_db()
    assert used.dataset_version is None


def test_what_a_running_session_needs_is_never_deleted(version: DatasetVersion) -> None:
    session(version, Status.TRAINING)
    with pytest.raises(DatasetInUse, match="A run") as caught:
        importing.delete(version.dataset, confirmed=True)
    assert caught.value.certain
    assert version.path.exists()


def test_a_dataset_is_found_by_id_or_exact_name_in_its_own_team_only(
    team: Team, version: DatasetVersion, outsider: User
) -> None:
    assert sources.resolve(team, str(version.dataset_id)) == version
    assert sources.resolve(team, " sums ") == version
    other = outsider.teams.get()
    for source in (str(version.dataset_id), "sums"):
        with pytest.raises(DatasetProblem, match="has no dataset"):
            sources.resolve(other, source)
    for source, words in (("", "No dataset is chosen"), ("SUMS", "has no dataset “SUMS”")):
        with pytest.raises(DatasetProblem, match=words) as caught:
            sources.resolve(team, source)
        assert caught.value.field == "source"


def test_a_name_that_two_datasets_have_is_not_guessed(team: Team, imported: Importer) -> None:
    imported(*sums(2))
    imported(*sums(2))
    Dataset.objects.update(name="same")
    with pytest.raises(DatasetProblem, match="Several datasets"):
        sources.resolve(team, "same")


@pytest.mark.django_db
def test_the_default_template_is_the_schema_s_prompt_word_for_word() -> None:
    """S7.7, S13.9"""
    template = PromptTemplate.objects.get(team=None, name="GRPO default")
    section = PromptSection()
    assert template.system_prompt == GRPO_PROMPT
    for name in ("reasoning_start", "reasoning_end", "solution_start", "solution_end"):
        assert getattr(template, name) == getattr(section, name)
    assert template.rendered == section.rendered


@pytest.mark.django_db
def test_every_shipped_template_explains_its_markers_to_the_model() -> None:
    templates: Any = PromptTemplate.objects.filter(team=None)
    assert {template.name for template in templates} >= {"GRPO default", "Answer only", "Think and answer (Qwen)"}
    for template in templates:
        assert template.solution_start in template.rendered
        assert template.reasoning_start in template.rendered
        assert "{" not in template.rendered
