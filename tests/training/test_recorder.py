import json
import threading

import pytest
from django.db import OperationalError

from tests.training.conftest import wait_for
from training import lifecycle, recorder
from training.events import EngineEvent
from training.models import Event, Session
from training.recorder import EventLog, Fenced, Ingester, Recorder, storable

LOGS: list[EventLog] = []


@pytest.fixture
def running(queued):
    lifecycle.claim(queued.pk)
    queued.refresh_from_db()
    return queued


@pytest.fixture(autouse=True)
def closed_logs():
    yield
    for log in LOGS:
        log.close()
    LOGS.clear()


def path_of(session):
    return session.folder / "events.jsonl"


def log_of(session):
    LOGS.append(EventLog(path_of(session), session.attempt, session.last_seq))
    return LOGS[-1]


def metrics(step, **data):
    return EngineEvent("metrics", "training", data, step)


def phase(status, **data):
    return EngineEvent("phase", status, {"status": status, "label": status, **data})


def ingest(session):
    Ingester(session.pk, session.attempt, path_of(session)).catch_up()
    session.refresh_from_db()


def claim_again(session):
    session.refresh_from_db()
    lifecycle.take_back(session, "gone")
    lifecycle.claim(session.pk)
    session.refresh_from_db()


def steps(session):
    return list(Event.objects.filter(session=session, kind="metrics", superseded=False).values_list("step", flat=True))


# The file


def test_events_are_in_the_file_before_they_are_anywhere_else(running):
    log_of(running).append(metrics(1, reward=0.5))
    line = json.loads(path_of(running).read_text())
    assert (line["seq"], line["attempt"], line["kind"], line["step"]) == (1, 1, "metrics", 1)
    assert not Event.objects.exists()


def test_a_new_writer_numbers_on_and_ends_a_torn_line(running):
    log_of(running).append(metrics(1))
    with path_of(running).open("ab") as file:
        file.write(b'{"seq": 2, "attempt": 1, "kind": "met')
    log_of(running).append(metrics(2))
    ingest(running)
    assert list(Event.objects.values_list("seq", "step")) == [(1, 1), (2, 2)]


def test_a_file_that_lost_its_end_is_not_numbered_again(running):
    running.last_seq = 40
    assert log_of(running).append(metrics(1)) == 41


def test_a_line_that_could_not_be_written_whole_leaves_no_trace(running, monkeypatch):
    log = log_of(running)
    log.append(metrics(1))
    before = path_of(running).read_bytes()
    real = log._file

    class Full:
        def write(self, data):
            real.write(data[:10])
            raise OSError(28, "No space left on device")

        def __getattr__(self, name):
            return getattr(real, name)

    monkeypatch.setattr(log, "_file", Full())
    with pytest.raises(OSError, match="No space"):
        log.append(metrics(2))
    assert path_of(running).read_bytes() == before
    monkeypatch.setattr(log, "_file", real)
    assert log.append(metrics(2)) == 2


def test_an_older_attempt_that_still_writes_is_not_heard(running):
    old = log_of(running)
    old.append(metrics(1))
    claim_again(running)
    new = log_of(running)
    old.append(metrics(2, reward=0.2))
    new.take_over(phase("starting"))
    old.append(metrics(3, reward=0.3))
    new.append(metrics(2, reward=9.0))
    ingest(running)
    rows = list(Event.objects.values_list("seq", "attempt", "kind"))
    assert [row[0] for row in rows] == sorted({row[0] for row in rows})
    assert (3, 1, "metrics") not in rows
    assert rows[-1][1:] == (2, "metrics")
    assert Event.objects.filter(attempt=2).count() == 2


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (float("nan"), None),
        ([float("inf"), 1.5], [None, 1.5]),
        ("a\x00b", "a\ufffdb"),
        ("half \ud83d", "half ?"),
        ({"x": (1, float("-inf"))}, {"x": [1, None]}),
    ],
)
def test_what_databases_refuse_is_replaced(value, stored):
    assert storable(value) == stored


# Into the database


def test_the_session_shows_what_the_events_say(running):
    log = log_of(running)
    log.append(phase("training", total_steps=60, resumed_from=None, mode="No GPU detected"))
    log.append(metrics(7, reward=0.25, seconds_left=90.0))
    ingest(running)
    assert (running.status, running.phase, running.mode) == ("training", "training", "No GPU detected")
    assert (running.step, running.total_steps, running.last_reward, running.seconds_left) == (7, 60, 0.25, 90.0)
    assert running.last_seq == 2


def test_reading_twice_stores_once(running):
    log_of(running).append(metrics(1))
    ingest(running)
    ingest(running)
    assert Event.objects.count() == 1


def test_a_reader_that_was_overtaken_goes_on_behind_the_other(running):
    log = log_of(running)
    log.append(metrics(1))
    slow = Ingester(running.pk, 1, path_of(running))
    slow.seq = 0
    ingest(running)
    log.append(metrics(2))
    slow.catch_up()
    assert steps(running) == [1, 2]


def test_many_events_are_read_in_batches(running, monkeypatch):
    monkeypatch.setattr(recorder, "BATCH_LINES", 7)
    log = log_of(running)
    for step in range(1, 31):
        log.append(metrics(step))
    ingest(running)
    assert steps(running) == list(range(1, 31))


