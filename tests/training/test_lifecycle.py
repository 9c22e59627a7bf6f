import json
from datetime import timedelta

import pytest
from django.utils import timezone

from datasets_app import importing, versions
from training import lifecycle
from training.choices import ACTIVE, RUNNING, Status
from training.models import Event, Session
from training.schema import SessionConfig


def put(session, **values):
    Session.objects.filter(pk=session.pk).update(**values)
    session.refresh_from_db()
    return session


# Drafts


def test_a_draft_takes_its_name_from_its_config(team, owner):
    assert lifecycle.create_draft(team, owner, config={"name": "From the file"}).name == "From the file"
    assert lifecycle.create_draft(team, owner, "Given", {"name": "From the file"}).name == "Given"
    assert lifecycle.create_draft(team, None).name == "Untitled session"


def test_a_draft_is_saved_until_it_is_started(draft, owner):
    assert lifecycle.save_draft(draft, {"model": {}}, name="Renamed")
    assert (draft.name, draft.config) == ("Renamed", {"model": {}})
    put(draft, status="queued")
    assert not lifecycle.save_draft(draft, {})
    draft.refresh_from_db()
    assert draft.config == {"model": {}}


# Starting


def test_starting_freezes_config_reward_and_data(draft, owner, dataset):
    assert lifecycle.start(draft, owner)
    assert draft.status == Status.QUEUED and draft.queued_at
    assert draft.dataset_version == dataset.latest
    assert draft.reward["parts"][0]["function"] == "contains"
    assert SessionConfig.model_validate(draft.config).training.max_steps == 6
    assert json.loads((draft.folder / "config.json").read_text()) == draft.config
    assert json.loads((draft.folder / "reward.json").read_text()) == draft.reward


def test_starting_keeps_a_fingerprint_of_the_data_that_outlives_it(queued, dataset):
    version = dataset.latest
    assert queued.dataset_fingerprint == version.fingerprint
    assert queued.dataset_fingerprint["sha256"] == version.sha256
    assert queued.dataset_fingerprint["mapping"]["instruction"] == "question"
    put(queued, status="stopped")
    importing.delete(dataset, confirmed=True)
    queued.refresh_from_db()
    assert queued.dataset_version is None
    assert queued.dataset_fingerprint == version.fingerprint


def test_a_session_whose_version_was_deleted_can_not_go_on_with_another(queued, owner, dataset):
    versions.remap(dataset.latest, owner)
    put(queued, status="stopped")
    importing.delete_version(queued.dataset_version, confirmed=True)
    queued.refresh_from_db()
    with pytest.raises(lifecycle.NotReady, match="v1, which it was trained on, was deleted, so it can't go on"):
        lifecycle.resume(queued, owner)


def test_a_named_version_is_trained_on_and_not_the_newest(draft, owner, dataset):
    first = dataset.latest
    versions.remap(first, owner)
    lifecycle.save_draft(draft, {**draft.config, "dataset": {"source": f"{dataset.name}@1"}})
    assert lifecycle.start(draft, owner)
    assert draft.dataset_version == first


def test_a_split_that_is_not_there_is_refused_with_the_reason(draft, owner, dataset):
    lifecycle.save_draft(draft, {**draft.config, "dataset": {"source": str(dataset.pk), "split": "validation"}})
    with pytest.raises(lifecycle.NotReady) as caught:
        lifecycle.start(draft, owner)
    assert "no part “validation” to train on" in caught.value.by_field()["dataset.split"][0]


def test_columns_that_a_config_does_not_name_are_those_of_the_dataset(queued):
    assert queued.config["dataset"]["instruction_field"] == "question"
    assert queued.config["dataset"]["response_field"] == "answer"


def test_a_double_start_is_one_start(draft, owner):
    twin = Session.objects.get(pk=draft.pk)
    assert lifecycle.start(draft, owner)
    assert not lifecycle.start(twin, owner)
    assert not lifecycle.start(draft, owner)


def test_the_bell_rings_after_the_commit(draft, owner, monkeypatch, django_capture_on_commit_callbacks):
    rung = []
    monkeypatch.setattr(lifecycle, "ring", rung.append)
    with django_capture_on_commit_callbacks() as callbacks:
        lifecycle.start(draft, owner)
    assert rung == []
    callbacks[0]()
    assert rung == [draft.pk]


