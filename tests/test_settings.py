"""Settings that are made and not given."""

import os
import stat
import subprocess
import sys

from loracraft import settings


def test_processes_that_begin_together_have_one_secret_key(tmp_path):
    environment = {**os.environ, "LORACRAFT_DATA": str(tmp_path), "LORACRAFT_DOTENV": "0", "LORACRAFT_SECRET_KEY": ""}
    command = [sys.executable, "-c", "from loracraft import settings; print(settings.SECRET_KEY)"]
    options = {"cwd": settings.BASE_DIR, "env": environment, "stdout": subprocess.PIPE, "text": True}
    begun = [subprocess.Popen(command, **options) for _ in range(4)]
    keys = {process.communicate(timeout=60)[0] for process in begun}
    assert len(keys) == 1 and len(keys.pop().strip()) > 40
    file = tmp_path / "secret_key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.glob("secret_key*")] == ["secret_key"]