@pytest.mark.parametrize("change", [{"attempt": 2}, {"status": "queued"}, {"status": "stopped"}])
def test_whoever_lost_the_session_writes_nothing(running, change):
    log_of(running).append(metrics(1))
    ingester = Ingester(running.pk, 1, path_of(running))
    ingester.seq = 0
    Session.objects.filter(pk=running.pk).update(**change)
    with pytest.raises(Fenced):
        ingester.catch_up()
    assert not Event.objects.exists()


def test_a_failed_insert_takes_the_change_of_the_session_with_it(running, monkeypatch):
    log_of(running).append(metrics(1, reward=0.5))

    def fail(*args):
        raise OperationalError("gone")

    monkeypatch.setattr(recorder, "supersede", fail)
    with pytest.raises(OperationalError):
        ingest(running)
    running.refresh_from_db()
    assert (running.last_seq, running.last_reward) == (0, None)
    assert not Event.objects.exists()


# Superseding


def first_attempt(session, *events):
    log = log_of(session)
    for event in events:
        log.append(event)
    ingest(session)
    claim_again(session)


def test_steps_past_the_checkpoint_are_superseded(running):
    first_attempt(running, phase("training", total_steps=9), *(metrics(step) for step in range(1, 6)))
    log = log_of(running)
    log.append(phase("training", total_steps=9, resumed_from=3))
    log.append(metrics(4, reward=1.0))
    ingest(running)
    assert steps(running) == [1, 2, 3, 4]
    assert running.step == 4


def test_without_a_checkpoint_everything_is_done_again(running):
    first_attempt(running, phase("training", total_steps=9), metrics(1), metrics(2))
    log_of(running).append(phase("training", total_steps=9, resumed_from=0))
    ingest(running)
    assert steps(running) == []


def test_a_warm_up_done_again_supersedes_the_training_after_it(running):
    warm = EngineEvent("metrics", "pretraining", {}, 1)
    first_attempt(running, phase("pretraining"), warm, phase("training"), metrics(1))
    log_of(running).append(phase("pretraining", total_steps=2, resumed_from=0))
    ingest(running)
    assert steps(running) == []


def test_the_warm_up_is_kept_when_training_goes_on(running):
    warm = EngineEvent("metrics", "pretraining", {}, 1)
    first_attempt(running, phase("pretraining"), warm, phase("training"), metrics(1))
    log_of(running).append(phase("training", total_steps=9, resumed_from=1))
    ingest(running)
    assert Event.objects.filter(superseded=True).count() == 0


def test_an_evaluation_begun_again_supersedes_its_older_answers_only(running):
    def answers(label):
        return EngineEvent("evaluation", "starting", {"label": label, "done": 1, "answers": []})

    first_attempt(running, answers("base"), answers("adapter"))
    log_of(running).append(answers("base"))
    ingest(running)
    left = Event.objects.filter(superseded=False).values_list("attempt", "data__label")
    assert sorted(left) == [(1, "adapter"), (2, "base")]


def test_what_an_older_attempt_left_unread_is_kept_but_changes_no_status(running):
    old = log_of(running)
    old.append(phase("training", total_steps=9))
    old.append(metrics(1))
    old.append(phase("queued", ended=True, error="left behind"))
    claim_again(running)
    log_of(running).take_over(phase("starting"))
    ingest(running)
    assert Event.objects.count() == 4
    assert (running.status, running.error) == ("starting", "")
    assert running.worker


def test_logs_and_errors_are_never_superseded(running):
    first_attempt(running, EngineEvent("error", "training", {"message": "x"}, 5), EngineEvent("log", "training", {}, 6))
    log_of(running).append(phase("training", resumed_from=0))
    ingest(running)
    assert not Event.objects.filter(superseded=True).exists()


# The thread


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_costs_only_delay(running, monkeypatch):
    away = threading.Event()
    away.set()
    real = Ingester._insert

    def insert(self, batch):
        if away.is_set():
            raise OperationalError("the database is away")
        return real(self, batch)

    monkeypatch.setattr(Ingester, "_insert", insert)
    record = Recorder(running, pytest.fail)
    for step in range(1, 11):
        record(metrics(step))
    assert len(path_of(running).read_text().splitlines()) == 10
    assert not Event.objects.exists()
    away.clear()
    wait_for(lambda: Event.objects.count() == 10, what="the rows")
    record.close(5)
    assert steps(running) == list(range(1, 11))


@pytest.mark.django_db(transaction=True)
def test_an_event_is_in_the_database_while_the_recorder_is_open(running):
    record = Recorder(running, pytest.fail)
    record(metrics(1))
    wait_for(lambda: Event.objects.exists(), what="the row")
    record.close(5)


@pytest.mark.django_db(transaction=True)
def test_a_fenced_recorder_says_so(running):
    fenced = threading.Event()
    record = Recorder(running, fenced.set)
    Session.objects.filter(pk=running.pk).update(attempt=9)
    record(metrics(1))
    assert fenced.wait(5)
    record.close(5)
    assert not Event.objects.exists()
