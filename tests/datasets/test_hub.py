"""Datasets of the hub, read by the real child from a small server that speaks its interface."""

import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from django.core.cache import cache

from accounts import secrets
from accounts.models import Team
from datasets_app import hub, hub_records, imports, public_sets, rows, tables, tasks
from datasets_app.limits import HUB_BYTES
from datasets_app.models import Dataset, DatasetVersion, Import, ImportKind, Source
from datasets_app.problems import DatasetProblem
from jobs import leases, running
from jobs.choices import JobStatus
from tests.datasets.conftest import jsonl, sums
from tests.datasets.hub_server import Hub

pytestmark = pytest.mark.django_db
GOOD, OTHER = "hf_may_read_it_0001", "hf_may_not_read_0002"
CARD = """---
license: mit
configs:
- config_name: main
  default: true
  data_files:
  - {split: train, path: main/train-*.parquet}
  - {split: test, path: main/test.parquet}
- config_name: socratic
  data_files:
  - {split: train, path: socratic/train.jsonl}
---
# Sums
"""


def parquet(found: list[dict[str, Any]], **options: Any) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(found), file, **options)
    return file.getvalue()


def sums_repo() -> dict[str, bytes | str]:
    return {
        "README.md": CARD,
        "main/train-0.parquet": parquet(sums(60)[:30]),
        "main/train-1.parquet": parquet(sums(60)[30:]),
        "main/test.parquet": parquet([{"question": f"What is {n} - 1?", "answer": str(n - 1)} for n in range(9)]),
        "socratic/train.jsonl": jsonl(*sums(7)),
    }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Iterator[Hub]:
    settings.CACHE_DIR = tmp_path / "cache"
    cache.clear()
    with Hub() as server:
        server.tokens = {GOOD, OTHER}
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        # Of whoever runs the server: no team may work with it.
        monkeypatch.setenv("HF_TOKEN", GOOD)
        yield server


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr(tasks, "run_import", rung.append)
    return rung


def done(job: Import) -> Import:
    """What the worker's child does with the job."""
    job.attempt = leases.claim(Import, job.pk, running.QUEUED, status=JobStatus.RUNNING) or 0
    imports.perform(job)
    return Import.objects.select_related("dataset", "version").get(pk=job.pk)


def version_of(job: Import) -> DatasetVersion:
    assert job.error == ""
    assert job.version
    return job.version


def problem_of(call: Callable[[], Any]) -> DatasetProblem:
    with pytest.raises(DatasetProblem) as caught:
        call()
    return caught.value


# What it holds


def test_a_dataset_is_described_with_configs_splits_sizes_and_its_commit(server: Hub, team: Team) -> None:
    files = sums_repo()
    commit = server.add("acme/sums", files, card={"license": "mit"})
    found = hub.describe(team, "acme/sums")
    assert (found["repo"], found["commit"], found["licence"]) == ("acme/sums", commit, "mit")
    assert (found["configs"], found["config"]) == (["main", "socratic"], "main")
    sizes = {split["name"]: split["bytes"] for split in found["splits"]}
    assert sizes["train"] == len(files["main/train-0.parquet"]) + len(files["main/train-1.parquet"])
    assert set(sizes) == {"train", "test"}
    assert (found["private"], found["gated"], found["offline"], found["kept"]) == (False, False, False, [])


def test_asking_again_soon_asks_the_hub_no_second_time(server: Hub, team: Team) -> None:
    server.add("acme/sums", sums_repo())
    hub.describe(team, "acme/sums")
    asked = len(server.asked)
    hub.describe(team, " https://huggingface.co/datasets/acme/sums/viewer ")
    assert len(server.asked) == asked


