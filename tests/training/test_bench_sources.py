"""Completions of sessions on the test bench: found by name, and with the columns of the rows that they answer."""

import io
import json
from typing import Any

import pytest
from django.urls import reverse

from datasets_app import importing
from rewards import shipped
from rewards.outside import RowMissing
from rewards.presets import create
from tests.training.factories import History, make_config, make_events, make_session
from training import bench_sources

pytestmark = pytest.mark.django_db
ASSERTS = "assert double(2) == 4\nassert double(-1) == -2"
LONG = "Write double(n). " + "It doubles. " * 200
ROWS = [
    {"question": "Write double(n).", "answer": "n * 2", "tests": ASSERTS},
    {"question": LONG, "answer": "n * 2", "tests": "assert double(3) == 6"},
    {"question": "Twice?", "answer": "yes", "tests": "assert 1"},
    {"question": "Twice?", "answer": "yes", "tests": "assert 2"},
]
TESTS = {"parts": [{"name": "tests", "function": "code_tests"}]}
READS = "def reward(completions, tests, **columns):\n    return [1.0 if each else 0.0 for each in tests]\n"
CODE = {"parts": [{"name": "mine", "function": "custom_python", "parameters": {"code": READS}}]}
GOOD = "```python\ndef double(n):\n    return 2 * n\n```"


@pytest.fixture
def version(team, owner):
    file = io.BytesIO("".join(f"{json.dumps(row)}\n" for row in ROWS).encode())
    return importing.import_jsonl(team, owner, "Functions", file)


def trained(team, version, *questions: tuple[str, str], **fields: Any):
    """A session with one group of two answers for each question."""
    section = {"instruction_field": "question", "response_field": "answer"}
    session = make_session(team, "completed", dataset_version=version, config=make_config(dataset=section), **fields)
    history = History(session)
    answers = [{"text": text, "length": 9, "parts": {}, "errors": {}, "total": 1.0} for text in (GOOD, "none")]
    groups = [
        {"question": question, "reference": reference, "completions": answers} for question, reference in questions
    ]
    history.add("rollouts", "training", 4, groups=groups)
    return history.save()


def columns_of(found):
    return [sample.columns.get("tests") for sample in found.samples]


def test_stored_answers_get_the_columns_of_the_row_that_they_answer(owner, team, version):
    session = trained(team, version, ("Write double(n).", "n * 2"))
    found = bench_sources.completions(owner, str(session.pk), None, ["tests"])
    assert columns_of(found) == [ASSERTS, ASSERTS] and found.notes == []


def test_a_question_that_was_cut_when_it_was_stored_is_found_by_its_beginning(owner, team, version):
    session = trained(team, version, (LONG[:600], "n * 2"))
    assert columns_of(bench_sources.completions(owner, str(session.pk), None, ["tests"]))[0] == "assert double(3) == 6"


def test_a_short_question_is_no_beginning_of_another_one(owner, team, version):
    session = trained(team, version, ("Write", "n * 2"))
    found = bench_sources.completions(owner, str(session.pk), None, ["tests"])
    assert columns_of(found) == [None, None] and "2 of 2 answers have no column “tests”" in found.notes[0]


def test_rows_that_differ_are_not_guessed_between(owner, team, version):
    session = trained(team, version, ("Twice?", "yes"), ("Write double(n).", "n * 2"))
    found = bench_sources.completions(owner, str(session.pk), None, ["tests"])
    assert columns_of(found) == [None, None, ASSERTS, ASSERTS]
    assert "2 of 4 answers" in found.notes[0] and "several that differ" in found.notes[0]


def test_a_column_that_the_dataset_lacks_is_named(owner, team, version):
    session = trained(team, version, ("Write double(n).", "n * 2"))
    (note,) = bench_sources.completions(owner, str(session.pk), None, ["metadata"]).notes
    assert "no column “metadata”" in note and "Functions, version 1" in note and "has none" in note


def test_a_deleted_dataset_and_a_lost_file_are_said(owner, team, version):
    gone = trained(team, None, ("Write double(n).", "n * 2"))
    assert "is deleted" in bench_sources.completions(owner, str(gone.pk), None, ["tests"]).notes[0]
    session = trained(team, version, ("Write double(n).", "n * 2"))
    version.path.unlink()
    assert "can't be read" in bench_sources.completions(owner, str(session.pk), None, ["tests"]).notes[0]


