import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import Team
from datasets_app import checks
from datasets_app.models import Dataset, DatasetVersion, Source
from datasets_app.page_views import TABS
from jobs.choices import JobStatus
from tests.datasets.checking import checked
from tests.datasets.conftest import Importer, jsonl, sums
from training.choices import Status
from training.models import Session

GET_PAGES = ["detail", "preview", "rows", "check-progress"]
WITH_FORMAT = ["download", "rejected"]
POST_PAGES = ["mapping", "split", "accept", "delete", "check", "recheck"]
HTMX = {"HX-Request": "true"}


def url(name: str, version: DatasetVersion) -> str:
    return reverse(f"datasets:{name}", args=[version.dataset_id])


def of(name: str, version: DatasetVersion) -> str:
    return reverse(f"datasets:{name}", args=[version.dataset_id, 1 if name == "row" else "csv"])


def tab(client: Client, version: DatasetVersion, name: str) -> str:
    return text(client.get(url("detail", version), {"tab": name}))


def uploaded(raw: bytes, name: str = "sums.jsonl") -> dict[str, Any]:
    return {"file": SimpleUploadedFile(name, raw)}


def text(response: Any) -> str:
    found: str = " ".join(response.content.decode().split())
    return found


# Who may see and change what


@pytest.mark.parametrize("name", GET_PAGES)
def test_an_outsider_gets_404_for_every_page_of_a_dataset(
    outsider_client: Client, version: DatasetVersion, name: str
) -> None:
    assert outsider_client.get(url(name, version)).status_code == 404


@pytest.mark.parametrize("name", [*WITH_FORMAT, "row"])
def test_an_outsider_gets_no_row_and_no_file(outsider_client: Client, version: DatasetVersion, name: str) -> None:
    assert outsider_client.get(of(name, version)).status_code == 404


@pytest.mark.parametrize("name", [*WITH_FORMAT, "row"])
def test_nobody_gets_a_row_or_file_without_signing_in(client: Client, version: DatasetVersion, name: str) -> None:
    response = client.get(of(name, version))
    assert response.status_code == 302
    assert reverse("login") in response["Location"]


@pytest.mark.parametrize("name", [*GET_PAGES, *POST_PAGES])
def test_nobody_gets_a_page_without_signing_in(client: Client, version: DatasetVersion, name: str) -> None:
    assert reverse("login") in client.get(url(name, version))["Location"]
    assert reverse("login") in client.post(url(name, version))["Location"]


def test_a_check_can_be_cancelled_by_members_of_its_team_alone(
    outsider_client: Client, viewer_client: Client, teammate_client: Client, version: DatasetVersion
) -> None:
    check = checks.start(version, None)
    address = reverse("datasets:check-cancel", args=[check.pk])
    assert outsider_client.post(address).status_code == 404
    assert viewer_client.post(address).status_code == 403
    assert teammate_client.get(address).status_code == 405
    check.refresh_from_db()
    assert check.status == JobStatus.QUEUED
    assert teammate_client.post(address).status_code == 302
    check.refresh_from_db()
    assert check.status == JobStatus.CANCELLED


@pytest.mark.parametrize("name", POST_PAGES)
def test_an_outsider_gets_404_for_every_action_on_a_dataset(
    outsider_client: Client, version: DatasetVersion, name: str
) -> None:
    assert outsider_client.post(url(name, version)).status_code == 404
    assert version.path.exists()


def test_an_outsider_sees_none_of_our_datasets(outsider_client: Client, version: DatasetVersion) -> None:
    assert str(version.dataset_id) not in text(outsider_client.get(reverse("datasets:list")))


def test_what_an_outsider_uploads_goes_to_the_outsiders_team(outsider_client: Client, team: Team) -> None:
    outsider_client.post(reverse("datasets:upload"), uploaded(jsonl(*sums(2))))
    assert Dataset.objects.get().team != team


