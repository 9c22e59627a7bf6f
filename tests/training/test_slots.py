import contextlib
import json
import os
import shutil
import subprocess
import sys

import pytest
from django.conf import settings as project
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from jobs import leases
from tests import services
from tests.training.conftest import wait_for
from training import devices, lifecycle, slots, supervisor
from training.models import Session, Worker


@pytest.fixture
def waiting(team):
    return [Session.objects.create(team=team, name=f"Number {n}", status="queued", rank=n) for n in range(4)]


def on(session):
    session.refresh_from_db()
    return session.device, session.slot


def test_without_a_gpu_the_cpu_is_offered_with_the_slots_of_the_setting(settings):
    settings.MAX_SESSIONS_PER_WORKER = 3
    [offer] = devices.offered()
    assert (offer.key, offer.slots, offer.is_gpu) == (f"cpu@{leases.place()}", 3, False)


def test_every_gpu_is_offered_to_one_session(db, settings):
    settings.DEVICES = ["GPU-1", "GPU-2"]
    settings.MAX_SESSIONS_PER_WORKER = 3
    assert slots.free_here() == [slots.Slot("GPU-1", 0), slots.Slot("GPU-2", 0)]


def test_each_session_gets_a_gpu_of_its_own_and_the_third_waits(waiting, settings):
    settings.DEVICES = ["GPU-1", "GPU-2"]
    assert [lifecycle.claim(session.pk) for session in waiting[:3]] == [1, 1, None]
    assert [on(session) for session in waiting[:2]] == [("GPU-1", 0), ("GPU-2", 0)]
    assert not slots.free_here()


def test_the_database_itself_refuses_a_second_session_on_a_slot(waiting):
    rows = Session.objects.filter(pk__in=[session.pk for session in waiting[:2]])
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.update(status="training", device="GPU-1", slot=0)
    rows.update(status="completed", device="GPU-1", slot=0)


def test_a_claim_that_comes_second_on_a_slot_changes_nothing(waiting, settings, monkeypatch):
    settings.DEVICES = ["GPU-1"]
    lifecycle.claim(waiting[0].pk)
    monkeypatch.setattr(slots, "free_here", lambda: [slots.Slot("GPU-1", 0)])
    assert lifecycle.claim(waiting[1].pk) is None
    waiting[1].refresh_from_db()
    assert (waiting[1].status, waiting[1].attempt) == ("queued", 0)


@pytest.mark.parametrize("end", ["release", "take_back", "reap", "requeue", "delete"])
def test_every_ending_gives_the_slot_back(waiting, settings, end):
    settings.DEVICES = ["GPU-1"]
    session = waiting[0]
    attempt = lifecycle.claim(session.pk)
    session.refresh_from_db()
    assert not slots.free_here()
    if end == "release":
        leases.release(Session, session.pk, attempt, status="completed")
    elif end == "reap":
        Session.objects.filter(pk=session.pk).update(worker="elsewhere:1/2/3", lease_until=None)
        assert lifecycle.reap() == [session.pk]
    elif end == "delete":
        leases.release(Session, session.pk, attempt, status="failed")
        assert lifecycle.delete(session, None)
    elif end == "requeue":
        assert lifecycle.requeue(session, None)
    else:
        assert lifecycle.take_back(session, "gone")
    assert slots.free_here()


def test_a_claim_out_of_turn_is_refused(waiting):
    assert lifecycle.claim(waiting[1].pk) is None
    assert lifecycle.claim(waiting[0].pk) == 1


def test_a_command_takes_a_gpu_like_a_worker_and_is_refused_when_all_are_taken(waiting, settings):
    settings.DEVICES = ["GPU-1"]
    Session.objects.filter(pk=waiting[3].pk).update(status="stopped")
    assert lifecycle.claim_here(waiting[3], "stopped") == 1
    assert on(waiting[3]) == ("GPU-1", 0)
    with pytest.raises(lifecycle.DevicesTaken, match="Every GPU"):
        lifecycle.claim_here(waiting[0], "queued")


def test_a_command_takes_the_cpu_beyond_its_limit(waiting):
    assert lifecycle.claim(waiting[0].pk)
    assert lifecycle.claim_here(waiting[1], "queued")
    assert on(waiting[1]) == (f"cpu@{leases.place()}", 1)


def test_a_trainer_sees_its_own_gpu_and_no_other(waiting, settings):
    settings.DEVICES = ["GPU-1", "GPU-2"]
    for session in waiting[:2]:
        lifecycle.claim(session.pk)
        session.refresh_from_db()
    assert slots.environment_of(waiting[1]) == {"CUDA_VISIBLE_DEVICES": "GPU-2"}


def test_the_trainer_of_a_slot_is_started_with_its_gpu(child_processes, queued, settings, monkeypatch):
    settings.DEVICES = ["GPU-7"]
    seen = []
    run_child = supervisor.children.run_child
    monkeypatch.setattr(
        supervisor.children,
        "run_child",
        lambda *args, **kwargs: (seen.append(kwargs["environment"]), run_child(*args, **kwargs))[1],
    )
    assert supervisor.supervise(queued.pk)
    queued.refresh_from_db()
    assert queued.status == "completed" and queued.device == "GPU-7"
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in seen] == ["GPU-7"]


