"""The file of a session's events gets shorter while it is written, followed, and while whoever does it is killed."""

import io
import json
import os
import random
import signal
import threading
import time

import pytest

from tests.training.factories import make_config, make_session
from training import lifecycle, recorder
from training.choices import Status
from training.events import EngineEvent
from training.management.commands.train import Progress
from training.models import Completion, Event, Session
from training.recorder import EventLog, Ingester, Recorder, shorten
from training.supervisor import Supervision

TEXT = "a long answer " * 200


@pytest.fixture
def session(team, settings, tmp_path):
    settings.OUTPUTS_DIR = tmp_path
    config = make_config(training={"completions_every": 10, "completions_budget": 1})
    return make_session(team, Status.TRAINING, config=config, attempt=1)


def path_of(session):
    return session.folder / recorder.FILE


def rollouts(step, text=TEXT):
    answer = {"text": text, "parts": {}, "errors": {}, "total": 1.0, "advantage": 0.0, "length": 3, "cut_off": False}
    group = {"question": "2 + 2?", "prompt": "p", "reference": "4", "completions": [answer]}
    return EngineEvent("rollouts", "training", {"groups": [group]}, step)


def write(session, steps, attempt=None, text=TEXT):
    session.refresh_from_db()
    log = EventLog(path_of(session), attempt or session.attempt, session.last_seq)
    for step in steps:
        log.append(rollouts(step, text))
    log.close()


def ingest(session):
    session.refresh_from_db()
    ingester = Ingester(session.pk, session.attempt, path_of(session))
    ingester.catch_up()
    return ingester.seq


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def texts(path):
    groups = [group for line in lines(path) for group in line["data"].get("groups", [])]
    return [answer["text"] for group in groups for answer in group["completions"]]


@pytest.mark.django_db
def test_what_the_database_does_not_have_keeps_its_texts(session):
    write(session, range(1, 4))
    seq = ingest(session)
    write(session, range(4, 6))
    short = shorten(path_of(session), seq)
    assert texts(path_of(session)) == ["", "", "", TEXT, TEXT]
    ingest(session)
    assert set(Completion.objects.values_list("text", flat=True)) == {TEXT}
    # From there on: the start is not looked at again.
    assert shorten(path_of(session), 5, short) == path_of(session).stat().st_size
    assert texts(path_of(session)) == [""] * 5


@pytest.mark.django_db
@pytest.mark.parametrize("status", [Status.STOPPED, Status.FAILED, Status.QUEUED, Status.COMPLETED])
def test_every_ending_of_an_attempt_leaves_numbers_and_a_resume_goes_on(session, status):
    Session.objects.filter(pk=session.pk).update(worker=lifecycle.leases.identity(), lease_until=None)
    write(session, range(1, 6))
    Supervision(session.pk, 1)._write_down(lifecycle.ending(status, "Ended"))
    session.refresh_from_db()
    assert (session.status, session.last_seq) == (status, 6)
    assert [line["seq"] for line in lines(path_of(session))] == list(range(1, 7)) and set(texts(path_of(session))) == {
        ""
    }
    Session.objects.filter(pk=session.pk).update(status=Status.TRAINING, attempt=2)
    write(session, [6, 7])
    assert ingest(session) == 8
    assert list(Event.objects.values_list("seq", flat=True).order_by("seq")) == list(range(1, 9))
    assert set(Completion.objects.values_list("text", flat=True)) == {TEXT}


@pytest.mark.django_db
def test_a_writer_goes_on_in_the_shorter_file(session):
    """As the trainer of a session that is resumed while the worker of its last attempt still makes the file shorter."""
    write(session, range(1, 4))
    log = EventLog(path_of(session), 2, ingest(session))
    assert shorten(path_of(session), 3)
    log.append(rollouts(4))
    log.close()
    assert [(line["seq"], line["attempt"]) for line in lines(path_of(session))] == [(1, 1), (2, 1), (3, 1), (4, 2)]


