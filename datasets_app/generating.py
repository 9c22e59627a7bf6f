"""Questions from reasoning-gym. `python -m datasets_app.generating` reads one JSON request from standard input and
prints JSON lines.

It runs as a child process (datasets_app/generation.py): the package takes seconds to import, and a parameter may make a
generator run for ever. Neither Django nor a database is needed.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from datasets_app.limits import ATTEMPTS_PER_ROW, IMPORT_MEMORY_BYTES, bound_memory
from datasets_app.problems import DatasetProblem

# Many answers are right: where the metadata holds one, and "" where it holds none.
OPEN = {
    "graph_color": "possible_answer",
    "rubiks_cube": "example_correct_answer",
    "propositional_logic": "example_answer",
    "boxnet": "",
    "rush_hour": "",
}
# It mixes other tasks, which it asks for.
COMPOSITE = "composite"
MIXED = ["chain_sum", "leg_counting", "spell_backward"]
REFUSED = 3
SIMPLE = {int: "integer", float: "number", bool: "boolean", str: "text"}
LISTS = (list, tuple, Sequence)


def catalogue() -> dict[str, Any]:
    """{task: {"category", "parameters": [{"name", "type", "default", "choices"}], "answers": "one", or "example" and
    "none" where many are right}} of every task."""
    from reasoning_gym.factory import DATASETS

    return {
        task: {
            "category": made.__module__.split(".")[1],
            "parameters": mixed_parameters() if task == COMPOSITE else parameters(config),
            "answers": "one" if task not in OPEN else "example" if OPEN[task] else "none",
        }
        for task, (made, config) in sorted(DATASETS.items())
    }


def mixed_parameters() -> list[dict[str, Any]]:
    return [{"name": "datasets", "type": "tasks", "default": MIXED, "choices": []}]


def parameters(config: Any) -> list[dict[str, Any]]:
    """Those of a config dataclass that a form can hold: numbers, switches, texts, choices and lists of words."""
    hints, found = get_type_hints(config), []
    for field in fields(config):
        hint, default = without_none(hints[field.name]), default_of(field)
        # A path would let whoever fills the form read files of this machine.
        hidden = field.name in ("seed", "size") or "file" in field.name or "path" in field.name
        kind = "" if hidden else kind_of(hint, default)
        if kind:
            found.append({"name": field.name, "type": kind, "default": default, "choices": choices_of(hint)})
    return found


def without_none(hint: Any) -> Any:
    """X of `X | None`: a field of a form that may be left empty."""
    if get_origin(hint) in (Union, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        return kinds[0] if len(kinds) == 1 else hint
    return hint


def choices_of(hint: Any) -> list[Any]:
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [member.value for member in hint] if is_enum(hint) else []


def is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Enum)


def default_of(field: Any) -> Any:
    return field.default if field.default is not MISSING else field.default_factory()


def kind_of(hint: Any, default: Any) -> str:
    if hint in SIMPLE:
        return SIMPLE[hint]
    if choices_of(hint):
        return "choice"
    bare = hint in (list, tuple) and default and all(isinstance(item, str) for item in default)
    return "words" if bare or (get_origin(hint) in LISTS and set(get_args(hint)) <= {str, Ellipsis}) else ""


def valid(task: str, given: dict[str, Any]) -> dict[str, Any]:
    """`given` with the types that the task's config has. Raises DatasetProblem."""
    known = catalogue()
    if task not in known:
        raise DatasetProblem(f"reasoning-gym has no task “{task}”.", field="task")
    allowed = {item["name"]: item for item in known[task]["parameters"]}
    for name in given:
        if name not in allowed:
            raise DatasetProblem(f"{task} has no parameter “{name}”. It has: {', '.join(allowed)}.", field="parameters")
    if task == COMPOSITE:
        given = {"datasets": MIXED, **given}
    return {name: typed(task, name, converted(value, allowed[name])) for name, value in given.items()}


def typed(task: str, name: str, value: Any) -> Any:
    """`value` as the task's config wants it, where that is a type of its own."""
    from reasoning_gym.composite import DatasetSpec
    from reasoning_gym.factory import DATASETS

    if task == COMPOSITE:
        return [DatasetSpec(mixed, 1, {}) for mixed in value]
    hint = without_none(get_type_hints(DATASETS[task][1])[name])
    return hint(value) if is_enum(hint) and value is not None else value


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
    return tuple(value) if isinstance(parameter["default"], tuple) else list(value)


def text(value: Any, _: Any) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError
    return value


def tasks(value: Any, parameter: dict[str, Any]) -> list[str]:
    """Other tasks that have one right answer each."""
    named = list(words(value, parameter))
    known = catalogue()
    if any(name == COMPOSITE or known.get(name, {}).get("answers") != "one" for name in named):
        raise ValueError
    return named


CONVERTERS = {
    "integer": integer,
    "number": number,
    "boolean": boolean,
    "choice": choice,
    "text": text,
    "words": words,
    "tasks": tasks,
}
WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "choice": "one of these",
    "text": "a text of at most 200 characters",
    "words": "words with commas between them",
    "tasks": "names of tasks with one right answer, with commas between them",
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
        answer = answer_of(item, task)
        if same not in seen and answer is not None:
            seen.add(same)
            yield {"question": question, "answer": answer, "metadata": plain(item["metadata"])}


def one(made: Any, number: int, task: str) -> dict[str, Any]:
    try:
        item: dict[str, Any] = made[number]
    except Exception as error:
        raise DatasetProblem(
            f"{task} can't make a question of these parameters: {error}.", field="parameters"
        ) from error
    return item


def answer_of(item: dict[str, Any], task: str) -> str | None:
    """Of an open task an example of a right answer, or nothing."""
    answer = item["metadata"].get(OPEN[task], "") if task in OPEN else item["answer"]
    if isinstance(answer, dict):
        return json.dumps(plain(answer), ensure_ascii=False)
    return None if answer is None else str(answer)


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
    bound_memory(IMPORT_MEMORY_BYTES)
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
