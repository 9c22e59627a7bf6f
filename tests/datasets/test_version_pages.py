from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import Team
from datasets_app import versions
from datasets_app.filters import Filters
from datasets_app.models import Dataset, DatasetVersion, Import
from jobs.choices import JobStatus
from tests.datasets.conftest import Importer, sums
from tests.datasets.test_versions import filtered, run
from training.choices import Status
from training.models import Session


def url(name: str, version: DatasetVersion, number: int | None = None) -> str:
    return reverse(f"datasets:{name}", args=[version.dataset_id]) + (f"?version={number}" if number else "")


def tab(client: Client, version: DatasetVersion, **query: Any) -> Any:
    return client.get(url("detail", version), {"tab": "versions", **query})


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def use(version: DatasetVersion, team: Team, status: str = Status.COMPLETED) -> Session:
    made: Session = Session.objects.create(team=team, name="Run one", status=status, dataset_version=version)
    return made


# Who may see and change what


def test_an_outsider_gets_404_and_changes_nothing(outsider_client: Client, version: DatasetVersion) -> None:
    assert tab(outsider_client, version).status_code == 404
    assert outsider_client.get(url("dry-run", version), {"keep": "1"}).status_code == 404
    assert outsider_client.post(url("filter", version), {"keep": "1"}).status_code == 404
    assert outsider_client.post(url("version-delete", version, 1)).status_code == 404
    assert DatasetVersion.objects.exists()
    assert not Import.objects.exists()


def test_a_viewer_may_look_but_not_change(viewer_client: Client, version: DatasetVersion) -> None:
    page = text(tab(viewer_client, version))
    assert "Version 1" in page
    assert "Make the new version" not in page
    assert "Delete version" not in page
    assert viewer_client.get(url("dry-run", version), {"keep": "1"}).status_code == 200
    assert viewer_client.post(url("filter", version), {"keep": "1"}).status_code == 403
    assert viewer_client.post(url("version-delete", version, 1)).status_code == 403
    assert DatasetVersion.objects.exists()


@pytest.mark.parametrize("name", ["filter", "version-delete"])
def test_changes_are_posted(owner_client: Client, version: DatasetVersion, name: str) -> None:
    assert owner_client.get(url(name, version, 1)).status_code == 405


# The list


def test_the_list_says_of_each_version_what_changed_and_who_uses_it(
    owner_client: Client, owner: Any, team: Team, imported: Importer
) -> None:
    version = imported(*sums(40), *sums(10))
    filtered(version, owner, same_questions=True, keep=30)
    versions.remap(version, owner, instruction="question", response="answer", rule="last_number")
    use(version, team)
    response = tab(owner_client, version)
    page = text(response)
    assert [line.version.number for line in response.context["lines"]] == [3, 2, 1]
    assert "Left out: repeated questions; all but 30 rows from the top." in page
    assert '−20 <span class="faint">against version 1</span>' in page
    assert (
        'question repeated <span class="num">10</span>, beyond the number to keep <span class="num">10</span>' in page
    )
    assert "An earlier row has the same question." in page
    assert "Other columns: final answer from “The whole answer” to “The last number”." in page
    assert "same rows" in page
    assert "by charlie" in page
    assert f'<a href="{reverse("training:session", args=[Session.objects.get().pk])}">Run one</a>' in page
    assert page.count("No session uses it.") == 2


def test_a_version_that_is_being_made_or_failed_is_shown(owner_client: Client, version: DatasetVersion) -> None:
    job = versions.start_filter(version, None, Filters(min_question=999))
    page = text(tab(owner_client, version))
    assert reverse("datasets:import", args=[job.pk]) in page
    assert "Waiting for a worker" in page
    run(job)
    assert "The filters drop every row" in text(tab(owner_client, version))


