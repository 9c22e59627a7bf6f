"""Rows 5 to 14 of the reliability plan, small. Each has its negative control: with one protection switched off the same
check must fail. `make test` runs some of them, `make chaos` these here all, and then the scenarios at their size."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from typing import Any

import pytest

from tests import services
from tests.chaos import (
    _stack,
    database_away,
    disk_full,
    kernel_kills,
    memory,
    real_kills,
    redis_away,
    stalls,
    stops,
    trainer_kills,
    web_kills,
    worker_kills,
    zombies,
)
from tests.chaos._engine import values

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="signals and /proc of Linux")

needs_postgresql = pytest.mark.skipif(services.postgres_programs() is None, reason="PostgreSQL is not installed")
needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="Redis is not installed")


def failed(**result: Any) -> list[str]:
    """What was found that must not be."""
    return [name for name, count in result["found"].items() if count]


def test_killed_trainers_lose_and_double_no_step() -> None:
    result = trainer_kills.run(seed=11, kills=2, sessions=1)
    assert result["passed"], result
    assert result["faults"] == 2


def test_the_check_notices_steps_that_count_twice() -> None:
    assert "doubled" in failed(**trainer_kills.run(seed=11, kills=2, sessions=2, broken="supersede"))


@pytest.mark.accident
def test_killed_workers_leave_no_orphan_and_a_restarted_machine_goes_on() -> None:
    result = worker_kills.run(seed=5, parents=1, trees=1, restarts=1, terms=1)
    assert result["passed"], result


@pytest.mark.accident
def test_the_check_notices_a_trainer_that_outlives_its_worker() -> None:
    assert "orphans" in failed(**worker_kills.run(seed=5, parents=1, trees=0, restarts=0, terms=0, broken="parent"))


@pytest.mark.accident
def test_a_paused_worker_writes_nothing_when_it_comes_back_and_no_session_is_claimed_twice() -> None:
    result = zombies.run(seed=2, rounds=2, races=20)
    assert result["passed"], result


@pytest.mark.accident
def test_the_check_notices_sessions_that_are_claimed_twice() -> None:
    assert failed(**zombies.run(rounds=0, races=40, broken="claim")) == ["double_claims"]


@pytest.mark.accident
def test_trainers_that_hang_are_found_and_go_on() -> None:
    result = stalls.run(seed=4, stalls=3)
    assert result["passed"], result


@pytest.mark.accident
def test_the_check_notices_a_session_that_hangs_for_ever() -> None:
    with pytest.raises(_stack.NotInTime):
        stalls.run(seed=4, stalls=1, seconds=25, broken="watchdog")


@pytest.mark.accident
def test_sessions_without_memory_go_on_with_smaller_passes() -> None:
    result = memory.run(runs=2)
    assert result["passed"], result


@pytest.mark.accident
def test_the_check_notices_sessions_that_fail_for_want_of_memory() -> None:
    assert "not_completed" in failed(**memory.run(runs=1, broken="memory"))


@pytest.mark.accident
@pytest.mark.skipif(not kernel_kills.available(), reason="no right to make a control group of memory")
def test_sessions_that_the_kernel_kills_for_memory_go_on_with_smaller_passes() -> None:
    result = kernel_kills.run(runs=2)
    assert result["passed"], result


@pytest.mark.accident
@pytest.mark.skipif(not kernel_kills.available(), reason="no right to make a control group of memory")
def test_the_check_notices_sessions_that_the_kernel_kills_for_good() -> None:
    assert "not_completed" in failed(**kernel_kills.run(runs=1, broken="memory"))


def may_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not may_mount(), reason="mount namespaces are not allowed here")


@needs_mounts
@pytest.mark.accident
def test_sessions_wait_for_a_full_disk_and_go_on() -> None:
    result = disk_full.run(seed=6, fills=2)
    assert result["passed"], result


@needs_mounts
@pytest.mark.accident
def test_the_check_notices_a_session_that_a_full_disk_ends() -> None:
    with pytest.raises(RuntimeError, match="disk is full"):
        disk_full.run(seed=6, fills=1, broken="space")


@needs_postgresql
@pytest.mark.accident
def test_training_goes_on_without_its_database() -> None:
    result = database_away.run(seconds=5, resets=3)
    assert result["passed"], result


@needs_postgresql
@pytest.mark.accident
def test_the_check_notices_a_trainer_that_needs_its_database() -> None:
    with pytest.raises(AssertionError, match="training stopped"):
        database_away.run(seconds=8, resets=0, broken="away")


@needs_redis
@pytest.mark.accident
def test_no_session_is_lost_with_the_queue() -> None:
    result = redis_away.run(seconds=5, flushes=1)
    assert result["passed"], result


@needs_redis
@pytest.mark.accident
def test_the_check_notices_a_queue_that_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_away, "SECONDS", 40)
    with pytest.raises(_stack.NotInTime):
        redis_away.run(seconds=2, flushes=1, broken="bell")


@pytest.mark.accident
def test_what_a_killed_web_process_acknowledged_is_there() -> None:
    result = web_kills.run(seed=8, kills=2)
    assert result["passed"], result


@pytest.mark.accident
def test_the_check_notices_what_was_acknowledged_before_it_was_written() -> None:
    assert "acknowledged_and_gone" in failed(**web_kills.run(seed=8, kills=2, broken="memory only"))


@pytest.mark.accident
def test_the_real_trainer_goes_on_as_if_it_had_not_been_killed() -> None:
    result = real_kills.run(seed=9, kills=1)
    assert result["passed"], result


def test_a_stop_in_the_middle_of_a_long_answer_ends_within_seconds() -> None:
    result = stops.run(stops=1)
    assert result["passed"], result


@pytest.mark.accident
def test_the_check_notices_a_trainer_that_hears_no_stop() -> None:
    assert failed(**stops.run(stops=1, broken="deaf")) == ["too_slow"]


def test_every_value_of_the_engine_follows_from_the_one_before() -> None:
    """Else a step from a wrong state would have the right value."""
    whole = list(values(50))
    assert list(values(50, whole[19])) == whole[20:]
    assert [state for _, state in values(50, (20, whole[18][1]))] != [state for _, state in whole[20:]]
    assert len({state for _, state in whole}) == 50
