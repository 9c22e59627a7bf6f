"""The operator's console of datasets: quick lists, and the same verbs as the pages."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import secrets
from accounts.models import Team
from datasets_app import checks, imports, uploads
from datasets_app.models import Check, Dataset, DatasetVersion, Import, ImportKind, PromptTemplate, Upload
from jobs.choices import JobStatus
from tests.conftest import member, signed_in
from tests.datasets.conftest import Importer, sums

LISTS = ["dataset", "datasetversion", "upload", "import", "check", "prompttemplate"]
SECRET = "hf_a_secret_token_of_ours"
Make = Callable[[int], None]


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(User.objects.create_superuser("ada", password="a long password"))


@pytest.fixture
def make(imported: Importer, team: Team, owner: User) -> Make:
    """One row of each kind, each in a team of its own and by a user of its own."""

    def one(number: int) -> None:
        other = Team.objects.create(name=f"Team {number}")
        user = member(f"user{number}", other, "owner")
        version = imported(*sums(4), team=other)
        Dataset.objects.filter(pk=version.dataset_id).update(created_by=user)
        upload = uploads.from_bytes(other, user, f"sums{number}.csv", b"question,answer\n1,2\n")
        imports.start_upload(upload, user)
        checks.start(version, user)
        PromptTemplate.objects.create(team=other, created_by=user, name=f"Ours {number}")

    return one


def path(name: str, rest: str = "") -> str:
    return f"/admin/datasets_app/{name}/{rest}"


def act(client: Client, name: str, action: str, row: Any) -> str:
    chosen = {"action": action, "_selected_action": [str(row.pk)]}
    return client.post(path(name), chosen, follow=True).content.decode()


def test_every_model_has_a_list_that_opens_for_operators_only(
    operator: Client, owner_client: Client, outsider_client: Client, make: Make
) -> None:
    make(0)
    for name in LISTS:
        assert operator.get(path(name)).status_code == 200, name
        assert operator.get(path(name), {"q": "sums"}).status_code == 200, name
        for client in (owner_client, outsider_client, Client()):
            assert client.get(path(name)).status_code == 302, name
    registered = {model._meta.model_name for model in admin.site._registry if model._meta.app_label == "datasets_app"}
    assert registered == set(LISTS)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_asks_the_database_as_often_for_many_rows_as_for_one(operator: Client, make: Make, name: str) -> None:
    def queries() -> list[str]:
        with CaptureQueriesContext(connection) as asked:
            assert operator.get(path(name)).status_code == 200
        return [query["sql"] for query in asked]

    make(0)
    queries()
    few = queries()
    for number in range(1, 6):
        make(number)
    many = queries()
    assert len(many) == len(few) <= 10
    counts = [sql for sql in many if "COUNT(*)" in sql]
    assert counts and all("LIMIT" in sql for sql in counts), "no table is counted to its end"


@pytest.mark.parametrize("name", LISTS)
def test_a_row_opens_with_as_many_questions_as_it_needs(operator: Client, make: Make, name: str) -> None:
    make(0)
    model = apps.get_model("datasets_app", name)
    row = (
        model._default_manager.exclude(team=None).first() if name == "prompttemplate" else model._default_manager.get()
    )
    with CaptureQueriesContext(connection) as asked:
        assert operator.get(path(name, f"{row.pk}/change/")).status_code == 200
    assert len(asked) <= 16


def test_a_list_reads_no_reports(operator: Client, make: Make) -> None:
    make(0)
    for name in ("datasetversion", "check", "dataset"):
        with CaptureQueriesContext(connection) as asked:
            operator.get(path(name))
        assert not [query["sql"] for query in asked if '"report"' in query["sql"]], name


@pytest.mark.parametrize("name", ["dataset", "datasetversion", "upload", "import", "check"])
def test_what_the_verbs_write_can_only_be_read(operator: Client, make: Make, name: str) -> None:
    make(0)
    model = apps.get_model("datasets_app", name)
    row = model._default_manager.get()
    assert operator.get(path(name, "add/")).status_code == 403
    assert operator.post(path(name, f"{row.pk}/delete/"), {"post": "yes"}).status_code == 403
    assert operator.post(path(name, f"{row.pk}/change/"), {"name": "x"}).status_code == 403
    assert "delete_selected" not in operator.get(path(name)).content.decode()
    assert model._default_manager.filter(pk=row.pk).exists()


def test_lists_are_filtered(operator: Client, make: Make) -> None:
    make(0)
    team = Team.objects.get(name="Team 0")
    for name, query in {
        "dataset": {"source": "upload", "team__id__exact": team.pk},
        "datasetversion": {"accepted__exact": 1, "dataset__source": "upload"},
        "upload": {"team__id__exact": team.pk},
        "import": {"status__exact": "queued", "kind__exact": "upload"},
        "check": {"status__exact": "queued"},
        "prompttemplate": {"template_type__exact": "custom", "team__id__exact": team.pk},
    }.items():
        assert operator.get(path(name), query).context["cl"].result_count == 1, name


def test_an_import_is_cancelled_and_tried_again(operator: Client, team: Team) -> None:
    job = imports.start(team, None, ImportKind.HUB, "From the hub", request={"repo": "acme/sums"})
    assert "was not queued again" in act(operator, "import", "retry", job)
    assert "was cancelled" in act(operator, "import", "cancel", job)
    assert Import.objects.get().status == JobStatus.CANCELLED
    assert "was not cancelled" in act(operator, "import", "cancel", job)
    assert "was queued again" in act(operator, "import", "retry", job)
    assert Import.objects.get().status == JobStatus.QUEUED


def test_a_check_is_cancelled(operator: Client, version: DatasetVersion) -> None:
    check = checks.start(version, None)
    assert "was cancelled" in act(operator, "check", "cancel", check)
    assert Check.objects.get().status == JobStatus.CANCELLED
    assert "was not cancelled" in act(operator, "check", "cancel", check)


def test_an_upload_is_discarded_unless_it_is_being_imported(
    operator: Client, team: Team, django_capture_on_commit_callbacks: Any
) -> None:
    upload = uploads.from_bytes(team, None, "sums.csv", b"question,answer\n1,2\n")
    job = imports.start_upload(upload, None)
    assert "Cancel the import first" in act(operator, "upload", "discard", upload)
    imports.cancel(job)
    with django_capture_on_commit_callbacks(execute=True):
        assert "was discarded" in act(operator, "upload", "discard", upload)
    assert not Upload.objects.exists()
    assert not upload.path.exists()


def test_who_may_only_look_is_offered_no_verb(make: Make) -> None:
    make(0)
    staff = User.objects.create_user("eve", password="a long password", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__in=["view_import", "view_upload"]))
    client = signed_in(staff)
    job = Import.objects.get()
    assert client.get(path("import")).status_code == 200
    act(client, "import", "cancel", job)
    assert Import.objects.get().status == JobStatus.QUEUED
    assert client.get(path("dataset")).status_code == 403


def test_no_page_of_the_console_shows_a_token(operator: Client, team: Team, owner: User) -> None:
    stored = secrets.save(team, owner, secrets.HUGGINGFACE, SECRET)
    for address in ("/admin/accounts/teamsecret/", f"/admin/accounts/teamsecret/{stored.pk}/change/"):
        text = operator.get(address).content.decode()
        assert stored.ending in text
        assert SECRET not in text
        assert stored.ciphertext not in text
    assert operator.get("/admin/accounts/teamsecret/add/").status_code == 403


def test_a_shipped_template_is_changed_only_here(operator: Client) -> None:
    row = PromptTemplate.objects.get(team=None, name="GRPO default")
    address = path("prompttemplate", f"{row.pk}/change/")
    values = {name: "" if value is None else value for name, value in initial(operator, address).items()}
    operator.post(address, {**values, "description": "As the operator says."})
    row.refresh_from_db()
    assert row.description == "As the operator says."


def initial(client: Client, address: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(address).context["adminform"].form.initial
    return found