def test_the_number_of_queries_does_not_grow_with_the_versions(
    owner_client: Client, team: Team, version: DatasetVersion, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    use(versions.remap(version, None), team)
    with CaptureQueriesContext(connection) as few:
        tab(owner_client, version)
    for _ in range(8):
        use(versions.remap(version, None), team)
    with django_assert_num_queries(len(few)):
        tab(owner_client, version)


def test_a_hostile_search_is_shown_as_text(owner_client: Client, imported: Importer) -> None:
    version = imported(*sums(3), {"question": "<script>alert(1)</script>", "answer": "x"})
    filtered(version, search="<script>alert", search_how="holds_not")
    assert "<script>alert" not in text(tab(owner_client, version))


# Filters


def test_the_page_says_how_many_rows_each_filter_would_drop(owner_client: Client, imported: Importer) -> None:
    version = imported(*sums(40), *sums(10), {"question": "", "answer": "1"})
    page = text(owner_client.get(url("dry-run", version), {"empty": "on", "same_questions": "on", "keep": "30"}))
    assert 'Without question, answer or final answer</td><td class="num bad">−1</td>' in page
    assert 'Question repeated</td><td class="num bad">−10</td>' in page
    assert 'Beyond the number to keep</td><td class="num bad">−10</td>' in page
    assert 'Stay</td><td class="num">30</td>' in page
    assert "row 31" in page.replace('<span class="num faint">', "").replace("</span>", "")
    assert not Import.objects.exists()


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({}, "Choose what to leave out"),
        ({"min_question": "-1"}, "greater than or equal to 0"),
        ({"min_question": "9", "max_question": "3"}, "No question can have at least 9 and at most 3 characters."),
        ({"keep": "many"}, "Enter a whole number."),
        ({"search": "x", "search_column": "gone"}, "There is no column “gone”."),
        ({"search": "x", "search_how": "magic"}, "magic is not one of the available choices"),
    ],
)
def test_wrong_filters_are_explained_and_kept_as_they_were_typed(
    owner_client: Client, version: DatasetVersion, chosen: dict[str, str], words: str
) -> None:
    assert words in text(owner_client.get(url("dry-run", version), chosen))
    response = owner_client.post(url("filter", version), {**chosen, "max_answer": "77"} if chosen else {})
    if chosen:
        assert 'name="max_answer" value="77"' in text(response)
    assert response.status_code == 400
    assert response.context["tab"] == "versions"
    assert words in text(response) or not chosen
    assert not Import.objects.exists()


def test_a_new_version_is_made_in_the_background_from_the_version_that_is_shown(
    teammate_client: Client, teammate: Any, version: DatasetVersion
) -> None:
    versions.remap(version, None, instruction="answer", response="question")
    response = teammate_client.post(url("filter", version, 1), {"keep": "12", "keep_how": "random", "seed": "5"})
    job = Import.objects.get()
    assert response["Location"] == reverse("datasets:import", args=[job.pk])
    assert (job.created_by, job.dataset) == (teammate, version.dataset)
    assert job.request == {"version": version.pk, "filters": {"keep": 12, "keep_how": "random", "seed": 5}}
    assert run(job).status == JobStatus.READY
    made = version.dataset.versions.first()
    assert (made.number, made.row_count, made.origin["version"], made.origin["by"]) == (3, 12, 1, "bob")


# Deleting


def test_a_version_is_deleted(owner_client: Client, version: DatasetVersion) -> None:
    versions.remap(version, None)
    response = owner_client.post(url("version-delete", version, 1), follow=True)
    assert "Deleted version 1 of sums." in text(response)
    assert list(Dataset.objects.get().versions.values_list("number", flat=True)) == [2]


def test_the_last_version_takes_the_dataset_with_it(owner_client: Client, version: DatasetVersion) -> None:
    response = owner_client.post(url("version-delete", version, 1))
    assert response["Location"] == reverse("datasets:list")
    assert not Dataset.objects.exists()


def test_which_version_is_to_be_deleted_must_be_said(owner_client: Client, version: DatasetVersion) -> None:
    assert "Say which version" in text(owner_client.post(url("version-delete", version), follow=True))
    assert owner_client.post(url("version-delete", version, 7)).status_code == 404
    assert DatasetVersion.objects.exists()


def test_deleting_a_version_that_a_session_used_asks_first(
    owner_client: Client, team: Team, version: DatasetVersion
) -> None:
    versions.remap(version, None)
    use(version, team)
    asked = owner_client.post(url("version-delete", version, 1))
    assert asked.status_code == 409
    assert "Delete version 1?" in text(asked)
    assert f'action="{url("version-delete", version, 1)}"' in text(asked)
    assert owner_client.post(url("version-delete", version, 1), {"confirmed": "yes"}).status_code == 302
    assert Dataset.objects.get().versions.count() == 1


def test_deleting_a_version_that_a_session_trains_on_is_refused(
    owner_client: Client, team: Team, version: DatasetVersion
) -> None:
    versions.remap(version, None)
    use(version, team, Status.QUEUED)
    refused = owner_client.post(url("version-delete", version, 1), {"confirmed": "yes"})
    assert refused.status_code == 409
    assert "Training now: Run one" in text(refused)
    assert "Delete it anyway" not in text(refused)