def test_columns_rows_and_labels_of_the_card_are_told(server: Hub, team: Team) -> None:
    card = """---
dataset_info:
  features:
  - {name: text, dtype: string}
  - name: label
    dtype: {class_label: {names: {'0': bad, '1': good}}}
  - {name: picture, dtype: image}
  splits: [{name: train, num_bytes: 9, num_examples: 2}]
configs: [{config_name: default, data_files: [{split: train, path: data.parquet}]}]
---
"""
    picture = {"bytes": b"\x89PNG", "path": None}
    told = parquet([{"text": "fine", "label": 1, "picture": picture}, {"text": "poor", "label": 0, "picture": picture}])
    server.add("acme/labels", {"README.md": card, "data.parquet": told})
    found = hub.describe(team, "acme/labels")
    assert [(c["name"], c["type"], c["left_out"]) for c in found["columns"]] == [
        ("text", "text", False),
        ("label", "label", False),
        ("picture", "image", True),
    ]
    assert found["splits"][0]["rows"] == 2
    version = version_of(done(hub.start(team, None, "acme/labels")))
    assert tables.page(version.path, 0, 2) == [{"text": "fine", "label": "good"}, {"text": "poor", "label": "bad"}]


@pytest.mark.parametrize(
    ("repo", "field", "words"),
    [
        ("not an id", "repo", "owner/name"),
        ("../../etc/passwd", "repo", "owner/name"),
        ("acme/..", "repo", "owner/name"),
        ("-acme/x", "repo", "owner/name"),
        ("a/b/c", "repo", "owner/name"),
    ],
)
def test_what_can_be_no_id_is_refused_without_asking(team: Team, repo: str, field: str, words: str) -> None:
    problem = problem_of(lambda: hub.describe(team, repo))
    assert (problem.field, words in problem.message) == (field, True)


def test_an_id_that_does_not_exist_is_said_with_what_to_do(server: Hub, team: Team) -> None:
    problem = problem_of(lambda: hub.describe(team, "acme/nothing"))
    assert problem.field == "repo"
    assert "no dataset “acme/nothing”" in problem.message
    assert "save a token under Team" in problem.message


def test_a_missing_revision_config_and_split_name_what_there_is(server: Hub, team: Team) -> None:
    server.add("acme/sums", sums_repo())
    problem = problem_of(lambda: hub.describe(team, "acme/sums", revision="v9"))
    assert (problem.field, "“v9”" in problem.message) == ("revision", True)
    problem = problem_of(lambda: hub.describe(team, "acme/sums", config="hard"))
    assert (problem.field, "main, socratic" in problem.message) == ("config", True)
    problem = problem_of(lambda: hub.start(team, None, "acme/sums", split="train+dev"))
    assert (problem.field, "train, test" in problem.message) == ("split", True)
    assert not Import.objects.exists()


def test_a_dataset_script_is_refused_and_never_fetched(server: Hub, team: Team) -> None:
    server.add("acme/program", {"program.py": "open('/tmp/ran', 'w')", "data.jsonl": jsonl(*sums(3))})
    problem = problem_of(lambda: hub.describe(team, "acme/program"))
    assert "programs from the hub never run here" in problem.message
    assert not server.requests("program.py")


def test_a_repository_without_rows_is_said(server: Hub, team: Team) -> None:
    server.add("acme/words", {"README.md": "# Nothing"})
    assert "no files with rows" in problem_of(lambda: hub.describe(team, "acme/words")).message


