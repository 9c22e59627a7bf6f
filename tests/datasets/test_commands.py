from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.sites import site
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from datasets_app.models import Dataset, DatasetVersion, PromptTemplate
from tests.conftest import signed_in
from tests.datasets.conftest import jsonl, sums


def run(*arguments: str, **options: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


@pytest.fixture
def sums_file(tmp_path: Path) -> Path:
    file = tmp_path / "sums.jsonl"
    file.write_bytes(jsonl(*sums(20)))
    return file


def test_a_file_is_imported_from_the_command_line(team: Team, sums_file: Path) -> None:
    out, err = run("import_dataset", str(sums_file), "--team", team.name)
    dataset = Dataset.objects.get()
    assert out.strip() == str(dataset.pk)
    assert (dataset.team, dataset.name) == (team, "sums")
    assert "20 rows kept, 0 lines rejected." in err


def test_columns_and_name_may_be_given(team: Team, sums_file: Path) -> None:
    arguments = ["--name", "Mine", "--question", "answer", "--answer", "question", "--rule", "last_number"]
    run("import_dataset", str(sums_file), "--team", team.name, *arguments)
    version = DatasetVersion.objects.get()
    assert version.dataset.name == "Mine"
    assert version.mapping == {
        "instruction": "answer",
        "input": "",
        "response": "question",
        "rule": "last_number",
        "extra": {},
    }


def test_rejected_lines_are_printed_and_wait_unless_accepted(team: Team, sums_file: Path) -> None:
    sums_file.write_bytes(jsonl(*sums(2)) + b"bad\n")
    _, err = run("import_dataset", str(sums_file), "--team", team.name)
    assert "line 3: Not JSON" in err
    assert "--accept" in err
    run("import_dataset", str(sums_file), "--team", team.name, "--accept")
    assert sorted(DatasetVersion.objects.values_list("accepted", flat=True)) == [False, True]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--team", "Nobody"], "no team “Nobody”"),
        (["--question", "question"], "Give both"),
        (["--question", "gone", "--answer", "answer"], "no column “gone”"),
    ],
)
def test_a_wrong_import_ends_with_a_sentence_and_leaves_nothing(
    team: Team, sums_file: Path, arguments: list[str], words: str
) -> None:
    with pytest.raises(CommandError, match=words):
        run("import_dataset", str(sums_file), "--team", team.name, *arguments)
    assert not Dataset.objects.exists()


def test_a_file_that_is_not_there_is_named(team: Team, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="can't be read: No such file"):
        run("import_dataset", str(tmp_path / "gone.jsonl"), "--team", team.name)


def test_a_dataset_is_generated_from_the_command_line(team: Team) -> None:
    arguments = ["--task", "chain_sum", "--size", "12", "--parameter", "min_terms=2", "--parameter", "max_terms=2"]
    out, err = run("generate_dataset", "--team", team.name, *arguments)
    dataset = Dataset.objects.get()
    assert out.strip() == str(dataset.pk)
    assert dataset.source_detail["parameters"] == {"min_terms": "2", "max_terms": "2"}
    assert "12 different questions stored." in err


@pytest.mark.parametrize(("parameter", "words"), [("min_terms", "NAME=VALUE"), ("colour=red", "no parameter “colour”")])
def test_a_wrong_parameter_is_explained(team: Team, parameter: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run("generate_dataset", "--team", team.name, "--parameter", parameter)
    assert not Dataset.objects.exists()


# The admin


@pytest.fixture
def admin_pages(db: None) -> Client:
    return signed_in(User.objects.create_superuser("root", password="a long password"))


def test_the_admin_shows_datasets_but_changes_none(admin_pages: Client, version: DatasetVersion) -> None:
    assert "sums" in admin_pages.get(reverse("admin:datasets_app_dataset_changelist")).content.decode()
    address = reverse("admin:datasets_app_dataset_change", args=[version.dataset_id])
    assert admin_pages.get(address).status_code == 200
    assert admin_pages.post(address, {"name": "other"}).status_code == 403
    assert admin_pages.get(reverse("admin:datasets_app_dataset_add")).status_code == 403
    delete = reverse("admin:datasets_app_dataset_delete", args=[version.dataset_id])
    assert admin_pages.post(delete, {"post": "yes"}).status_code == 403
    assert version.path.exists()


def test_the_admin_edits_prompt_templates(admin_pages: Client, team: Team) -> None:
    assert site.is_registered(PromptTemplate)
    form = {
        "team": team.pk,
        "name": "Ours",
        "template_type": "custom",
        "system_prompt": "Answer.",
        "solution_start": "<a>",
        "solution_end": "</a>",
    }
    answer = admin_pages.post(reverse("admin:datasets_app_prompttemplate_add"), form)
    assert answer.status_code == 302, answer.context["errors"]
    assert PromptTemplate.objects.get(team=team).rendered == "Answer."
