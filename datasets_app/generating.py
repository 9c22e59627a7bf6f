"""Questions from reasoning-gym. `python -m datasets_app.generating` reads one JSON request from standard input and
prints JSON lines.

It runs as a child process (datasets_app/generation.py): the package takes seconds to import, and a parameter may make a
generator run for ever. Neither Django nor a database is needed.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from datasets_app.limits import ATTEMPTS_PER_ROW
from datasets_app.problems import DatasetProblem
from datasets_app.storing import bound_memory

# `composite` needs other tasks as its parameters; the others have no single right answer to compare with.
LEFT_OUT = {"composite", "graph_color", "rubiks_cube", "boxnet", "rush_hour", "propositional_logic"}
REFUSED = 3
SIMPLE = {int: "integer", float: "number", bool: "boolean"}
LISTS = (list, tuple)


def catalogue() -> dict[str, Any]:
    """{task: {"category", "parameters": [{"name", "type", "default", "choices"}]}} of every task with an answer."""
    from reasoning_gym.factory import DATASETS

    return {
        task: {"category": made.__module__.split(".")[1], "parameters": parameters(config)}
        for task, (made, config) in sorted(DATASETS.items())
        if task not in LEFT_OUT
    }


def parameters(config: Any) -> list[dict[str, Any]]:
    """Those of a config dataclass that a form can hold: numbers, switches, choices and lists of words."""
    hints, found = get_type_hints(config), []
    for field in fields(config):
        kind = "" if field.name in ("seed", "size") else kind_of(hints[field.name])
        if kind:
            default = default_of(field)
            choices = list(get_args(hints[field.name])) if kind == "choice" else []
            found.append({"name": field.name, "type": kind, "default": default, "choices": choices})
    return found


def default_of(field: Any) -> Any:
    return field.default if field.default is not MISSING else field.default_factory()


def kind_of(hint: Any) -> str:
    if hint in SIMPLE:
        return SIMPLE[hint]
    if get_origin(hint) is Literal:
        return "choice"
    return "words" if get_origin(hint) in LISTS and set(get_args(hint)) <= {str, Ellipsis} else ""


def valid(task: str, given: dict[str, Any]) -> dict[str, Any]:
    """`given` with the types that the task's config has. Raises DatasetProblem."""
    known = catalogue()
    if task not in known:
        raise DatasetProblem(f"reasoning-gym has no task “{task}” with one right answer.", field="task")
    allowed = {item["name"]: item for item in known[task]["parameters"]}
    for name in given:
        if name not in allowed:
            raise DatasetProblem(f"{task} has no parameter “{name}”. It has: {', '.join(allowed)}.", field="parameters")
    return {name: converted(value, allowed[name]) for name, value in given.items()}


def converted(value: Any, parameter: dict[str, Any]) -> Any:
    """Raises DatasetProblem if `value` is not of the parameter's type; a form's text is understood, too."""
    try:
        return CONVERTERS[parameter["type"]](value, parameter)
    except (ValueError, TypeError):
        raise DatasetProblem(
            f"{parameter['name']} must be {WORDS[parameter['type']]}{one_of(parameter)}.", field="parameters"
        ) from None


def one_of(parameter: dict[str, Any]) -> str:
    return f": {', '.join(map(str, parameter['choices']))}" if parameter["choices"] else ""


def integer(value: Any, _: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value)


def number(value: Any, _: Any) -> float:
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise ValueError
    return float(value)


def boolean(value: Any, _: Any) -> bool:
    answers = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False, "": False}
    word = str(value).strip().lower()
    if word not in answers:
        raise ValueError
    return answers[word]


def choice(value: Any, parameter: dict[str, Any]) -> Any:
    if value not in parameter["choices"]:
        raise ValueError
    return value


def words(value: Any, parameter: dict[str, Any]) -> Any:
    if isinstance(value, str):
        value = [word.strip() for word in value.split(",") if word.strip()]
    if not value or not all(isinstance(word, str) for word in value):
        raise ValueError
    return type(parameter["default"])(value) if isinstance(parameter["default"], LISTS) else list(value)


CONVERTERS = {"integer": integer, "number": number, "boolean": boolean, "choice": choice, "words": words}
WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "choice": "one of these",
    "words": "words with commas between them",
}


def questions(task: str, given: dict[str, Any], seed: int, size: int) -> Iterator[dict[str, Any]]:
    """At most `size` rows, no two with the same question. The same arguments give the same rows."""
    import reasoning_gym

    chosen, attempts = valid(task, given), size * ATTEMPTS_PER_ROW
    try:
        made = reasoning_gym.create_dataset(task, seed=seed, size=attempts, **chosen)
    except (AssertionError, ValueError, TypeError) as error:
        raise DatasetProblem(f"{task} does not accept these parameters: {error}.", field="parameters") from None
    seen: set[str] = set()
    for number in range(attempts):
        if len(seen) == size:
            return
        item = one(made, number, task)
        question = item["question"].strip()
        # As the held-out split compares questions, so that none of ours can be a duplicate there.
        same = " ".join(question.split()).casefold()
        if same not in seen and item["answer"] is not None:
            seen.add(same)
            yield {"question": question, "answer": str(item["answer"]), "metadata": plain(item["metadata"])}


def one(made: Any, number: int, task: str) -> dict[str, Any]:
    try:
        item: dict[str, Any] = made[number]
    except Exception as error:
        raise DatasetProblem(
            f"{task} can't make a question of these parameters: {error}.", field="parameters"
        ) from error
    return item


def plain(value: Any) -> Any:
    """`value` as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def main() -> int:
    bound_memory()
    request = json.load(sys.stdin)
    try:
        if request.get("catalogue"):
            say(catalogue())
        else:
            for row in questions(request["task"], request["parameters"], request["seed"], request["size"]):
                say(row)
    except DatasetProblem as problem:
        sys.stderr.write(json.dumps({"problem": problem.message, "field": problem.field}) + "\n")
        return REFUSED
    return 0


def say(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
