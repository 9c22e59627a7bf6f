"""Claims under contention, on a SQLite file and on a real PostgreSQL."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings

from tests import services


@pytest.fixture(scope="module")
def postgres():
    with services.postgresql() as url:
        yield url


def run_race(tmp_path, **variables):
    environment = {**os.environ, "LORACRAFT_DATA": str(tmp_path), "LORACRAFT_DOTENV": "0", **variables}
    command = [
        sys.executable,
        "manage.py",
        "shell",
        "--no-imports",
        "-c",
        "from tests.training.race import main; main()",
    ]
    options = {"cwd": settings.BASE_DIR, "env": environment, "capture_output": True, "text": True, "timeout": 180}
    done = subprocess.run(command, **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def assert_fair(result):
    # Two of three are claimed in each round, each once, and never more at a time than the machine may hold.
    assert all(attempts == [1] for attempts in result["claims"].values())
    assert len(result["claims"]) == 2 * 10
    assert result["most"] == 2


def test_eight_workers_race_on_sqlite_and_nothing_is_claimed_twice(tmp_path):
    result = run_race(tmp_path, DATABASE_URL="")
    assert result["vendor"] == "sqlite"
    assert_fair(result)


def test_eight_workers_race_on_postgresql_and_nothing_is_claimed_twice(tmp_path, postgres):
    result = run_race(tmp_path, DATABASE_URL=postgres)
    assert result["vendor"] == "postgresql"
    assert_fair(result)