def test_a_broken_bell_does_not_matter(draft, owner, monkeypatch, django_capture_on_commit_callbacks):
    def broken(session_id):
        raise ConnectionError("no queue")

    monkeypatch.setattr(lifecycle, "ring", broken)
    with django_capture_on_commit_callbacks(execute=True):
        assert lifecycle.start(draft, owner)
    assert lifecycle.waiting() == [draft.pk]


def problems_of(session, owner):
    with pytest.raises(lifecycle.NotReady) as caught:
        lifecycle.start(session, owner)
    session.refresh_from_db()
    assert session.status == Status.DRAFT
    return caught.value.by_field()


@pytest.mark.parametrize(
    ("section", "values", "field", "words"),
    [
        ("training", {"max_steps": 0}, "training.max_steps", "Write 1 or more"),
        ("training", {"learning_rate": "fast"}, "training.learning_rate", "number"),
        ("training", {"gradient_accumulation_steps": 3}, "training.batch_size", "multiple of the answers per question"),
        ("training", {"unknown_key": 1}, "training.unknown_key", "no such setting"),
        ("model", {"name": "local/missing"}, "model.name", "no folder"),
        ("model", {"name": "not a model"}, "model.name", "neither a hub id"),
        ("model", {"name": "nobody/unknown"}, "model.name", "not on this machine"),
        ("dataset", {"source": ""}, "dataset.source", "Choose a dataset"),
        ("dataset", {"source": "no such set"}, "dataset.source", "no such set"),
        ("dataset", {"instruction_field": "prompt"}, "dataset.instruction_field", "no column 'prompt'"),
        ("dataset", {"response_field": "reply"}, "dataset.response_field", "question, answer"),
        ("reward", {"type": "preset", "preset_name": "nope"}, "reward.preset_name", "nope"),
        ("reward", {"parts": [{"name": "x", "function": "gone"}]}, "reward.parts", "gone"),
    ],
)
def test_what_is_wrong_is_said_on_its_field_before_the_queue(draft, owner, section, values, field, words):
    draft.config[section] = {**draft.config[section], **values}
    lifecycle.save_draft(draft, draft.config)
    found = problems_of(draft, owner)
    assert words in " ".join(found[field])


def test_everything_that_is_wrong_is_said_at_once(draft, owner):
    config = {**draft.config, "model": {"name": "local/missing"}, "dataset": {"source": ""}}
    lifecycle.save_draft(draft, config | {"training": {"gradient_accumulation_steps": 3}})
    assert set(problems_of(draft, owner)) == {"model.name", "dataset.source", "training.batch_size"}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"accepted": False, "rejected_count": 3}, "rejected"), ({"row_count": 0}, "no rows"), ({"file": "x"}, "gone")],
)
def test_a_dataset_that_cannot_be_used_is_refused(draft, owner, dataset, change, words):
    dataset.versions.update(**change)
    assert words in " ".join(problems_of(draft, owner)["dataset.source"])


def test_a_dataset_of_another_team_does_not_exist(draft, owner, outsider, dataset):
    dataset.team = outsider.teams.get()
    dataset.save()
    assert "dataset.source" in problems_of(draft, owner)


# Stopping, cancelling, resuming


@pytest.mark.parametrize("status", RUNNING)
def test_a_running_session_is_asked_to_stop_once(queued, owner, status):
    put(queued, status=status)
    assert lifecycle.request_stop(queued, owner)
    assert queued.stop_requested_at and queued.status == status
    assert not lifecycle.request_stop(queued, owner)


def test_a_session_that_waits_is_stopped_at_once(queued, owner):
    assert lifecycle.request_stop(queued, owner)
    assert queued.status == Status.CANCELLED and queued.finished_at


def test_a_session_that_waits_for_its_next_attempt_stays_resumable(queued, owner):
    put(queued, attempt=1)
    assert lifecycle.request_stop(queued, owner)
    assert queued.status == Status.STOPPED


@pytest.mark.parametrize("status", ["draft", "completed", "stopped", "failed", "cancelled"])
def test_what_does_not_run_cannot_be_stopped(queued, owner, status):
    assert not lifecycle.request_stop(put(queued, status=status), owner)
    assert queued.status == status


def test_only_a_waiting_session_is_cancelled(queued, owner):
    assert lifecycle.cancel(queued, owner)
    assert queued.status == Status.CANCELLED
    assert not lifecycle.cancel(queued, owner)
    assert not lifecycle.cancel(put(queued, status="training"), owner)


