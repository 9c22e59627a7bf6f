from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from datasets_app import hub, hub_views, public_sets, sources, tasks
from datasets_app.models import Dataset, Import, Source
from datasets_app.problems import DatasetProblem
from tests.datasets.conftest import jsonl, sums
from tests.datasets.hub_server import Hub

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr(tasks, "run_import", rung.append)
    return rung


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Iterator[Hub]:
    settings.CACHE_DIR = tmp_path / "cache"
    cache.clear()
    with Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        yield server


def page(client: Client, name: str, *arguments: Any, **query: Any) -> str:
    return client.get(reverse(name, args=arguments), query).content.decode()


# The chosen few


def test_the_public_sets_are_the_seven_with_rows_size_and_licence(teammate_client: Client) -> None:
    shown = page(teammate_client, "datasets:public")
    assert len(public_sets.SETS) == 7
    for item in public_sets.SETS:
        assert item.repo in shown
        assert item.licence in shown
    assert "rajpurkar/squad_v2" in shown
    assert "52\u202f002" in shown


@pytest.mark.parametrize(
    ("category", "repos"),
    [("math", 3), ("coding", 1), ("general", 2), ("qa", 1), ("", 7), ("nonsense", 7)],
)
def test_a_category_leaves_its_sets(teammate_client: Client, category: str, repos: int) -> None:
    assert page(teammate_client, "datasets:public", category=category).count('class="card public-set"') == repos


def test_a_search_looks_at_every_word_and_an_empty_find_says_what_to_do(teammate_client: Client) -> None:
    assert page(teammate_client, "datasets:public", q="word problems synthetic").count("public-set") == 1
    shown = page(teammate_client, "datasets:public", q="nothing like it")
    assert "None of these sets matches" in shown
    assert reverse("datasets:hub") in shown


def test_htmx_gets_the_list_alone(teammate_client: Client) -> None:
    answer = teammate_client.get(reverse("datasets:public"), {"category": "qa"}, headers=HTMX).content.decode()
    assert "<html" not in answer
    assert "SQuAD" in answer