def test_a_search_that_takes_too_long_is_ended_and_said(owner, team, version, monkeypatch):
    monkeypatch.setattr(bench_sources, "SEARCH_SECONDS", -1.0)
    session = trained(team, version, ("Twice?", "yes"))
    assert "too large" in bench_sources.completions(owner, str(session.pk), None, ["tests"]).notes[0]


def test_nothing_is_searched_where_no_reward_reads_columns(owner, team, version):
    session = trained(team, version, ("Write double(n).", "n * 2"))
    version.path.unlink()
    found = bench_sources.completions(owner, str(session.pk), None, None)
    assert len(found.samples) == 2 and found.notes == []


def bench(client, preset, session, **values):
    data = {"preset": str(preset.pk), "take": "session", "session": str(session.pk), **shipped.MARKERS, **values}
    return client.post(reverse("rewards:bench"), data)


@pytest.mark.parametrize(("definition", "totals"), [(TESTS, [1.0, 0.0]), (CODE, [1.0, 1.0])])
def test_the_bench_runs_the_tests_of_the_row_on_stored_answers(owner_client, owner, team, version, definition, totals):
    preset = create(team, owner, name="Tests", definition=definition)
    page = bench(owner_client, preset, trained(team, version, ("Write double(n).", "n * 2")))
    assert [each.line.result.total for each in page.context["lines"]] == totals
    missing = bench(owner_client, preset, trained(team, version, ("Other?", "?")))
    assert "Functions, version 1" in missing.context["notes"][0]


def test_sessions_are_found_by_words_of_their_name_and_model_the_chosen_one_first(owner, outsider, team):
    model = make_config(model={"name": "local/Tiny-Llama"})
    first = make_events(make_session(team, "completed", name="Riddles", config=model), 2)
    second = make_events(make_session(team, "completed", name="Sums"), 2)
    make_session(team, "completed", name="Without answers")
    assert [each.title for each in bench_sources.sessions(owner, "", "")] == ["Sums", "Riddles"]
    assert [each.title for each in bench_sources.sessions(owner, "llama riddle", "")] == ["Riddles"]
    assert [each.title for each in bench_sources.sessions(owner, "sums", str(first.pk))] == ["Riddles", "Sums"]
    (found,) = bench_sources.sessions(owner, "riddles", "no id")
    assert "Tiny-Llama" in found.about and found.at == first.created_at
    assert bench_sources.sessions(outsider, "", str(second.pk)) == []


def test_the_steps_of_a_session_are_for_its_team_alone(owner, outsider, team):
    session = make_events(make_session(team, "completed"), 3)
    assert bench_sources.steps(owner, str(session.pk)) == [3, 2, 1]
    assert bench_sources.steps(outsider, str(session.pk)) == [] == bench_sources.steps(owner, "no id")
    with pytest.raises(RowMissing):
        bench_sources.completions(outsider, str(session.pk), None, None)


def test_the_pickers_answer_with_parts_of_the_page(owner_client, outsider_client, client, team):
    session = make_events(make_session(team, "completed", name="Sums"), 2)
    for url, query, shown in (
        ("rewards:bench-sessions", {"session_search": "sums"}, str(session.pk)),
        ("rewards:bench-steps", {"session": str(session.pk)}, '<option value="2"'),
    ):
        assert shown in owner_client.get(reverse(url), query).content.decode()
        assert shown not in outsider_client.get(reverse(url), query).content.decode()
        assert client.get(reverse(url), query).status_code == 302
        assert owner_client.post(reverse(url), query).status_code == 405


def test_without_scripts_a_session_is_found_with_a_button_and_nothing_typed_is_lost(owner_client, team):
    session = make_events(make_session(team, "completed", name="Sums"), 2)
    typed = {
        "take": "session",
        "answers": "kept text",
        "session_search": "sums",
        "find": "session",
        "ask-question": "Why?",
    }
    page = owner_client.post(reverse("rewards:bench"), {**typed, "session": str(session.pk)})
    text = page.content.decode()
    assert "kept text" in text and "Why?" in text and '<option value="2"' in text and "lines" not in page.context