@pytest.mark.parametrize("name", POST_PAGES)
def test_a_viewer_may_look_but_not_change(viewer_client: Client, version: DatasetVersion, name: str) -> None:
    page = viewer_client.get(url("detail", version))
    assert page.status_code == 200
    assert "Delete" not in text(page)
    assert "Save columns" not in tab(viewer_client, version, "mapping")
    assert 'id="check-form"' not in tab(viewer_client, version, "validation")
    assert viewer_client.post(url(name, version)).status_code == 403


@pytest.mark.parametrize("name", ["upload", "generate"])
def test_a_viewer_can_not_upload_or_generate(viewer_client: Client, name: str) -> None:
    address = reverse(f"datasets:{name}")
    assert viewer_client.get(address).status_code == 403
    assert viewer_client.post(address, uploaded(jsonl(*sums(2)))).status_code == 403
    assert not Dataset.objects.exists()


@pytest.mark.parametrize("name", ["task", "example"])
def test_a_viewer_can_not_start_generators(viewer_client: Client, name: str) -> None:
    assert viewer_client.get(reverse(f"datasets:{name}"), {"task": "chain_sum"}).status_code == 403


@pytest.mark.parametrize("name", ["list", "upload", "generate", "task", "example"])
def test_a_stranger_is_asked_to_sign_in(client: Client, db: None, name: str) -> None:
    response = client.get(reverse(f"datasets:{name}"))
    assert response.status_code == 302
    assert reverse("login") in response["Location"]


@pytest.mark.parametrize("name", POST_PAGES)
def test_nothing_is_changed_by_a_get(owner_client: Client, version: DatasetVersion, name: str) -> None:
    assert owner_client.get(url(name, version)).status_code == 405


# The list


def test_an_empty_list_says_what_to_do(owner_client: Client) -> None:
    page = text(owner_client.get(reverse("datasets:list")))
    assert "No dataset yet" in page
    assert "Upload a file" in page
    assert "Generate the starter set" in page


def test_an_empty_list_does_not_offer_a_viewer_what_is_forbidden(viewer_client: Client) -> None:
    assert "Generate the starter set" not in text(viewer_client.get(reverse("datasets:list")))


def test_the_list_shows_what_leads_on_each_dataset(owner_client: Client, imported: Importer) -> None:
    imported(*sums(40), name="forty.jsonl")
    imported(raw=jsonl(*sums(3)) + b"broken\n", name="waiting.jsonl")
    page = text(owner_client.get(reverse("datasets:list")))
    for words in ("forty", "Upload", "question, answer", "1 line to decide on"):
        assert words in page


def test_the_list_is_searched_and_sorted_on_the_server(owner_client: Client, imported: Importer) -> None:
    for name, count in (("beta", 9), ("alpha", 5), ("gamma", 7)):
        imported(*sums(count), name=name)

    def names(**query: str) -> list[str]:
        response = owner_client.get(reverse("datasets:list"), query)
        return [dataset.name for dataset in response.context["page"]]

    assert names() == ["gamma", "alpha", "beta"]
    assert names(sort="name") == ["alpha", "beta", "gamma"]
    assert names(sort="-rows") == ["beta", "gamma", "alpha"]
    assert names(sort="; drop table") == ["beta", "alpha", "gamma"]
    assert names(q="ET") == ["beta"]
    assert "No dataset is called “zeta”" in text(owner_client.get(reverse("datasets:list"), {"q": "zeta"}))


def test_htmx_gets_the_table_alone(owner_client: Client, version: DatasetVersion) -> None:
    assert "<html" not in text(owner_client.get(reverse("datasets:list"), headers=HTMX))


def many(team: Team, count: int) -> None:
    for number in range(count):
        dataset = Dataset.objects.create(team=team, name=f"d{number}", source=Source.UPLOAD)
        for version in (1, 2):
            DatasetVersion.objects.create(dataset=dataset, number=version, row_count=number, split={"held_out": 1})


