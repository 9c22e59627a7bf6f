"""Real trainer processes with a quick engine: how each ending of the process ends the session."""

import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs import children, leases
from tests.training.conftest import recorded, status_of, trainer_pid, wait_for
from tests.training.fake_engine import reward_at
from training import lifecycle, supervisor
from training.models import Event, Session
from training.schema import SessionConfig

STEPS = [(step, reward_at(step)) for step in range(1, 7)]


@pytest.fixture
def supervise(child_processes):
    def run(session):
        assert supervisor.supervise(session.pk)
        session.refresh_from_db()
        return session

    return run


def in_background(session):
    thread = threading.Thread(target=supervisor.supervise, args=(session.pk,), daemon=True)
    thread.start()
    return thread


def test_a_session_runs_to_its_end(supervise, queued):
    session = supervise(queued)
    assert (session.status, session.error, session.worker, session.attempt) == ("completed", "", "", 1)
    assert recorded(session) == STEPS
    assert session.step == session.total_steps == 6
    assert session.last_reward == reward_at(6)
    assert session.mode == "No GPU detected - running in CPU mode"
    assert session.finished_at and session.lease_until is None
    events = list(Event.objects.filter(session=session))
    assert [event.seq for event in events] == list(range(1, session.last_seq + 1))
    assert events[0].data["label"] == "Starting"
    assert events[-1].data["status"] == "completed"
    assert {"system", "metrics", "checkpoint", "phase"} <= {event.kind for event in events}
    # The engine's loss is NaN, which JSON lacks.
    assert {event.data["loss"] for event in events if event.kind == "metrics" and event.phase == "training"} == {None}


def test_a_session_that_is_not_queued_is_left_alone(child_processes, draft):
    assert not supervisor.supervise(draft.pk)


def test_an_error_of_the_engine_fails_the_session_with_message_and_hint(supervise, queued, monkeypatch):
    monkeypatch.setenv("FAKE_MODE", "engine error")
    session = supervise(queued)
    assert (session.status, session.error) == ("failed", "No rows fit. Use shorter rows.")
    error = Event.objects.get(session=session, kind="error")
    assert error.data == {"message": "No rows fit.", "hint": "Use shorter rows.", "trace": None}


def test_an_unknown_error_leaves_a_traceback_under_the_number_that_the_event_names(supervise, queued, monkeypatch):
    monkeypatch.setenv("FAKE_MODE", "bug")
    session = supervise(queued)
    assert session.status == "failed"
    trace = Event.objects.get(session=session, kind="error").data["trace"]
    log = (session.folder / "logs" / "trainer.log").read_text()
    assert trace in session.error
    assert trace in log and "a fault of the program" in log
    assert "a fault of the program" not in session.error


def test_a_full_disk_pauses_the_session_until_there_is_space_again(supervise, queued, monkeypatch, settings):
    monkeypatch.setenv("FAKE_MODE", "disk full")
    session = supervise(queued)
    assert (session.status, session.phase) == ("queued", "Paused: the disk is full")
    assert "Free some space" in session.error and "by itself" in session.error
    assert (session.folder / "checkpoints" / "2").read_text() == "whole"
    assert recorded(session) == STEPS[:2]

    monkeypatch.setenv("FAKE_MODE", "")
    settings.MIN_FREE_BYTES = 2**62
    assert lifecycle.waiting() == [] and not supervisor.supervise(session.pk)
    settings.MIN_FREE_BYTES = 1
    assert lifecycle.waiting() == [session.pk]
    assert supervise(session).status == "completed"
    assert recorded(session) == STEPS


def test_a_disk_that_is_always_full_fails_the_session_in_the_end(supervise, queued, monkeypatch, settings):
    settings.MIN_FREE_BYTES = 1
    monkeypatch.setenv("FAKE_MODE", "disk full")
    for _ in range(3):
        session = supervise(queued)
    assert supervise(queued).status == "failed"
    assert "disk is full" in session.error