@pytest.mark.django_db
def test_a_reader_finds_its_place_in_the_shorter_file(session):
    write(session, range(1, 6))
    ingester, out = Ingester(session.pk, 1, path_of(session)), io.StringIO()
    ingester.catch_up()
    progress = Progress(session, out)
    assert shorten(path_of(session), 5)
    log = EventLog(path_of(session), 1)
    # Larger than before: the size alone says nothing.
    log.append(rollouts(6, TEXT * 20))
    log.append(EngineEvent("log", "training", {"message": "Six"}))
    log.close()
    ingester.catch_up()
    progress(session)
    assert ingester.seq == 7 and Event.objects.count() == 7
    assert out.getvalue() == "Six"


@pytest.mark.django_db
def test_a_writer_that_hangs_with_the_file_delays_nobody_for_long(session, monkeypatch):
    monkeypatch.setattr(recorder, "LOCK_SECONDS", 0.05)
    write(session, [1])
    log = EventLog(path_of(session), 1, ingest(session))
    with log._held():
        assert shorten(path_of(session), 1) is None
    assert texts(path_of(session)) == [TEXT]
    log.close()
    assert shorten(path_of(session), 1)


@pytest.mark.django_db
def test_a_full_disk_leaves_the_file_as_it_is(session, monkeypatch):
    write(session, [1])

    def full(file, out, *rest):
        out.write(b"half a line")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder, "_copy_shorter", full)
    before = path_of(session).read_bytes()
    assert shorten(path_of(session), ingest(session)) is None
    assert path_of(session).read_bytes() == before and [file.name for file in session.folder.iterdir()] == [
        recorder.FILE
    ]


@pytest.mark.django_db(transaction=True)
def test_the_file_of_a_running_session_stays_within_the_budget(session):
    """Thirty times the budget passes through it."""
    record = Recorder(session, lambda: None)
    largest = 0
    for step in range(1, 121):
        record(rollouts(step, "x" * 250_000))
        # The database keeps up.
        while (Session.objects.values_list("last_seq", flat=True).get() or 0) < step:
            time.sleep(0.01)
        largest = max(largest, path_of(session).stat().st_size)
    record.close(20)
    assert largest < 3 * 1024 * 1024
    assert [line["seq"] for line in lines(path_of(session))] == list(range(1, 121))
    assert Event.objects.filter(kind="rollouts", step__in=[1, 120]).count() == 2


def test_writers_lose_no_line_to_somebody_who_makes_the_file_shorter_all_the_time(tmp_path):
    path, done, written = tmp_path / recorder.FILE, threading.Event(), []
    EventLog(path, 1).close()

    def work(attempt):
        log = EventLog(path, attempt)
        for step in range(150):
            written.append((log.append(rollouts(step)), attempt))
        log.close()

    def shrink():
        short = 0
        while not done.is_set():
            short = shorten(path, 100, short) or short

    writers = [threading.Thread(target=work, args=(attempt,)) for attempt in (1, 2, 3)]
    shrinker = threading.Thread(target=shrink)
    for thread in (*writers, shrinker):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    shrinker.join()
    assert sorted((line["seq"], line["attempt"]) for line in lines(path)) == sorted(written)


SEED = 20261123


def test_a_kill_while_the_file_gets_shorter_loses_no_line(tmp_path):
    """kill -9 at 15 moments, drawn with a fixed seed, of a process that does nothing else, while another writes on."""
    path, dice = tmp_path / recorder.FILE, random.Random(SEED)
    log = EventLog(path, 1)
    for step in range(400):
        log.append(rollouts(step))
    for number in range(15):
        child = os.fork()
        if child == 0:
            while True:
                shorten(path, 300 + number)
        time.sleep(dice.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        log.append(rollouts(400 + number))
        found = lines(path)
        assert [line["seq"] for line in found] == list(range(1, 402 + number))
        assert set(texts(path)[320:]) == {TEXT}
    log.close()
    assert shorten(path, 400) and texts(path)[:400] == [""] * 400
    assert [file.name for file in tmp_path.iterdir()] == [recorder.FILE]