@pytest.mark.parametrize("count", [1, 40])
def test_the_list_takes_as_many_queries_for_one_dataset_as_for_many(
    owner_client: Client, team: Team, django_assert_max_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    many(team, count)
    with django_assert_max_num_queries(9):
        page = owner_client.get(reverse("datasets:list"))
    assert page.content.count(b"<tr>") == count + 1


def test_a_page_of_rows_takes_few_queries(
    owner_client: Client, version: DatasetVersion, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(14):
        owner_client.get(url("detail", version))
    with django_assert_max_num_queries(8):
        owner_client.get(url("rows", version), {"page": 2}, headers=HTMX)


# Upload


def test_an_upload_leads_to_the_dataset_s_page(teammate_client: Client) -> None:
    """S7.3"""
    response = teammate_client.post(reverse("datasets:upload"), {**uploaded(jsonl(*sums(30))), "name": "My sums"})
    version = DatasetVersion.objects.get()
    assert response["Location"] == url("detail", version)
    page = text(teammate_client.get(response["Location"]))
    assert "My sums" in page
    assert "What is 0 + 1?" in page


def test_the_upload_page_names_the_limits(owner_client: Client, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 3 * 1024 * 1024
    page = text(owner_client.get(reverse("datasets:upload")))
    assert "at most 3 MB" in page
    assert 'data-max-bytes="3145728"' in page


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "The file is empty"),
        (b"\n\n", "no usable row"),
        (b"bad\nbad\n", "all 2 lines were rejected. Line 1: Not JSON"),
        (b"\x1f\x8b rest", "gzip"),
    ],
)
def test_a_file_without_a_row_is_explained_on_its_field(owner_client: Client, raw: bytes, words: str) -> None:
    response = owner_client.post(reverse("datasets:upload"), uploaded(raw))
    assert response.status_code == 400
    assert words in text(response)
    assert not Dataset.objects.exists()