def test_a_trainer_that_dies_is_started_again_from_its_checkpoint(supervise, queued, monkeypatch):
    monkeypatch.setenv("FAKE_MODE", "killed at 3")
    session = supervise(queued)
    assert (session.status, session.attempt) == ("queued", 1)
    monkeypatch.setenv("FAKE_MODE", "")
    session = supervise(session)
    assert (session.status, session.attempt, session.error) == ("completed", 2, "")
    assert recorded(session) == STEPS
    error = Event.objects.get(session=session, kind="error")
    assert "signal 9" in error.data["message"] and "memory" in error.data["message"]


def test_a_session_that_gets_no_further_is_given_up(supervise, queued, monkeypatch):
    monkeypatch.setenv("FAKE_MODE", "dies at once")
    for attempt in (1, 2):
        assert (supervise(queued).status, queued.attempt) == ("queued", attempt)
    session = supervise(queued)
    assert session.status == "failed"
    assert "memory" in session.error and "3 attempts" in session.error


def test_a_person_who_resumes_a_session_gives_it_all_attempts_again(supervise, queued, monkeypatch, owner):
    monkeypatch.setenv("FAKE_MODE", "dies at once")
    for _ in range(3):
        supervise(queued)
    assert lifecycle.resume(queued, owner)
    assert supervise(queued).status == "queued"


@pytest.fixture
def quick_watchdog(settings, monkeypatch):
    settings.STALL_SECONDS = dict.fromkeys(settings.STALL_SECONDS, 2) | {"loading": 60}
    monkeypatch.setattr(supervisor, "STACK_SECONDS", 0.5)


def test_a_trainer_that_is_stuck_is_ended_with_its_stacks_in_the_log_and_goes_on(
    quick_watchdog, supervise, queued, monkeypatch
):
    monkeypatch.setenv("FAKE_MODE", "stuck once")
    session = supervise(queued)
    assert (session.status, session.attempt) == ("queued", 1)
    assert "stuck while training" in session.error
    error = Event.objects.get(session=session, kind="error")
    assert error.data["stalled"]["doing"] == "training" and error.data["stalled"]["seconds"] >= 2
    shown = Event.objects.get(session=session, kind="log", data__level="error").data["message"]
    assert "stay_here_for_ever" in shown and "Current thread" in shown
    assert "stay_here_for_ever" in (session.folder / "logs" / "trainer.log").read_text()
    assert supervise(session).status == "completed"
    assert recorded(session) == STEPS


def test_a_trainer_that_is_stuck_each_time_fails_and_says_where(quick_watchdog, supervise, queued, monkeypatch):
    monkeypatch.setenv("FAKE_MODE", "stuck")
    for _ in range(3):
        supervise(queued)
    session = supervise(queued)
    assert session.status == "failed"
    assert "stuck while training" in session.error and "3 attempts" in session.error


def test_a_frozen_trainer_is_ended_though_it_can_show_nothing(quick_watchdog, child_processes, queued, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    thread = in_background(queued)
    wait_for(lambda: recorded(queued), what="the first step")
    os.kill(trainer_pid(queued), signal.SIGSTOP)
    thread.join(15)
    queued.refresh_from_db()
    assert queued.status == "queued" and "stuck while training" in queued.error
    told = Event.objects.filter(session=queued, kind="log").latest("seq").data
    assert told["message"] == "The stuck trainer could not say where it was."


def test_a_trainer_that_shows_signs_of_life_is_left_alone(quick_watchdog, supervise, queued, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "0.7")
    session = supervise(queued)
    assert (session.status, session.attempt) == ("completed", 1)


def test_a_supervisor_that_was_held_up_itself_blames_nobody(tmp_path, settings, monkeypatch):
    class Alive:
        def show_stacks(self):
            raise AssertionError("ended without a reason")

    settings.STALL_SECONDS = dict.fromkeys(settings.STALL_SECONDS, 30)
    now = 1000.0
    monkeypatch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: now))
    watchdog = supervisor.Watchdog(tmp_path, tmp_path / "log")
    now += 600
    watchdog.look(Alive())
    now += 9
    watchdog.look(Alive())
    assert watchdog.stalled is None


