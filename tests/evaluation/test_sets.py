"""Evaluation sets: frozen, counted, and honest about who knows the answers."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse

from datasets_app import rows
from datasets_app.models import DatasetVersion
from evaluation import sets, sets_overlap
from evaluation.models import Evaluation, EvaluationSet
from evaluation.sets import SetProblem, Wanted
from jobs.choices import JobStatus
from tests.evaluation.evaluation_fixtures import *  # noqa: F403
from tests.evaluation.evaluation_fixtures import HELD_OUT, ROWS, queued
from tests.exports.fixtures import MakeSession
from training.models import Session

pytestmark = pytest.mark.django_db
COLUMNS = {"instruction_field": "question", "response_field": "answer"}


def url(name: str, *args: Any) -> str:
    return reverse(f"evaluation:{name}", args=args)


def questions(found: EvaluationSet) -> Sequence[str]:
    return list(found.rows.values_list("instruction", flat=True))


def test_the_held_out_rows_are_copied_with_their_columns(held_out: EvaluationSet, version: DatasetVersion) -> None:
    kept = rows.held_out_rows(version, sets.section_of(version), ROWS)
    assert questions(held_out) == [row.instruction for row in kept] and held_out.row_count == HELD_OUT
    first = held_out.rows.get(number=1)
    assert (first.reference, first.dataset_row) == (kept[0].reference, kept[0].row)
    assert first.columns["question"] == first.instruction
    version.dataset.delete()
    held_out.refresh_from_db()
    assert held_out.version is None and held_out.rows.count() == HELD_OUT, "it outlives its dataset"


def test_a_sample_is_the_same_for_the_same_seed(owner: User, version: DatasetVersion) -> None:
    one, again = (sets.create(owner, version, Wanted(sets.ALL, 10, 5)) for _ in range(2))
    other = sets.create(owner, version, Wanted(sets.ALL, 10, 6))
    assert questions(one) == questions(again) != questions(other)
    assert one.sha256 == again.sha256 != other.sha256 and len(set(questions(one))) == 10
    assert sets.where_from(one) == "10 at random (seed 5) of its rows, trained ones included"


def test_the_sum_changes_with_any_cell(held_out: EvaluationSet) -> None:
    frozen = list(held_out.rows.all())
    assert sets.digest(frozen) == held_out.sha256
    frozen[3].columns = {**frozen[3].columns, "more": 1}
    assert sets.digest(frozen) != held_out.sha256


@pytest.mark.parametrize(
    ("wanted", "field", "said"),
    [
        (Wanted(sample=HELD_OUT + 1), "sample", f"only {HELD_OUT} rows"),
        (Wanted(part=sets.ALL), "sample", "a set has 40 at most"),
    ],
)
def test_sizes_that_can_not_be_are_said_at_their_field(
    owner: User, version: DatasetVersion, monkeypatch: pytest.MonkeyPatch, wanted: Wanted, field: str, said: str
) -> None:
    monkeypatch.setattr(sets, "MOST_ROWS", 40)
    with pytest.raises(SetProblem) as problem:
        sets.create(owner, version, wanted)
    assert problem.value.field == field and said in str(problem.value)
    assert not EvaluationSet.objects.exists()


def test_a_version_without_named_columns_or_without_its_file_is_refused_in_words(
    owner: User, version: DatasetVersion
) -> None:
    version.path.unlink()
    with pytest.raises(SetProblem, match="gone from the disk"):
        sets.create(owner, version, Wanted())
    version.mapping = {}
    with pytest.raises(SetProblem, match="which columns"):
        sets.create(owner, version, Wanted())


def test_rows_that_a_session_trains_on_are_counted_by_their_question(
    owner: User, version: DatasetVersion, held_out: EvaluationSet, make_trained: MakeSession
) -> None:
    everything = sets.create(owner, version, Wanted(sets.ALL))
    session = make_trained(dataset_version=version)
    config = {**session.config, "dataset": {**session.config["dataset"], **COLUMNS, "max_samples": None}}
    Session.objects.filter(pk=session.pk).update(config=config)
    assert sets_overlap.trained_on(held_out, session) == 0
    assert sets_overlap.trained_on(everything, session) == ROWS - HELD_OUT
    shouted = everything.rows.get(number=1)
    everything.rows.filter(pk=shouted.pk).update(instruction=f"  {shouted.instruction.upper()} ")
    sets_overlap._counted.cache_clear()
    assert sets_overlap.trained_on(everything, session) == ROWS - HELD_OUT, (
        "case and white space make no other question"
    )
    assert sets_overlap.trained_on(everything, make_trained(dataset_version=None)) is None


def test_the_page_names_the_sessions_that_know_the_rows(
    owner_client: Client, owner: User, version: DatasetVersion, make_trained: MakeSession
) -> None:
    session = make_trained(dataset_version=version)
    config = {**session.config, "dataset": {**session.config["dataset"], **COLUMNS, "max_samples": 10}}
    Session.objects.filter(pk=session.pk).update(config=config)
    everything = sets.create(owner, version, Wanted(sets.ALL))
    page = owner_client.get(url("set_overlap", everything.pk)).content.decode()
    assert "Trains on 10 of these rows" in page and session.name in page


def test_one_that_an_evaluation_runs_on_is_not_deleted_and_else_its_evaluations_go_with_it(
    owner: User, held_out: EvaluationSet, session: Session
) -> None:
    evaluation = queued(owner, held_out, session)
    with pytest.raises(SetProblem, match=evaluation.name):
        sets.delete(held_out)
    Evaluation.objects.update(status=JobStatus.CANCELLED)
    sets.delete(held_out)
    assert not EvaluationSet.objects.exists() and not Evaluation.objects.exists()


def test_a_viewer_makes_none(viewer: User, version: DatasetVersion) -> None:
    with pytest.raises(PermissionDenied):
        sets.create(viewer, version, Wanted())


# Pages


def test_a_set_is_made_on_the_page_and_nothing_typed_is_lost_by_an_error(
    owner_client: Client, version: DatasetVersion
) -> None:
    empty = owner_client.get(url("sets")).content.decode()
    assert "No evaluation set yet" in empty
    chosen = owner_client.get(url("set_new"), {"version": version.pk}).content.decode()
    assert f'value="{version.pk}" selected' in chosen
    form = {"version": version.pk, "part": "held_out", "sample": 999, "seed": 1, "name": "Mine"}
    page = owner_client.post(url("set_new"), form).content.decode()
    assert f"only {HELD_OUT} rows" in page and 'value="Mine"' in page and 'value="999"' in page
    response = owner_client.post(url("set_new"), {**form, "sample": 9})
    made = EvaluationSet.objects.get()
    assert response.url == url("set", made.pk) and (made.name, made.row_count) == ("Mine", 9)
    assert "Mine" in owner_client.get(url("sets")).content.decode()


def test_its_rows_are_paged_and_searched(owner_client: Client, held_out: EvaluationSet) -> None:
    row = held_out.rows.get(number=3)
    page = owner_client.get(url("set", held_out.pk)).content.decode()
    assert row.instruction in page and held_out.sha256 in page
    found = owner_client.get(url("set", held_out.pk), {"q": row.instruction}, headers={"HX-Request": "true"})
    assert [each.number for each in found.context["page"]] == [3] and "<html" not in found.content.decode()
    assert "No row is like that" in owner_client.get(url("set", held_out.pk), {"q": "zzz"}).content.decode()


def test_it_is_deleted_on_its_page(
    owner_client: Client, held_out: EvaluationSet, owner: User, session: Session
) -> None:
    queued(owner, held_out, session)
    assert "still runs" in owner_client.post(url("set_delete", held_out.pk), follow=True).content.decode()
    Evaluation.objects.update(status=JobStatus.CANCELLED)
    assert "was deleted" in owner_client.post(url("set_delete", held_out.pk), follow=True).content.decode()
    assert not EvaluationSet.objects.exists()


def test_an_outsider_finds_no_set_and_a_viewer_changes_none(
    outsider_client: Client, viewer_client: Client, held_out: EvaluationSet, version: DatasetVersion
) -> None:
    for name in ("set", "set_overlap"):
        assert outsider_client.get(url(name, held_out.pk)).status_code == 404
        assert viewer_client.get(url(name, held_out.pk)).status_code == 200
    assert outsider_client.post(url("set_delete", held_out.pk)).status_code == 404
    assert viewer_client.post(url("set_delete", held_out.pk)).status_code == 403
    assert viewer_client.get(url("set_new")).status_code == 403
    assert "Sums" not in outsider_client.get(url("sets")).content.decode()
    form = {"version": version.pk, "part": "held_out", "seed": 0}
    page = outsider_client.post(url("set_new"), form).content.decode()
    assert "There is no dataset yet" in page and EvaluationSet.objects.count() == 1
    assert Client().get(url("sets")).status_code == 302
