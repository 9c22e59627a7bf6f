"""What the web process knows of reasoning-gym, without importing it."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings

from datasets_app import parsing
from datasets_app.generating import REFUSED
from datasets_app.limits import EXAMPLE_SECONDS, GENERATE_SECONDS, MAX_GENERATED_ROWS
from datasets_app.problems import DatasetProblem
from loracraft.numbers import thousands

MODULE = "datasets_app.generating"
# Shown first, easiest first, with words for people.
CURATED = {
    "chain_sum": "Sums and differences",
    "basic_arithmetic": "Arithmetic with all four operations",
    "products": "Multiplication",
    "leg_counting": "Counting legs of animals",
    "gsm_symbolic": "Word problems (GSM8K style)",
    "simple_equations": "Equations with one unknown",
    "fraction_simplification": "Simplifying fractions",
    "gcd": "Greatest common divisor",
    "lcm": "Least common multiple",
    "calendar_arithmetic": "Dates and weekdays",
    "number_sorting": "Sorting numbers",
    "letter_counting": "Counting letters",
    "spell_backward": "Spelling backwards",
    "word_sorting": "Sorting words",
    "knights_knaves": "Knights and knaves",
    "countdown": "Countdown numbers game",
}
NOTES = {
    "example": "Each of these questions has many right answers, and the stored one is an example. A reward that"
    " compares with it would punish other right answers: write one of your own, which checks the answer with the column"
    " metadata.",
    "none": "Each of these questions has many right answers, and none is stored. The column metadata, which holds the"
    " puzzle, is used as the reference: train with a reward of your own that checks the answer with it.",
}
UNFINISHED = "{task} took too long or too much memory. Ask for fewer questions or easier parameters."


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Any]:
    """generating.catalogue(), from a file that is made once for each version of the package."""
    # The number grows with the shape of what is kept.
    file = Path(settings.CACHE_DIR) / f"reasoning-gym-{version('reasoning-gym')}-2.json"
    if not file.exists():
        made = file.with_suffix(f".{os.getpid()}.tmp")
        made.write_bytes(ask({"catalogue": True}, GENERATE_SECONDS))
        made.replace(file)
    tasks: dict[str, Any] = json.loads(file.read_text())
    return tasks


def choices(search: str = "") -> list[tuple[str, list[tuple[str, str]]]]:
    """For a select: the curated tasks, then all others by category. With a search those in whose name or category each
    of its words occurs."""
    tasks, words = catalogue(), search.lower().split()
    groups: dict[str, list[tuple[str, str]]] = {}
    for task in [*CURATED, *(name for name in tasks if name not in CURATED)]:
        category = tasks[task]["category"]
        if all(word in f"{task} {label(task)} {category}".lower() for word in words):
            group = "Good to start with" if task in CURATED else category.capitalize()
            groups.setdefault(group, []).append((task, label(task)))
    return list(groups.items())


def note(task: str) -> str:
    """What to know before training on it; "" if every question has one right answer."""
    return NOTES.get(catalogue().get(task, {}).get("answers", "one"), "")


def label(task: str) -> str:
    return CURATED.get(task, task.replace("_", " ").capitalize())


def examples(task: str, parameters: dict[str, Any], seed: int, count: int = 3) -> list[dict[str, Any]]:
    """The first rows that generate() would store. Raises DatasetProblem."""
    return list(cached_examples(task, json.dumps(parameters, sort_keys=True), seed, count))


@lru_cache(maxsize=256)
def cached_examples(task: str, parameters: str, seed: int, count: int) -> tuple[dict[str, Any], ...]:
    request = {"task": task, "parameters": json.loads(parameters), "seed": seed, "size": count}
    return tuple(json.loads(line) for line in ask(request, EXAMPLE_SECONDS).splitlines())


def write(file: Path, task: str, parameters: dict[str, Any], seed: int, size: int) -> None:
    """Fills `file` with JSON lines. Raises DatasetProblem, also if the task has fewer than two questions."""
    if not 2 <= size <= MAX_GENERATED_ROWS:
        raise DatasetProblem(f"Ask for 2 to {thousands(MAX_GENERATED_ROWS)} questions.", field="size")
    request = {"task": task, "parameters": parameters, "seed": seed, "size": size}
    with open(file, "wb") as output:
        ask(request, GENERATE_SECONDS, output)
    with open(file, "rb") as output:
        if len(list(islice(output, 2))) < 2:
            raise DatasetProblem(f"{task} has fewer than two questions with these parameters.", field="parameters")


def ask(request: dict[str, Any], seconds: int, output: BinaryIO | None = None) -> bytes:
    """What the child prints, unless it goes to `output`. Raises DatasetProblem."""
    with parsing.child(MODULE, seconds=seconds, output=output) as process:
        printed, errors = process.communicate(json.dumps(request).encode())
    if process.returncode == 0:
        return printed or b""
    if process.returncode == REFUSED:
        answer = json.loads(errors.splitlines()[-1])
        raise DatasetProblem(answer["problem"], field=answer["field"])
    message = UNFINISHED.format(task=request.get("task", "reasoning-gym"))
    raise DatasetProblem(message, field="task") from RuntimeError(errors.decode(errors="replace")[-2000:])
