"""A PostgreSQL and a Redis of a test's own, on free ports, ended with it; and SQLite with all tables, to be copied."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def fresh_tables() -> Path:
    """Written with the database of the test process, so for tests that have one. As after the first `migrate`."""
    return Path(settings.DATA_DIR) / "fresh.sqlite3"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_programs() -> Path | None:
    """Where initdb and pg_ctl are; Debian keeps them off the PATH."""
    found = shutil.which("initdb") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)
    return Path(found).parent if found else None


def postgres_account() -> dict[str, str]:
    """PostgreSQL refuses to run as root."""
    return {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of a fresh, empty database."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    # Not below pytest's own folder, which only this user may enter.
    home = Path(tempfile.mkdtemp(prefix="loracraft-postgres-"))
    data, port, account = home / "data", free_port(), postgres_account()
    data.mkdir(mode=0o700)
    if account:
        home.chmod(0o755)
        shutil.chown(data, **account)
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c fsync=off"
    quiet = {**QUIET, "cwd": "/", **account}
    subprocess.run([programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync"], check=True, **quiet)
    control = [programs / "pg_ctl", "-D", data, "-w", "-t", "30"]
    subprocess.run([*control, "-o", options, "-l", data / "log", "start"], check=True, **quiet)
    try:
        yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)
        shutil.rmtree(home)


@contextmanager
def redis() -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    port = free_port()
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    server = subprocess.Popen([*command, "--dir", tempfile.gettempdir()], **QUIET)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)