def test_an_import_of_a_public_set_takes_its_mapping_split_and_config(
    server: Hub, teammate_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = "---\nconfigs:\n" + "".join(
        f"- {{config_name: {name}, data_files: [{{split: train, path: {name}/train.jsonl}}, {{split: test, path:"
        f" {name}/test.jsonl}}]}}\n"
        for name in ("main", "socratic")
    )
    files = {f"{name}/{part}.jsonl": jsonl(*sums(4)) for name in ("main", "socratic") for part in ("train", "test")}
    commit = server.add("openai/gsm8k", {"README.md": card + "---\n", **files})
    address = reverse("datasets:public-import", args=["gsm8k"])
    answer = teammate_client.post(address, {"config": "socratic"})
    job = Import.objects.get()
    assert answer.headers["location"] == reverse("datasets:import", args=[job.pk])
    assert job.request == {
        "repo": "openai/gsm8k",
        "config": "socratic",
        "split": "train+test",
        "revision": commit,
        "rows": None,
        "mapping": {"instruction": "question", "response": "answer", "rule": "after_hashes"},
    }
    assert job.name == "GSM8K socratic"


def test_an_import_that_the_hub_refuses_says_why_on_the_page(server: Hub, teammate_client: Client) -> None:
    answer = teammate_client.post(reverse("datasets:public-import", args=["dolly"]), follow=True)
    assert "no dataset “databricks/databricks-dolly-15k”" in answer.content.decode()
    assert not Import.objects.exists()


def test_a_public_set_that_the_team_has_is_marked(teammate_client: Client, outsider_client: Client, team: Team) -> None:
    mine = Dataset.objects.create(team=team, name="Sums", source=Source.HUB, source_detail={"repo": "openai/gsm8k"})
    assert reverse("datasets:detail", args=[mine.pk]) in page(teammate_client, "datasets:public")
    assert reverse("datasets:detail", args=[mine.pk]) not in page(outsider_client, "datasets:public")


def test_a_preview_of_a_public_set_shows_rows_before_anything_is_stored(server: Hub, teammate_client: Client) -> None:
    server.add(
        "databricks/databricks-dolly-15k", {"train.jsonl": jsonl({"instruction": "<b>Say</b> so.", "context": ""})}
    )
    address = reverse("datasets:public-preview", args=["dolly"])
    shown = teammate_client.get(address, headers=HTMX).content.decode()
    assert "&lt;b&gt;Say&lt;/b&gt; so." in shown
    assert "<html" not in shown
    assert not Dataset.objects.exists()
    # Without htmx the link leads to the page that shows the same.
    assert reverse("datasets:hub") in teammate_client.get(address).headers["location"]


def test_an_unknown_public_set_is_not_found(teammate_client: Client) -> None:
    assert teammate_client.get(reverse("datasets:public-preview", args=["other"])).status_code == 404
    assert teammate_client.post(reverse("datasets:public-import", args=["other"])).status_code == 404


def test_a_viewer_looks_and_imports_nothing(viewer_client: Client) -> None:
    shown = page(viewer_client, "datasets:public")
    assert "Preview" in shown
    assert 'type="submit">' not in shown.partition('class="card public-set"')[2].partition("</article>")[0]
    assert viewer_client.post(reverse("datasets:public-import", args=["gsm8k"])).status_code == 403
    for name in ("datasets:hub", "datasets:hub-preview"):
        assert viewer_client.get(reverse(name)).status_code == 403
    assert viewer_client.post(reverse("datasets:hub-import")).status_code == 403
    assert not Import.objects.exists()


def test_nobody_who_is_not_signed_in_sees_or_imports(client: Client) -> None:
    for name in ("datasets:public", "datasets:hub", "datasets:hub-preview"):
        assert client.get(reverse(name)).status_code == 302
    assert client.post(reverse("datasets:hub-import"), {"repo": "a/b"}).status_code == 302


def test_get_imports_nothing(teammate_client: Client) -> None:
    assert teammate_client.get(reverse("datasets:hub-import")).status_code == 405
    assert teammate_client.get(reverse("datasets:public-import", args=["gsm8k"])).status_code == 405


# Any other


def test_the_hub_page_shows_what_a_dataset_holds_and_imports_it(server: Hub, teammate_client: Client) -> None:
    commit = server.add("acme/sums", {"train.jsonl": jsonl(*sums(5)), "test.jsonl": jsonl(*sums(2))})
    assert "username/dataset-name" in page(teammate_client, "datasets:hub")
    shown = page(teammate_client, "datasets:hub", repo="acme/sums")
    assert commit in shown
    assert 'value="train" checked' in shown
    assert 'value="test" >' in shown
    assert reverse("datasets:hub-preview") in shown
    given = {"repo": "acme/sums", "config": "default", "revision": commit, "split": ["train", "test"], "rows": "1,000"}
    answer = teammate_client.post(reverse("datasets:hub-import"), {**given, "name": "My sums"})
    job = Import.objects.get()
    assert answer.headers["location"] == reverse("datasets:import", args=[job.pk])
    assert (job.name, job.request["split"], job.request["rows"]) == ("My sums", "train+test", 1000)


def test_what_is_wrong_is_said_on_the_hub_page(server: Hub, teammate_client: Client) -> None:
    server.add("acme/sums", {"train.jsonl": jsonl(*sums(5))})
    answer = teammate_client.get(reverse("datasets:hub"), {"repo": "acme/nothing"})
    assert (answer.status_code, "no dataset “acme/nothing”" in answer.content.decode()) == (400, True)
    answer = teammate_client.post(reverse("datasets:hub-import"), {"repo": "acme/sums", "rows": "many"})
    assert answer.status_code == 400
    assert "whole number" in answer.content.decode()
    answer = teammate_client.post(reverse("datasets:hub-import"), {"repo": "acme/sums", "split": "dev"})
    assert "It has: train." in answer.content.decode()
    assert not Import.objects.exists()


def test_the_first_rows_are_a_page_of_their_own_and_a_part_for_htmx(server: Hub, teammate_client: Client) -> None:
    server.add("acme/sums", {"train.jsonl": jsonl(*sums(5))})
    query = {"repo": "acme/sums", "split": "train"}
    whole = teammate_client.get(reverse("datasets:hub-preview"), query).content.decode()
    part = teammate_client.get(reverse("datasets:hub-preview"), query, headers=HTMX).content.decode()
    assert "What is 4 + 1?" in whole
    assert "<html" in whole
    assert "<html" not in part
    missing = teammate_client.get(reverse("datasets:hub-preview"), {"repo": "acme/none"}, headers=HTMX)
    assert "no dataset “acme/none”" in missing.content.decode()


@pytest.mark.parametrize(("typed", "number"), [("", None), (" 12 ", 12), ("1,000", 1000), ("10 000", 10000)])
def test_a_number_of_rows_may_be_written_as_people_do(typed: str, number: int | None) -> None:
    assert hub_views.number(typed) == number


@pytest.mark.parametrize("typed", ["-1", "1.5", "ten", "9" * 12, "²"])
def test_what_is_no_number_of_rows_is_refused(typed: str) -> None:
    with pytest.raises(DatasetProblem, match="whole number"):
        hub_views.number(typed)


# Configs that name a hub id


def test_a_hub_id_means_the_newest_dataset_that_the_team_made_of_it(team: Team, version: Any, outsider: User) -> None:
    with pytest.raises(DatasetProblem, match="has not imported “openai/gsm8k” yet"):
        sources.resolve(team, "openai/gsm8k")
    Dataset.objects.filter(pk=version.dataset_id).update(source=Source.HUB, source_detail={"repo": "openai/gsm8k"})
    assert sources.resolve(team, "openai/gsm8k") == version
    assert hub.imported(team, "openai/gsm8k") == version.dataset
    with pytest.raises(DatasetProblem, match="has not imported"):
        sources.resolve(outsider.teams.get(), "openai/gsm8k")  # type: ignore[attr-defined]


def test_a_name_that_looks_like_a_hub_id_wins_over_the_hub(team: Team, version: Any) -> None:
    Dataset.objects.filter(pk=version.dataset_id).update(name="acme/sums")
    assert sources.resolve(team, "acme/sums") == version


# The list


def test_the_list_offers_every_way_to_a_new_dataset(teammate_client: Client, viewer_client: Client) -> None:
    shown = page(teammate_client, "datasets:list")
    for name in ("datasets:upload", "datasets:public", "datasets:hub", "datasets:generate"):
        assert reverse(name) in shown
    assert reverse("datasets:hub") not in page(viewer_client, "datasets:list")