def test_without_memory_it_goes_on_with_smaller_passes_once(supervise, queued, monkeypatch):
    monkeypatch.setenv("FAKE_MODE", "too large")
    sizes = {"batch_size": 4, "gradient_accumulation_steps": 2}
    queued.config["training"] |= sizes
    Session.objects.filter(pk=queued.pk).update(config=queued.config)
    session = supervise(queued)
    assert session.status == "queued"
    assert "ran out of memory" in session.error
    assert "batch size of 2 and 4 accumulation steps instead of 4 and 2" in session.error
    session = supervise(session)
    assert (session.status, session.attempt) == ("completed", 2)
    assert recorded(session) == STEPS
    assert {key: session.config["training"][key] for key in sizes} == sizes


def test_without_memory_even_for_smaller_passes_it_fails_and_says_what_to_do(supervise, queued, monkeypatch):
    monkeypatch.setenv("FAKE_MODE", "too large")
    queued.config["training"] |= {"batch_size": 8, "gradient_accumulation_steps": 1}
    Session.objects.filter(pk=queued.pk).update(config=queued.config)
    assert supervise(queued).status == "queued"
    session = supervise(queued)
    assert (session.status, session.attempt) == ("failed", 2)
    assert session.error == "The machine ran out of memory while training. Use less."


def test_a_kill_that_the_kernel_counts_as_one_for_memory_is_told_as_that(supervise, queued, monkeypatch):
    counts = iter([7, 8])
    monkeypatch.setattr(supervisor, "kills_for_memory", lambda: next(counts))
    monkeypatch.setenv("FAKE_MODE", "killed at 3")
    queued.config["training"] |= {"batch_size": 8}
    Session.objects.filter(pk=queued.pk).update(config=queued.config)
    session = supervise(queued)
    assert session.status == "queued"
    assert "memory of the machine was full" in session.error and "batch size of" in session.error


@pytest.mark.parametrize(
    ("batch", "passes", "smaller"),
    [(8, 2, (4, 4)), (1, 4, (1, 4)), (3, 4, (1, 12)), (6, 1, (3, 2)), (5, 1, (1, 5))],
)
def test_smaller_passes_keep_the_number_of_answers_a_step(batch, passes, smaller):
    training = {"batch_size": batch, "gradient_accumulation_steps": passes}
    config = SessionConfig().model_copy(update={"training": SessionConfig().training.model_copy(update=training)})
    found = lifecycle.smaller_passes(config).training
    assert (found.batch_size, found.gradient_accumulation_steps) == smaller


