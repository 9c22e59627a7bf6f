"""The optional `.env` file beside manage.py. The environment goes before it. Standard library only: set-up uses it."""

import os
from pathlib import Path


def load(file: Path) -> None:
    if os.environ.get("LORACRAFT_DOTENV") == "0" or not file.is_file():
        return
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        entry = line.strip().removeprefix("export ")
        if not entry or entry.startswith("#"):
            continue
        name, equals, value = entry.partition("=")
        if not equals or not name.strip().isidentifier():
            raise SystemExit(f"{file.name}, line {number}: write NAME=value, or start the line with # for a comment.")
        os.environ.setdefault(name.strip(), unquoted(value.strip()))


def unquoted(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value
