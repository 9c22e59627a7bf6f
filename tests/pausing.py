"""SIGSTOP as a machine that sleeps: a process that holds SQLite's lock is let on first. Else nobody could write until
it goes on, where a database server would have ended its transaction."""

import os
import signal
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path


def pause(pids: Sequence[int], database: Path) -> None:
    while True:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        if is_writable(database):
            return
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.05)


def is_writable(database: Path) -> bool:
    connection = sqlite3.connect(database, timeout=2, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True
