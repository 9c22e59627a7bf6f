"""A PostgreSQL and a Redis that can be taken away and brought back."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services import QUIET, free_port, postgres_account, postgres_programs


class Postgres:
    def __init__(self, home: Path) -> None:
        programs = postgres_programs()
        assert programs, "PostgreSQL is not installed: apt-get install postgresql"
        self.data, self.port = home / "data", free_port()
        self.account = postgres_account()
        self.quiet = {**QUIET, "cwd": "/", **self.account}
        self.control = [programs / "pg_ctl", "-D", self.data, "-w", "-t", "60"]
        self.data.mkdir(mode=0o700)
        if self.account:
            home.chmod(0o755)
            shutil.chown(self.data, **self.account)  # type: ignore[call-overload]
        subprocess.run([programs / "initdb", "-D", self.data, "-U", "tester", "-A", "trust"], check=True, **self.quiet)

    @property
    def url(self) -> str:
        return f"postgresql://tester@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories=''"
        subprocess.run([*self.control, "-o", options, "-l", self.data / "log", "start"], check=True, **self.quiet)

    def stop(self, *, check: bool = True) -> None:
        """As a power cut: nothing is finished, nothing is said goodbye to."""
        subprocess.run([*self.control, "-m", "immediate", "stop"], check=check, **self.quiet)


@contextmanager
def postgres() -> Iterator[Postgres]:
    home = Path(tempfile.mkdtemp(prefix="loracraft-postgres-"))
    server = Postgres(home)
    server.start()
    try:
        yield server
    finally:
        # A scenario that failed may have left it stopped.
        server.stop(check=False)
        shutil.rmtree(home)


class Redis:
    def __init__(self) -> None:
        program = shutil.which("redis-server")
        assert program, "Redis is not installed: apt-get install redis-server"
        self.port = free_port()
        kept = ["--save", "", "--appendonly", "no", "--dir", tempfile.gettempdir()]
        self.command = [program, "--bind", "127.0.0.1", "--port", str(self.port), *kept]
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, **QUIET)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def redis() -> Iterator[Redis]:
    server = Redis()
    try:
        yield server
    finally:
        server.stop()