# Workers


def test_a_worker_says_that_it_lives_and_what_it_offers(db, settings):
    settings.DEVICES = ["GPU-1"]
    slots.beat()
    slots.beat()
    [worker] = slots.living()
    assert [offer["key"] for offer in worker.devices] == ["GPU-1"]
    assert slots.offered_by([worker])["GPU-1"]["host"] == worker.host
    slots.leave()
    assert slots.living() == []


def test_a_worker_that_is_gone_is_forgotten(db):
    Worker.objects.create(identity=f"{leases.place()}/999999999/1.00", place=leases.place())
    away = Worker.objects.create(identity="elsewhere:1/2/3", place="elsewhere:1", lease_until=Now())
    slots.forget_the_gone()
    assert list(Worker.objects.all()) == [away]
    assert slots.living() == []


def test_a_real_worker_registers_and_leaves(start_worker):
    worker = start_worker()
    wait_for(lambda: slots.living(), what="the worker's row")
    worker.terminate()
    wait_for(lambda: not Worker.objects.exists(), what="the end of the row")


# Several machines on one queue


MACHINES = {"alpha": ["GPU-a1", "GPU-a2"], "beta": ["GPU-b1"], "gamma": ["cpu"]}


@contextlib.contextmanager
def machines_on(tmp_path, url=""):
    """Workers of three machines on one queue, two of them on the first: (name, process) of each."""
    environment = {**os.environ, "LORACRAFT_DATA": str(tmp_path), "LORACRAFT_DOTENV": "0", "DATABASE_URL": url}
    environment |= {"LORACRAFT_LEASE_SECONDS": "30", "LORACRAFT_MAX_SESSIONS": "2", "LORACRAFT_SECRET_KEY": "shared"}
    places = [*MACHINES.items(), ("alpha", MACHINES["alpha"])]
    workers = [
        (name, worker_of(environment | {"LORACRAFT_PLACE": name, "LORACRAFT_DEVICES": ",".join(keys)}))
        for name, keys in places
    ]
    try:
        yield workers
    finally:
        for _, worker in workers:
            worker.kill()
            worker.communicate()


def worker_of(environment):
    shell = [sys.executable, "manage.py", "shell", "--no-imports", "-c"]
    command = [*shell, "from tests.training.slot_race import main; main()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=project.BASE_DIR, env=environment, **pipes)


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory, django_db_setup):
    folder = tmp_path_factory.mktemp("machines")
    shutil.copyfile(services.fresh_tables(), folder / "db.sqlite3")
    with machines_on(folder) as workers:
        yield workers


@pytest.fixture(scope="module")
def on_postgresql(tmp_path_factory):
    with services.postgresql() as url, machines_on(tmp_path_factory.mktemp("machines"), url) as workers:
        tell(workers[:1], "migrate")
        yield workers


def race(workers, mode, sessions=40, tried=0):
    """What each worker did, by machine."""
    tell(workers[:1], f"queue {sessions} {tried}")
    tell(workers, "beat")
    return [(name, json.loads(line)) for name, line in tell(workers, mode)]


def tell(workers, word):
    """Starts all of them before it waits for an answer: [(name, answer)]."""
    for _, worker in workers:
        worker.stdin.write(f"{word}\n")
        worker.stdin.flush()
    return [(name, worker.stdout.readline()) for name, worker in workers]


def assert_none_shared(found, sessions=40):
    claims = [claim for _, result in found for claim in result["claims"]]
    assert sorted(pk for pk, _, _ in claims) == sorted({pk for pk, _, _ in claims}) and len(claims) == sessions
    assert sum(result["shared"] for _, result in found) == 0
    for name, result in found:
        used = {device for _, device, _ in result["claims"]}
        assert all(key in MACHINES[name] or key.startswith(f"cpu@{name}:") for key in used), (name, used)
    # Every device was used: slot_race.py sees to it that no worker is done before the others have begun.
    assert len({device for _, device, _ in claims}) == sum(map(len, MACHINES.values()))
    assert {slot for _, device, slot in claims if device.startswith("GPU-")} == {0}
    assert {slot for _, device, slot in claims if device.startswith("cpu@")} <= {0, 1}


def test_machines_that_share_a_queue_on_postgresql_use_their_own_devices_each_once(on_postgresql):
    assert_none_shared(race(on_postgresql, "locked"))


def test_preflights_and_sessions_of_several_machines_share_no_slot_on_postgresql(on_postgresql):
    assert_tried_and_none_shared(race(on_postgresql, "locked", tried=30))


def assert_tried_and_none_shared(found):
    assert_none_shared(found)
    tried = [pk for _, result in found for pk, _, _ in result["tried"]]
    assert tried and len(tried) == len(set(tried))


def test_on_postgresql_the_constraint_alone_keeps_slots_apart(on_postgresql):
    assert_none_shared(race(on_postgresql, "unlocked"))


@pytest.mark.django_db
def test_preflights_and_sessions_of_worker_processes_share_no_slot_on_sqlite(on_sqlite):
    assert_tried_and_none_shared(race(on_sqlite, "locked", tried=30))


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["locked", "unlocked"])
def test_worker_processes_on_sqlite_never_share_a_slot(on_sqlite, mode):
    assert_none_shared(race(on_sqlite, mode))