def test_an_upload_over_the_limit_is_refused_with_the_limit(owner_client: Client, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 1024 * 1024
    response = owner_client.post(reverse("datasets:upload"), uploaded(b"x" * (1024 * 1024 + 1)))
    assert response.status_code == 400
    assert "larger than 1 MB" in text(response)


def test_a_name_with_markup_is_shown_as_text(owner_client: Client) -> None:
    rows = [{"question": "<script>alert(1)</script>?", "answer": "<b>"}] * 2
    owner_client.post(reverse("datasets:upload"), {**uploaded(jsonl(*rows)), "name": "<img src=x>"})
    page = text(owner_client.get(url("detail", DatasetVersion.objects.get())))
    assert "<img src=x>" not in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


# Rejected lines


def test_rejected_lines_are_listed_and_the_user_decides_to_keep(owner_client: Client, imported: Importer) -> None:
    version = imported(raw=jsonl(*sums(3)) + b'\n{"a": NaN}\n')
    assert "1 line could not be used" in text(owner_client.get(url("detail", version)))
    page = tab(owner_client, version, "validation")
    assert "Holds NaN" in page
    assert '<td class="num">5</td>' in page
    owner_client.post(url("accept", version))
    version.refresh_from_db()
    assert version.accepted
    page = tab(owner_client, version, "validation")
    assert "Keep the good rows" not in page
    assert "Holds NaN" in page, "the report stays"


def test_discarding_an_import_leaves_nothing(
    owner_client: Client, imported: Importer, django_capture_on_commit_callbacks: Any
) -> None:
    version = imported(raw=jsonl(*sums(3)) + b"bad\n")
    with django_capture_on_commit_callbacks(execute=True):
        assert owner_client.post(url("delete", version))["Location"] == reverse("datasets:list")
    assert not Dataset.objects.exists()
    assert not version.path.exists()


# Tabs


@pytest.mark.parametrize("name", list(TABS))
def test_every_tab_has_its_own_address_and_the_others_link_to_it(
    viewer_client: Client, version: DatasetVersion, name: str
) -> None:
    page = viewer_client.get(url("detail", version), {"tab": name})
    assert page.status_code == 200
    assert f'href="/datasets/{version.dataset_id}/?tab={name}" aria-current="page"' in text(page)
    for other in TABS:
        assert f"?tab={other}" in text(page)


def test_a_tab_that_there_is_not_is_the_first(viewer_client: Client, version: DatasetVersion) -> None:
    page = viewer_client.get(url("detail", version), {"tab": "<script>"})
    assert page.context["tab"] == "preview"


@pytest.mark.parametrize("name", list(TABS))
def test_a_tab_takes_few_queries_whatever_the_size(
    owner_client: Client,
    imported: Importer,
    name: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    version = imported(*sums(900))
    checked(version)
    with django_assert_max_num_queries(22):
        owner_client.get(url("detail", version), {"tab": name})


def test_the_tabs_say_what_waits_behind_them(owner_client: Client, imported: Importer) -> None:
    waiting = imported(raw=jsonl(*sums(3)) + b"broken\n")
    assert "line to decide on" in text(owner_client.get(url("detail", waiting)))
    unmapped = imported(*({"a1": n} for n in range(5)), name="unmapped")
    DatasetVersion.objects.filter(pk=unmapped.pk).update(mapping={})
    assert "columns to choose" in text(owner_client.get(url("detail", unmapped)))


def test_an_older_version_is_shown_with_a_way_to_the_newest(owner_client: Client, version: DatasetVersion) -> None:
    DatasetVersion.objects.create(
        dataset=version.dataset, number=2, file=version.file, row_count=40, columns=version.columns
    )
    old = text(owner_client.get(url("detail", version), {"version": "1", "tab": "statistics"}))
    assert "You look at version 1. The newest is version 2." in old
    assert "tab=mapping&amp;version=1" in old
    assert "You look at" not in text(owner_client.get(url("detail", version), {"version": "2"}))


@pytest.mark.parametrize("number", ["3", "-1", "x", "²", "99999999999999999999"])
def test_a_version_that_there_is_not_is_404(owner_client: Client, version: DatasetVersion, number: str) -> None:
    assert owner_client.get(url("detail", version), {"version": number}).status_code == 404


def test_a_version_in_use_shows_no_save_buttons(owner_client: Client, team: Team, version: DatasetVersion) -> None:
    Session.objects.create(team=team, name="Run one", status=Status.COMPLETED, dataset_version=version)
    page = tab(owner_client, version, "mapping")
    assert "Save columns" not in page
    assert "Save split" not in page
    assert "Run one" in tab(owner_client, version, "versions")


@pytest.mark.parametrize("name", list(TABS))
def test_names_columns_and_cells_without_end_are_no_trouble(
    owner_client: Client, imported: Importer, name: str
) -> None:
    row = {"question": "q " * 20_000, "answer": "a" * 40_000, **{f"{n:03}" + "c" * 190: "<b>" for n in range(190)}}
    version = imported(row, row, name="n" * 200)
    checked(version)
    response = owner_client.get(url("detail", version), {"tab": name})
    assert response.status_code == 200
    assert "<b>" not in text(response)
    assert len(response.content) < 2_000_000


# Deleting


def test_deleting_what_a_session_used_asks_first(owner_client: Client, team: Team, version: DatasetVersion) -> None:
    Session.objects.create(team=team, name="Run one", status=Status.COMPLETED, dataset_version=version)
    asked = owner_client.post(url("delete", version))
    assert asked.status_code == 409
    assert "Delete it anyway" in text(asked)
    assert owner_client.post(url("delete", version), {"confirmed": "yes"}).status_code == 302
    assert not Dataset.objects.exists()


def test_deleting_what_a_session_trains_on_is_refused(
    owner_client: Client, team: Team, version: DatasetVersion
) -> None:
    Session.objects.create(team=team, name="Run one", status=Status.QUEUED, dataset_version=version)
    refused = owner_client.post(url("delete", version), {"confirmed": "yes"})
    assert refused.status_code == 409
    assert "Training now: Run one" in text(refused)
    assert "Delete it anyway" not in text(refused)


# Generating


def test_the_starter_set_is_one_click(owner_client: Client) -> None:
    response = owner_client.post(reverse("datasets:generate"), {"starter": "1"})
    version = DatasetVersion.objects.get()
    assert response["Location"] == url("detail", version)
    assert version.row_count == 1000
    assert version.dataset.source_detail["parameters"]["max_terms"] == 2


def test_the_generate_form_makes_a_dataset_with_its_parameters(owner_client: Client) -> None:
    assert "Sums and differences" in text(owner_client.get(reverse("datasets:generate")))
    form = {"task": "leg_counting", "size": 20, "seed": 1, "name": "Legs", "parameter-max_animals": "4"}
    owner_client.post(reverse("datasets:generate"), form)
    dataset = Dataset.objects.get()
    assert dataset.name == "Legs"
    assert dataset.source_detail["parameters"] == {"max_animals": "4"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "nonsense"}, "nonsense is not one of the available choices"),
        ({"size": "1"}, "greater than or equal to 2"),
        ({"parameter-min_terms": "9"}, "max_terms must be"),
        ({"parameter-min_terms": "many"}, "min_terms must be a whole number"),
    ],
)
def test_a_wrong_generate_form_is_explained(owner_client: Client, changes: dict[str, str], words: str) -> None:
    form = {"task": "chain_sum", "size": "20", "seed": "1", **changes}
    response = owner_client.post(reverse("datasets:generate"), form)
    assert response.status_code == 400
    assert words in text(response)
    assert not Dataset.objects.exists()


