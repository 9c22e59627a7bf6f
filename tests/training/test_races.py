"""Claims under contention, on a SQLite file and on a real PostgreSQL."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from django.conf import settings


def binaries():
    """Where initdb and postgres are; Debian keeps them off the PATH."""
    found = shutil.which("initdb") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)
    return Path(found).parent if found else None


def account():
    """PostgreSQL refuses to run as root."""
    return {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}


@pytest.fixture(scope="module")
def postgres():
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    # Not below pytest's own folder, which only this user may enter.
    home = Path(tempfile.mkdtemp(prefix="loracraft-postgres-"))
    data = home / "data"
    data.mkdir(mode=0o700)
    if account():
        home.chmod(0o755)
        shutil.chown(data, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c fsync=off"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **account()}
    subprocess.run([folder / "initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync"], check=True, **quiet)
    control = [folder / "pg_ctl", "-D", data, "-w", "-t", "30"]
    subprocess.run([*control, "-o", options, "-l", data / "log", "start"], check=True, **quiet)
    yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)
    shutil.rmtree(home)


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