@pytest.mark.parametrize("status", ["stopped", "failed"])
def test_a_session_goes_on_with_a_clean_slate(queued, owner, status):
    put(queued, status=status, attempt=3, error="broken", stop_requested_at=timezone.now(), finished_at=timezone.now())
    assert lifecycle.start(queued, owner)
    assert (queued.status, queued.error, queued.stop_requested_at, queued.finished_at) == ("queued", "", None, None)
    assert queued.attempts_before == 3


@pytest.mark.parametrize("status", ["completed", "cancelled", "training", "queued"])
def test_what_is_over_or_active_is_not_resumed(queued, owner, status):
    assert not lifecycle.resume(put(queued, status=status), owner)


def test_a_session_without_its_model_is_not_resumed(queued, owner):
    config = {**queued.config, "model": {**queued.config["model"], "name": "local/missing"}}
    put(queued, status="stopped", config=config)
    with pytest.raises(lifecycle.NotReady):
        lifecycle.resume(queued, owner)


# Deleting and cloning


@pytest.mark.parametrize("status", ACTIVE)
def test_an_active_session_is_not_deleted(queued, owner, status):
    assert not lifecycle.delete(put(queued, status=status), owner)
    assert queued.folder.exists()


def test_deleting_removes_row_events_and_files(queued, owner, django_capture_on_commit_callbacks):
    put(queued, status="completed")
    Event.objects.create(session=queued, seq=1, attempt=1, kind="log", created_at=timezone.now())
    with django_capture_on_commit_callbacks(execute=True):
        assert lifecycle.delete(queued, owner)
    assert not Session.objects.exists() and not Event.objects.exists()
    assert not queued.folder.exists()


def test_a_clone_is_a_draft_with_the_same_config(queued, owner):
    copy = lifecycle.clone(queued, owner)
    assert (copy.status, copy.config, copy.name) == ("draft", queued.config, "Sums (copy)")
    assert lifecycle.start(copy, owner)


# Reaping


@pytest.fixture
def abandoned(queued):
    lifecycle.claim(queued.pk)
    return put(queued, worker="elsewhere:1/2/3", lease_until=timezone.now() - timedelta(seconds=1))


def test_a_session_without_worker_waits_again(abandoned):
    assert lifecycle.reap() == [abandoned.pk]
    abandoned.refresh_from_db()
    assert (abandoned.status, abandoned.worker, abandoned.lease_until) == ("queued", "", None)
    assert lifecycle.reap() == []


def test_a_session_that_was_to_stop_is_stopped_by_the_reaper(abandoned):
    put(abandoned, stop_requested_at=timezone.now())
    lifecycle.reap()
    abandoned.refresh_from_db()
    assert abandoned.status == "stopped" and abandoned.finished_at


def test_a_session_that_gets_no_further_is_given_up_by_the_reaper(abandoned):
    put(abandoned, attempt=3)
    lifecycle.reap()
    abandoned.refresh_from_db()
    assert abandoned.status == "failed"
    assert "stopped answering" in abandoned.error and "3 attempts" in abandoned.error


def test_a_session_with_a_living_worker_is_left_alone(queued):
    lifecycle.claim(queued.pk)
    put(queued, worker="elsewhere:1/2/3")
    assert lifecycle.reap() == []


def test_a_worker_that_renewed_in_the_meantime_keeps_its_session(abandoned):
    seen = Session.objects.get(pk=abandoned.pk)
    put(abandoned, attempt=2, worker="elsewhere:2/2/3")
    assert not lifecycle.take_back(seen, "gone")


def test_an_operator_takes_a_session_from_its_worker(queued, owner):
    lifecycle.claim(queued.pk)
    queued.refresh_from_db()
    assert lifecycle.requeue(queued, owner)
    queued.refresh_from_db()
    assert (queued.status, queued.worker) == ("queued", "")
    assert not lifecycle.requeue(queued, owner)


def metric(session, seq, attempt, phase, step):
    Event.objects.create(
        session=session, seq=seq, attempt=attempt, phase=phase, step=step, kind="metrics", created_at=timezone.now()
    )


def test_only_attempts_that_got_no_further_are_counted(queued):
    put(queued, attempt=4)
    assert lifecycle.fruitless_attempts(queued) == 4
    metric(queued, 1, 1, "pretraining", 90)
    metric(queued, 2, 2, "training", 7)
    metric(queued, 3, 3, "training", 7)
    assert lifecycle.fruitless_attempts(queued) == 2
    metric(queued, 4, 4, "training", 8)
    assert lifecycle.fruitless_attempts(queued) == 0