def test_another_task_brings_its_parameters_and_examples(owner_client: Client) -> None:
    page = text(owner_client.get(reverse("datasets:task"), {"task": "leg_counting"}, headers=HTMX))
    assert 'name="parameter-max_animals"' in page
    assert "how many legs" in page
    assert owner_client.get(reverse("datasets:task"), {"task": "nonsense"}).status_code == 404


def test_examples_follow_the_parameters_and_explain_wrong_ones(owner_client: Client) -> None:
    def shown(**data: str) -> str:
        return text(owner_client.get(reverse("datasets:example"), {"task": "chain_sum", "seed": "42", **data}))

    two_terms = shown(**{"parameter-min_terms": "2", "parameter-max_terms": "2"})
    assert two_terms.count('<div class="sample">') == 3
    assert "max_terms must be" in shown(**{"parameter-min_terms": "9"})


def test_fewer_questions_than_asked_for_are_announced(owner_client: Client) -> None:
    one_digit = {"parameter-max_terms": "2", "parameter-max_digits": "1"}
    form = {"task": "chain_sum", "size": "3000", "seed": "1", **one_digit}
    page = text(owner_client.post(reverse("datasets:generate"), form, follow=True))
    assert "different questions with these parameters. All of them were stored." in page


@pytest.mark.usefixtures("real_child")
def test_gsm8k_sized_uploads_pass_through_the_page_and_the_real_child(owner_client: Client) -> None:
    raw = io.BytesIO(jsonl(*sums(8000)))
    raw.name = "large.jsonl"
    response = owner_client.post(reverse("datasets:upload"), {"file": raw})
    assert response.status_code == 302
    assert DatasetVersion.objects.get().row_count == 8000


@pytest.mark.parametrize("tab", ["validation", "statistics", "preview"])
def test_the_newest_check_is_asked_for_once_a_page(owner_client: Client, version: DatasetVersion, tab: str) -> None:
    with CaptureQueriesContext(connection) as made:
        owner_client.get(reverse("datasets:detail", args=[version.dataset_id]), {"tab": tab})
    wheres = [
        query["sql"].partition("WHERE")[2] for query in made.captured_queries if "datasets_app_check" in query["sql"]
    ]
    assert sum("status" not in where for where in wheres) == 1