def test_a_card_that_names_a_file_of_this_machine_is_refused(server: Hub, team: Team, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jsonl"
    secret.write_bytes(jsonl(*sums(3)))
    card = f"---\nconfigs: [{{config_name: a, data_files: [{{split: train, path: '{secret}'}}]}}]\n---\n"
    server.add("acme/sly", {"README.md": card})
    assert "outside of it" in problem_of(lambda: hub.describe(team, "acme/sly")).message


def test_pictures_are_no_rows_of_text(server: Hub, team: Team) -> None:
    server.add("acme/pictures", {"train/0.png": b"\x89PNG", "train/1.png": b"\x89PNG"})
    assert "not rows of text" in problem_of(lambda: hub.describe(team, "acme/pictures")).message


# Tokens


def test_a_gated_dataset_says_what_to_do_without_and_with_a_token(server: Hub, team: Team) -> None:
    server.add("acme/gated", {"data.jsonl": jsonl(*sums(5))}, gated=True, readers=(GOOD,))
    problem = problem_of(lambda: hub.describe(team, "acme/gated"))
    assert f"{server.url}/datasets/acme/gated" in problem.message
    assert "accept its terms" in problem.message
    secrets.save(team, None, secrets.HUGGINGFACE, OTHER)
    assert "token may not read it" in problem_of(lambda: hub.describe(team, "acme/gated")).message
    secrets.save(team, None, secrets.HUGGINGFACE, GOOD)
    assert hub.describe(team, "acme/gated")["gated"]


def test_a_token_that_the_hub_does_not_know_is_said(server: Hub, team: Team) -> None:
    server.add("acme/sums", sums_repo())
    secrets.save(team, None, secrets.HUGGINGFACE, "hf_long_revoked_0003")
    assert "does not accept the team's token" in problem_of(lambda: hub.describe(team, "acme/sums")).message


def test_a_token_that_can_not_be_read_any_more_is_said(server: Hub, team: Team, settings: Any) -> None:
    secrets.save(team, None, secrets.HUGGINGFACE, GOOD)
    settings.SECRET_KEY = "another key"
    assert "enter it again" in problem_of(lambda: hub.describe(team, "acme/sums")).message
    assert not server.asked


def test_a_private_dataset_is_imported_with_the_teams_token_and_stays_with_the_team(
    server: Hub, team: Team, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    commit = server.add("acme/own", {"data.jsonl": jsonl(*sums(5))}, private=True, readers=(GOOD,))
    assert "it is private" in problem_of(lambda: hub.describe(team, "acme/own")).message
    secrets.save(team, None, secrets.HUGGINGFACE, GOOD)
    job = done(hub.start(team, None, "acme/own"))
    assert version_of(job).row_count == 5
    server.stop()
    others = Team.objects.create(name="Others")
    for at in ("", commit):
        problem = problem_of(partial(hub.describe, others, "acme/own", revision=at))
        assert "nothing of “acme/own” is kept" in problem.message
    assert hub.describe(team, "acme/own", revision=commit)["kept"] == ["train"]
    assert GOOD not in caplog.text
    assert GOOD not in json.dumps([job.request, job.error, job.message, job.dataset and job.dataset.source_detail])
    assert not [file for file in hub.cache_folder().rglob("*") if file.is_file() and GOOD.encode() in file.read_bytes()]


def test_without_a_token_of_the_team_none_is_sent(server: Hub, team: Team) -> None:
    server.add("acme/sums", sums_repo())
    hub.describe(team, "acme/sums")
    assert {asked.token for asked in server.asked} == {""}
    assert os.environ["HF_TOKEN"] == GOOD


def test_what_a_library_prints_about_a_failure_holds_no_token(
    server: Hub, team: Team, caplog: pytest.LogCaptureFixture
) -> None:
    secrets.save(team, None, secrets.HUGGINGFACE, GOOD)
    with pytest.raises(RuntimeError, match="KeyError") as caught:
        hub.ask(team, {"do": GOOD, "repo": "acme/sums"}, 60)
    assert GOOD not in str(caught.value) + caplog.text


def test_a_card_that_is_no_yaml_is_said(server: Hub, team: Team) -> None:
    server.add("acme/odd", {"README.md": "---\nconfigs: [{config_name: 3\n---\n", "train.jsonl": jsonl(*sums(3))})
    assert "“acme/odd” can't be read" in problem_of(lambda: hub.describe(team, "acme/odd")).message


# The first rows


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv", "list"])
def test_a_preview_fetches_far_less_than_the_file(server: Hub, team: Team, kind: str) -> None:
    long = [{"question": f"What is {n} + 1? {os.urandom(400).hex()}", "answer": str(n + 1)} for n in range(12_000)]
    made = {
        "parquet": lambda: parquet(long, use_dictionary=False, data_page_size=64 * 1024),
        "jsonl": lambda: jsonl(*long),
        "csv": lambda: ("question,answer\n" + "".join(f'"{r["question"]}",{r["answer"]}\n' for r in long)).encode(),
        "list": lambda: json.dumps(long).encode(),
    }[kind]()
    server.add("acme/long", {f"data.{'json' if kind == 'list' else kind}": made})
    shown = hub.preview(team, "acme/long", rows=3)
    assert [row["question"] for row in shown["rows"]] == [row["question"] for row in long[:3]]
    assert [str(row["answer"]) for row in shown["rows"]] == ["1", "2", "3"]
    assert server.sent < len(made) / 6


def test_a_preview_of_a_small_and_of_a_packed_file_shows_all_its_rows(server: Hub, team: Team) -> None:
    import gzip

    server.add("acme/small", {"train.jsonl.gz": gzip.compress(jsonl(*sums(3))), "test.jsonl.gz": gzip.compress(b"")})
    assert hub.preview(team, "acme/small")["rows"] == sums(3)


# Imports


def test_several_splits_are_imported_together_at_the_commit_that_was_looked_at(server: Hub, team: Team) -> None:
    commit = server.add("acme/sums", sums_repo(), card={"license": "mit"})
    job = hub.start(team, None, "acme/sums", split="train+test", mapping=public_sets.BY_KEY["gsm8k"].mapping)
    server.add("acme/sums", {**sums_repo(), "main/train-0.parquet": parquet([{"question": "New?", "answer": "yes"}])})
    job = done(job)
    version = version_of(job)
    dataset = version.dataset
    assert (dataset.name, dataset.source) == ("sums main", Source.HUB)
    assert dataset.source_detail == {
        "repo": "acme/sums",
        "config": "main",
        "split": "train+test",
        "revision": commit,
        "licence": "mit",
    }
    assert (version.row_count, job.rows, version.rejected_count) == (69, 69, 0)
    assert [column["name"] for column in version.columns] == ["question", "answer", "split"]
    assert version.split["column"] == "split"
    assert len(rows.parts(version, rows.Fields("question", "answer")).held_out) == 9
    assert tables.page(version.path, 0, 1)[0]["question"] == "What is 0 + 1?"
    assert not list(Path(version.path.parent).glob("importing-*"))


def test_a_second_import_of_the_same_commit_needs_no_hub(server: Hub, team: Team) -> None:
    commit = server.add("acme/sums", sums_repo())
    first = version_of(done(hub.start(team, None, "acme/sums")))
    server.stop()
    cache.clear()
    found = hub.describe(team, "acme/sums")
    assert (found["offline"], found["commit"], found["kept"]) == (True, commit, ["train"])
    second = version_of(done(hub.start(team, None, "acme/sums")))
    assert second.sha256 == first.sha256
    assert second.dataset.name == "sums main (2)"


def test_without_the_hub_what_was_never_fetched_says_so(server: Hub, team: Team) -> None:
    server.add("acme/sums", sums_repo())
    hub.describe(team, "acme/sums")
    server.stop()
    cache.clear()
    job = done(hub.start(team, None, "acme/sums"))
    assert (job.status, job.version, Dataset.objects.count()) == (JobStatus.FAILED, None, 0)
    assert "can't be reached" in job.error
    assert "nothing of “acme/other” is kept" in problem_of(lambda: hub.describe(team, "acme/other")).message


def test_only_the_files_that_the_first_rows_need_are_downloaded(server: Hub, team: Team) -> None:
    server.add("acme/sums", sums_repo())
    version = version_of(done(hub.start(team, None, "acme/sums", rows=12)))
    assert version.row_count == 12
    assert server.requests("train-0.parquet")
    assert not server.requests("train-1.parquet")


def test_a_config_of_another_format_is_read_with_its_own_reader(server: Hub, team: Team) -> None:
    server.add("acme/sums", sums_repo())
    version = version_of(done(hub.start(team, None, "acme/sums", "socratic")))
    assert (version.row_count, version.dataset.name) == (7, "sums socratic")


def test_files_that_disagree_about_a_column_are_read_all_the_same(server: Hub, team: Team) -> None:
    first = [{"question": "What is 1 + 1?", "answer": 2}, {"question": "What is 1 + 2?", "answer": 3}]
    second = [{"question": "Who is it?", "answer": "Ada", "hint": "a name"}]
    server.add("acme/mixed", {"train-0.jsonl": jsonl(*first), "train-1.jsonl": jsonl(*second)})
    version = version_of(done(hub.start(team, None, "acme/mixed")))
    assert version.row_count + version.rejected_count == 3
    assert [str(row["answer"]) for row in tables.page(version.path, 0, 3)] == ["2", "3", "Ada"]


def test_nested_answers_of_a_public_set_are_mapped_as_known(server: Hub, team: Team) -> None:
    squad = [
        {"context": f"In {1900 + n} it rained.", "question": f"When did it rain for time {n}?", "answers": answer}
        for n in range(20)
        if (answer := {"text": [str(1900 + n)] if n else [], "answer_start": [3] if n else []})
    ]
    server.add("acme/squad", {"train.parquet": parquet(squad)})
    known = public_sets.BY_KEY["squad-v2"].mapping
    version = version_of(done(hub.start(team, None, "acme/squad", mapping=known)))
    assert version.mapping["response"] == "answers.text[0]"
    assert version.mapping["input"] == "context"
    assert version.report["parts"]["questions"] == 19


def test_a_known_mapping_that_does_not_fit_any_more_gives_way_to_the_detected_one(server: Hub, team: Team) -> None:
    server.add("acme/sums", sums_repo())
    known = public_sets.BY_KEY["alpaca"].mapping
    version = version_of(done(hub.start(team, None, "acme/sums", mapping=known)))
    assert (version.mapping["instruction"], version.mapping["response"]) == ("question", "answer")


def test_a_broken_file_fails_with_its_name_and_stores_nothing(server: Hub, team: Team) -> None:
    server.add("acme/broken", {"train.parquet": b"PAR1 this is none PAR1"})
    job = done(hub.start(team, None, "acme/broken"))
    assert job.status == JobStatus.FAILED
    assert "train.parquet" in job.error
    assert not Dataset.objects.exists()


def test_more_than_may_be_downloaded_asks_for_a_number_of_rows(team: Team) -> None:
    described = {"splits": [{"name": "train", "bytes": HUB_BYTES + 1}]}
    assert problem_of(lambda: hub.check_amount(described, ["train"], None)).field == "rows"
    assert problem_of(lambda: hub.check_amount(described, ["train"], 0)).field == "rows"
    hub.check_amount(described, ["train"], 100)


def test_a_cancelled_import_ends_its_child_and_leaves_nothing(server: Hub, team: Team, monkeypatch: Any) -> None:
    server.add("acme/sums", sums_repo())
    job = hub.start(team, None, "acme/sums")
    job.attempt = leases.claim(Import, job.pk, running.QUEUED, status=JobStatus.RUNNING) or 0
    imports.cancel(job)
    imports.perform(job)
    assert not Dataset.objects.exists()
    assert Import.objects.get().status == JobStatus.CANCELLED


def test_the_import_is_a_job_that_rings(
    server: Hub, team: Team, django_capture_on_commit_callbacks: Any, rung: Any
) -> None:
    server.add("acme/sums", sums_repo())
    with django_capture_on_commit_callbacks(execute=True):
        job = hub.start(team, None, "acme/sums", split="test")
    assert rung == [str(job.pk)]
    assert (job.kind, job.request["split"], job.status) == (ImportKind.HUB, "test", JobStatus.QUEUED)
    assert imports.HANDLERS[ImportKind.HUB] == "datasets_app.hub.import_rows"


def test_records_of_a_team_are_not_those_of_another(tmp_path: Path) -> None:
    told = {"repo": "acme/own", "commit": "a" * 40, "config": "default"}
    hub_records.remember(tmp_path, "team-1", told, "main", "")
    assert hub_records.remembered(tmp_path, "team-1", "acme/own", "a" * 40, "") == told
    assert hub_records.remembered(tmp_path, "team-2", "acme/own", "a" * 40, "") is None