def test_the_trainer_is_the_first_to_be_killed_when_memory_runs_out(child_processes, queued, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    thread = in_background(queued)
    wait_for(lambda: recorded(queued), what="the first step")
    mark = Path(f"/proc/{trainer_pid(queued)}/oom_score_adj")
    assert not mark.exists() or int(mark.read_text()) == 500
    thread.join(15)


def test_stopping_saves_a_checkpoint_and_ends_within_seconds(child_processes, queued, monkeypatch, owner):
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    thread = in_background(queued)
    wait_for(lambda: recorded(queued), what="the first step")
    assert lifecycle.request_stop(queued, owner)
    thread.join(5)
    assert status_of(queued) == "stopped"
    done = len(recorded(queued))
    assert (queued.folder / "checkpoints" / str(done)).exists()


def test_a_stopped_session_goes_on_and_counts_every_step_once(supervise, queued, monkeypatch, owner):
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    thread = in_background(queued)
    wait_for(lambda: len(recorded(queued)) >= 2, what="the second step")
    lifecycle.request_stop(queued, owner)
    thread.join(30)
    monkeypatch.setenv("FAKE_SECONDS", "0.01")
    queued.refresh_from_db()
    assert lifecycle.resume(queued, owner)
    session = supervise(queued)
    assert session.status == "completed"
    assert recorded(session) == STEPS
    assert not Event.objects.filter(session=session, kind="metrics", superseded=True).exists()


def test_a_trainer_that_does_not_listen_is_killed_on_schedule(child_processes, queued, monkeypatch, owner, settings):
    settings.STOP_SECONDS_BEFORE_TERMINATE, settings.STOP_SECONDS_BEFORE_KILL = 0, 0.5
    monkeypatch.setenv("FAKE_MODE", "deaf")
    monkeypatch.setenv("FAKE_SECONDS", "5")
    thread = in_background(queued)
    wait_for(lambda: status_of(queued) == "training", what="training")
    lifecycle.request_stop(queued, owner)
    thread.join(8)
    assert status_of(queued) == "stopped"


def test_a_lost_lease_ends_the_trainer(child_processes, queued, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    thread = in_background(queued)
    wait_for(lambda: recorded(queued), what="the first step")
    pid = trainer_pid(queued)
    Session.objects.filter(pk=queued.pk).update(worker="somebody/1/2", attempt=7)
    thread.join(5)
    assert not thread.is_alive()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    queued.refresh_from_db()
    assert (queued.attempt, queued.worker) == (7, "somebody/1/2")


def test_an_attempt_that_lost_its_session_writes_nothing(child_processes, queued):
    attempt = lifecycle.claim(queued.pk)
    Session.objects.filter(pk=queued.pk).update(attempt=attempt + 1)
    supervision = supervisor.Supervision(queued.pk, attempt)
    supervision.run()
    assert not Event.objects.filter(session=queued).exists()
    assert not (queued.folder / "events.jsonl").exists()


def test_a_finished_trainer_whose_supervisor_died_is_not_run_again(supervise, queued):
    attempt = lifecycle.claim(queued.pk)
    lifecycle.write_json(queued.folder / "outcome.json", {"attempt": attempt, "status": "completed"})
    queued.refresh_from_db()
    assert lifecycle.take_back(queued, "gone")
    session = supervise(queued)
    assert (session.status, session.attempt) == ("completed", 2)
    assert not recorded(session)


def test_a_worker_that_closes_lets_the_session_wait(child_processes, queued, monkeypatch):
    monkeypatch.setattr(children, "closing", threading.Event())
    monkeypatch.setattr(supervisor.children, "closing", children.closing)
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    thread = in_background(queued)
    wait_for(lambda: recorded(queued), what="the first step")
    children.closing.set()
    thread.join(8)
    queued.refresh_from_db()
    assert (queued.status, queued.attempts_before, queued.worker) == ("queued", 1, "")
    assert (queued.folder / "checkpoints" / str(len(recorded(queued)))).exists()


def test_a_worker_that_closes_begins_nothing_new(child_processes, queued, monkeypatch):
    closing = threading.Event()
    closing.set()
    monkeypatch.setattr(children, "closing", closing)
    assert not supervisor.supervise(queued.pk)
    assert status_of(queued) == "queued"


def test_the_trainer_has_a_process_group_of_its_own(child_processes, queued, monkeypatch):
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    thread = in_background(queued)
    pid = wait_for(lambda: trainer_pid(queued), what="the trainer")
    assert os.getpgid(pid) == pid != os.getpgid(0)
    assert leases.is_alive(leases.process_identity(pid))
    os.kill(pid, signal.SIGKILL)
    thread.join(5)


@pytest.mark.parametrize(
    ("code", "words"), [(-9, "memory"), (-11, "signal 11"), (77, "code 77")], ids=["killed", "crashed", "unknown"]
)
def test_how_a_process_ended_is_said_in_words(code, words):
    assert words in supervisor.describe(code)
