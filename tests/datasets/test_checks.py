"""The validation report: every number in it is counted here by hand (issue: datasets a team can trust, point 3)."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Team
from datasets_app import chat_rendering, checking, checks, findings, importing, mapping, splits
from datasets_app.chat_rendering import Chat
from datasets_app.models import Check, DatasetVersion
from jobs import running
from jobs.choices import JobStatus
from tests.datasets.checking import checked, claimed
from tests.datasets.conftest import Importer, jsonl, sums


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, settings: Any) -> None:
    settings.CACHE_DIR = tmp_path / "cache"


@pytest.fixture(autouse=True)
def no_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(chat_rendering._source, "chat_of", lambda name: Chat())
    monkeypatch.setitem(chat_rendering._source, "offered", lambda: [("tiny/model", "Tiny")])


@pytest.fixture
def tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One token a word, on this machine."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path / "model"
    folder.mkdir()
    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text("{}")
    monkeypatch.setitem(chat_rendering._source, "chat_of", lambda name: Chat(folder=folder))
    return folder


def report(version: DatasetVersion, **asked: Any) -> dict[str, Any]:
    check = checked(version, **asked)
    assert check.status == JobStatus.READY, check.error
    found: dict[str, Any] = check.report
    return found


def column(found: dict[str, Any], name: str) -> dict[str, Any]:
    one: dict[str, Any] = next(column for column in found["columns"] if column["name"] == name)
    return one


def titles(version: DatasetVersion, found: dict[str, Any]) -> list[str]:
    return [finding["title"] for finding in findings.of(version, found)]


# What is counted


def test_rows_kept_and_rejected_are_those_of_the_file_by_reason(imported: Importer) -> None:
    version = imported(raw=jsonl(*sums(30)) + b"broken\n" * 120 + b"[1]\n" * 3)
    found = report(version)
    assert (found["rows"], found["rejected"]["count"]) == (30, 123)
    reasons = dict(found["rejected"]["reasons"])
    assert sum(reasons.values()) == 123, "all of them, not only those that the page shows"
    assert sorted(reasons.values()) == [3, 120]


def test_empty_cells_are_counted_in_every_column(imported: Importer) -> None:
    version = imported(*({"question": f"q{n}", "answer": "a", "hint": ["x", "", "  ", None][n % 4]} for n in range(40)))
    found = report(version)
    assert column(found, "hint")["blank"] == 30
    assert column(found, "question")["blank"] == 0


def test_cells_that_are_too_long_are_counted(imported: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "LONG_CELL", 100)
    version = imported(*({"question": "q" * (100 + n), "answer": "a"} for n in range(3)))
    assert column(report(version), "question")["over_long"] == 2


def test_lengths_are_exact(imported: Importer) -> None:
    version = imported(*({"question": "é" * n, "answer": "a"} for n in range(1, 101)))
    lengths = column(report(version), "question")["lengths"]
    assert (lengths["count"], lengths["mean"], lengths["max"]) == (100, 50.5, 100)
    assert (lengths["p50"], lengths["p90"], lengths["p99"]) == (50, 90, 99)
    assert sum(rows for _, _, rows in lengths["bins"]) == 100


@pytest.mark.parametrize(
    ("cells", "mixed"),
    [
        (["12"] * 19 + ["twelve"], {"numbers": 19, "words": 1}),
        (["one"] * 19 + ["2"], {"numbers": 1, "words": 19}),
        (["one"] * 10 + ["2"] * 10, None),
        (["one", ""] * 10, None),
    ],
)
def test_a_column_in_which_a_few_cells_are_of_another_type_is_noticed(
    imported: Importer, cells: list[str], mixed: Any
) -> None:
    version = imported(*({"question": f"q{n}", "answer": cell} for n, cell in enumerate(cells)))
    assert column(report(version), "answer")["mixed"] == mixed


def test_numbers_have_a_range_and_a_histogram_and_short_columns_their_values(imported: Importer) -> None:
    version = imported(
        *({"question": f"q{n}", "answer": "a", "n": n, "x": n / 2, "kind": "ab"[n % 2]} for n in range(50))
    )
    found = report(version)
    values = column(found, "n")["values"]
    assert (values["min"], values["max"], values["mean"]) == (0, 49, 24.5)
    assert sum(rows for _, _, rows in values["bins"]) == 50
    assert column(found, "x")["values"]["max"] == 24.5
    assert column(found, "kind")["top"] == [["a", 25], ["b", 25]]
    assert column(found, "kind")["distinct"] == 2


def test_repeated_rows_and_questions_and_other_answers_are_told_apart(imported: Importer) -> None:
    version = imported(
        {"question": "What is it?", "answer": "1"},
        {"question": "What is it?", "answer": "1"},
        {"question": "WHAT  is it? ", "answer": "1"},
        {"question": "what is it?", "answer": "2"},
        *sums(10),
    )
    found = report(version)
    assert found["duplicate_rows"] == {"count": 1, "examples": [[2, 1]]}
    assert found["duplicate_questions"] == {"count": 3, "examples": [[2, 1], [3, 1], [4, 1]]}
    assert found["contradictions"] == {"count": 1, "examples": [[4, 1]]}


def test_questions_that_the_source_puts_into_two_parts_are_found(imported: Importer) -> None:
    def row(question: str, part: str) -> dict[str, str]:
        return {"question": question, "answer": "a", "split": part}

    version = imported(*(row(f"q{n}", "train") for n in range(10)), row("Q3", "test"), row("q4", "validation"))
    if version.split.get("column") != "split":
        splits.set_source_split(version, "split", {"train": "train", "test": "test", "validation": "validation"})
    assert report(version)["shared"] == {"count": 2, "examples": [[4, 11], [5, 12]]}


def test_parts_by_seed_share_no_question(imported: Importer) -> None:
    assert report(imported(*sums(30), *sums(30)))["shared"]["count"] == 0


LONG = (
    "On Friday she sold {} rolls to people from the town and then half as many on Saturday, so how many rolls in all?"
)


def test_near_copies_of_held_out_questions_are_shown_side_by_side(imported: Importer) -> None:
    other = "Something else that has nothing in common with any of the others at all"
    train, test = [LONG.format(48), other, "Too short"], [LONG.format(72).upper(), "Too short?"]
    version = imported(
        *({"question": question, "answer": "1", "split": "train"} for question in train),
        *({"question": question, "answer": "1", "split": "test"} for question in test),
    )
    overlap = report(version)["overlap"]
    assert (overlap["count"], overlap["train"], overlap["compared"]) == (1, 2, 2)
    (pair,) = overlap["pairs"]
    # 24 words make 17 runs of 8; the number, the fifth word, is in 5 of them.
    assert pair["score"] == round(12 / 17, 3)
    assert (pair["train"], pair["held_out"]) == (1, 4)
    assert pair["held_out_text"] == LONG.format(72).upper()


def test_how_all_questions_begin_is_no_overlap(imported: Importer) -> None:
    begin = "Solve the following problem and give only the final answer as a whole number please:"
    rows = [{"question": f"{begin} {n}", "answer": "1", "split": "test" if n % 2 else "train"} for n in range(60)]
    assert report(imported(*rows))["overlap"]["count"] == 0


# Lengths


def test_tokens_are_counted_with_the_model_s_own_tokenizer(imported: Importer, tokenizer: Path) -> None:
    version = imported(*({"question": "word " * n, "answer": "a b"} for n in range(1, 101)))
    found = report(version, model="tiny/model", system_prompt="be brief please", max_tokens=60)["tokens"]
    assert (found["unit"], found["model"], found["measured"], found["every"]) == ("tokens", "tiny/model", 100, 1)
    assert found["overhead"] >= 3
    prompt = found["prompt"]
    assert prompt["max"] == 100 + found["overhead"]
    assert prompt["p90"] == 90 + found["overhead"]
    assert prompt["p99"] == 99 + found["overhead"]
    assert found["answer"]["mean"] == 2
    assert found["over"]["prompt"] == 100 - (60 - found["overhead"])
    assert found["over"]["both"] == found["over"]["prompt"] + 2


def test_without_a_tokenizer_lengths_are_in_characters_and_it_says_so(imported: Importer) -> None:
    version = imported(*sums(20))
    found = report(version, system_prompt="abc")
    assert (found["tokens"]["unit"], found["tokens"]["limit"]) == ("characters", None)
    assert found["tokens"]["prompt"]["max"] == len("What is 10 + 1?") + 3
    assert "Lengths are in characters" in titles(version, found)


def test_of_very_many_rows_every_nth_is_measured(imported: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "MEASURED_ROWS", 10)
    tokens = report(imported(*sums(35)))["tokens"]
    assert (tokens["every"], tokens["measured"]) == (4, 9)


# Findings


def test_a_clean_version_has_no_finding(imported: Importer, tokenizer: Path) -> None:
    version = imported(*sums(40))
    assert titles(version, report(version)) == []


def test_findings_come_worst_first_and_say_what_to_do(
    imported: Importer, owner_client: Client, tokenizer: Path
) -> None:
    lost = [{"question": f"lost {n}?", "answer": ""} for n in range(30)]
    version = imported(*sums(20), *lost, *sums(2), {"question": "", "answer": "5"})
    found = findings.of(version, report(version))
    severities = [finding["severity"] for finding in found]
    assert severities == sorted(severities, key=findings.SEVERITIES.index)
    assert found[0]["title"] == "30 rows have no answer"
    assert found[0]["severity"] == "error"
    assert "1 row has no question" in [finding["title"] for finding in found]
    page = owner_client.get(reverse("datasets:detail", args=[version.dataset_id]), {"tab": "validation"})
    assert f'href="?tab=versions&amp;empty=on&amp;version={version.number}#filter-form"' in page.content.decode()
    link = owner_client.get(
        reverse("datasets:detail", args=[version.dataset_id]), {"tab": "versions", "empty": "on", "version": "1"}
    )
    assert 'name="empty" checked' in link.content.decode()


def test_what_was_decided_since_is_no_finding_any_more(imported: Importer) -> None:
    version = imported(raw=jsonl(*sums(20)) + b"broken\n")
    found = report(version)
    assert findings.of(version, found)[0]["severity"] == "error"
    importing.accept(version)
    assert {finding["severity"] for finding in findings.of(version, found)} == {"note"}


def test_without_columns_chosen_the_cells_are_checked_all_the_same(imported: Importer) -> None:
    version = imported(*sums(20))
    version.mapping = {}
    version.save()
    found = report(version)
    assert "tokens" not in found
    assert len(found["columns"]) == 2
    assert "Question and answer are not chosen" in titles(version, found)


# The job


def test_every_new_version_is_checked_by_itself(
    imported: Importer, django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[Check] = []
    monkeypatch.setattr(checks, "ring", rung.append)
    with django_capture_on_commit_callbacks(execute=True):
        version = imported(*sums(5))
    assert [check.version for check in rung] == [version]
    assert rung[0].request["model"] == "tiny/model"
    assert "provide your working out" in rung[0].request["system_prompt"]


def test_the_same_question_is_answered_once_and_another_anew(version: DatasetVersion) -> None:
    first = checks.start(version, None)
    assert checks.start(version, None) == first
    assert checks.start(version, None, max_tokens=99) != first
    checks.cancel(first)
    assert checks.start(version, None) != first
    mapping.map_columns(version, "answer", "question", "last_number")
    assert checks.start(version, None) not in version.checks.exclude(status="queued")
    assert version.checks.count() == 4


def test_a_report_under_another_mapping_is_shown_as_outdated(owner_client: Client, version: DatasetVersion) -> None:
    checked(version)
    address = reverse("datasets:detail", args=[version.dataset_id])
    assert "no longer hold" not in owner_client.get(address, {"tab": "validation"}).content.decode()
    mapping.map_columns(version, "answer", "question", "last_number")
    assert "may no longer hold" in owner_client.get(address, {"tab": "validation"}).content.decode()
    owner_client.post(reverse("datasets:recheck", args=[version.dataset_id]))
    assert version.checks.first().status == JobStatus.QUEUED
    assert checks.is_current(version.checks.first(), version)


def test_a_cancelled_check_stops_and_writes_nothing(version: DatasetVersion) -> None:
    check = claimed(version)
    checks.cancel(check)
    checking.perform(check)
    check.refresh_from_db()
    assert (check.status, check.report) == (JobStatus.CANCELLED, {})


def test_progress_is_written_and_a_lost_check_ends_at_once(
    version: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = claimed(version)
    tell = running.reporter(check)
    tell(0.4, "Looking")
    check.refresh_from_db()
    assert (check.progress, check.message) == (0.4, "Looking")
    monkeypatch.setattr(running, "REPORT_SECONDS", 0)
    checks.cancel(check)
    with pytest.raises(running.Lost):
        tell(0.5, "Looking")


def test_rows_that_are_gone_are_explained(version: DatasetVersion) -> None:
    version.path.unlink()
    assert "gone from the disk" in checked(version).error


def test_the_worker_looks_after_checks() -> None:
    assert running.KINDS["check_dataset"].model is Check


def test_the_command_makes_the_report(version: DatasetVersion) -> None:
    from django.core.management import call_command

    check = claimed(version)
    call_command("check_dataset", str(check.pk), "1")
    check.refresh_from_db()
    assert check.status == JobStatus.READY


def test_a_report_can_be_stored_as_json(imported: Importer) -> None:
    version = imported(*({"question": f"q{n}", "answer": "a", "x": 1e308, "n": 2**52} for n in range(5)))
    json.dumps(report(version), allow_nan=False)


# The pages


def tab(client: Client, version: DatasetVersion, name: str = "validation") -> str:
    page = client.get(reverse("datasets:detail", args=[version.dataset_id]), {"tab": name})
    assert page.status_code == 200
    return " ".join(page.content.decode().split())


def test_a_version_that_was_not_checked_offers_it(
    owner_client: Client, viewer_client: Client, version: DatasetVersion
) -> None:
    for name in ("validation", "statistics"):
        assert "Check this version" in tab(owner_client, version, name)
        assert "Check this version" not in tab(viewer_client, version, name)
        assert "A member of the team can start it" in tab(viewer_client, version, name)


def test_a_check_is_started_from_the_form_and_its_progress_is_shown(
    teammate_client: Client, version: DatasetVersion
) -> None:
    form = {"model": "tiny/model", "system_prompt": "Hi", "max_tokens": "128"}
    teammate_client.post(reverse("datasets:check", args=[version.dataset_id]), form)
    check = Check.objects.get()
    assert check.request == {"model": "tiny/model", "system_prompt": "Hi", "max_tokens": 128}
    assert check.created_by is not None
    assert "Waiting for a worker" in tab(teammate_client, version)
    address = reverse("datasets:check-progress", args=[version.dataset_id])
    assert "Cancel" in teammate_client.get(address).content.decode()
    Check.objects.update(status=JobStatus.READY, report=report(version, **check.request))
    assert teammate_client.get(address)["HX-Refresh"] == "true"


@pytest.mark.parametrize("wrong", [{"max_tokens": "3"}, {"max_tokens": ""}, {"model": "none/such"}])
def test_a_wrong_form_is_explained(owner_client: Client, version: DatasetVersion, wrong: dict[str, str]) -> None:
    form = {"model": "tiny/model", "system_prompt": "", "max_tokens": "128", **wrong}
    response = owner_client.post(reverse("datasets:check", args=[version.dataset_id]), form)
    assert response.status_code == 400
    assert b"field-error" in response.content
    assert not Check.objects.exists()


def test_a_failed_check_says_why_and_can_be_tried_again(owner_client: Client, version: DatasetVersion) -> None:
    Check.objects.create(
        team=version.dataset.team, version=version, status=JobStatus.FAILED, error="The disk burns.", key="k"
    )
    page = tab(owner_client, version)
    assert "The disk burns." in page
    assert "Try again" in page


def test_pages_of_a_checked_version_show_it_and_clean_ones_say_so(
    owner_client: Client, imported: Importer, tokenizer: Path
) -> None:
    clean = imported(*sums(40))
    checked(clean)
    assert "Nothing to put right" in tab(owner_client, clean)
    statistics = tab(owner_client, clean, "statistics")
    assert statistics.count("<svg") >= 5
    assert "Length in characters" in statistics
    assert "<summary" in statistics, "a table behind every chart"
    assert " style=" not in statistics


def test_no_page_reads_the_rows_for_its_statistics(
    owner_client: Client, version: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked(version)
    version.path.unlink()
    for name in ("validation", "statistics"):
        tab(owner_client, version, name)


def test_an_outsider_s_check_is_of_the_team_of_the_dataset(version: DatasetVersion, team: Team) -> None:
    assert checks.start(version, None).team == team
