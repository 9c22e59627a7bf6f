"""A path names a cell or a place inside one: `question`, `answers.text[0]`, `messages[role=user].content`.

A column name, then any number of `.key`, `[number]` (from the end if negative) and `[key=value]` (the last element of a
list whose `key` is `value`). Cells of nested values are JSON text. An exact column name always wins over the grammar,
so a column that is called `a.b` can be used, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Step = str | int | tuple[str, str]

STEP = re.compile(
    r"\.(?P<key>[^.\[\]]+)|\[(?P<index>-?\d{1,6})\]|\[(?P<name>[^\[\]=]+)=(?P<value>[^\[\]]*)\]", re.ASCII
)
# A nested value may also stand in a column of text: a CSV has no other way to hold it.
NESTED_TYPES = ("json", "text")
# Keys by which chat formats name who speaks.
ROLE_KEYS = ("role", "from")
MAX_STEPS = 6
MAX_OFFERED = 40


@dataclass(frozen=True)
class Place:
    column: str
    steps: tuple[Step, ...] = ()

    def find(self, row: dict[str, Any]) -> Any:
        """The value in `row`, None if there is none."""
        value = row.get(self.column)
        return inside(value, self.steps) if self.steps else value


def select(row: dict[str, Any], path: str) -> Any:
    """The value at `path` in a row of {column: cell}; None if it is absent."""
    place = parse(tuple(row), path)
    return place.find(row) if place else None


def valid(columns: list[dict[str, Any]], path: str) -> bool:
    """Whether `path` can name something in these columns. Rows may still have nothing there."""
    place = resolve(columns, path)
    if place is None:
        return False
    return not place.steps or any(c["name"] == place.column and c["type"] in NESTED_TYPES for c in columns)


def resolve(columns: list[dict[str, Any]], path: str) -> Place | None:
    return parse(tuple(str(column["name"]) for column in columns), path)


@lru_cache(maxsize=512)
def parse(names: tuple[str, ...], path: str) -> Place | None:
    """Of several columns that a path could begin with, the longest name wins."""
    if path in names:
        return Place(path)
    for name in sorted(names, key=len, reverse=True):
        if path.startswith((f"{name}.", f"{name}[")):
            steps = parse_steps(path[len(name) :])
            if steps is not None:
                return Place(name, steps)
    return None


def parse_steps(text: str) -> tuple[Step, ...] | None:
    found: list[Step] = []
    position = 0
    while position < len(text):
        match = STEP.match(text, position)
        if match is None or len(found) == MAX_STEPS:
            return None
        found.append(as_step(match))
        position = match.end()
    return tuple(found)


def as_step(match: re.Match[str]) -> Step:
    if match["key"] is not None:
        return match["key"]
    return int(match["index"]) if match["index"] is not None else (match["name"].strip(), match["value"].strip())


def inside(cell: Any, steps: Sequence[Step]) -> Any:
    value = decoded(cell)
    for step in steps:
        value = follow(value, step)
        if value is None:
            return None
    return value


def decoded(cell: Any) -> Any:
    """What a cell of JSON text holds."""
    if not isinstance(cell, str):
        return cell
    if not cell.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return None


def follow(value: Any, step: Step) -> Any:
    if isinstance(step, str):
        return value.get(step) if isinstance(value, dict) else None
    if not isinstance(value, list):
        return None
    if isinstance(step, int):
        return value[step] if -len(value) <= step < len(value) else None
    key, wanted = step
    return next((item for item in reversed(value) if isinstance(item, dict) and str(item.get(key)) == wanted), None)


# What the pages offer


def offered(columns: list[dict[str, Any]], sample_rows: Iterable[dict[str, Any]]) -> list[str]:
    """Every column, and behind it the places inside its cells that hold a value in the sample."""
    rows = list(sample_rows)
    found: list[str] = []
    for column in columns:
        name = str(column["name"])
        found.append(name)
        if column["type"] in NESTED_TYPES:
            found += [name + place for place in places([row.get(name) for row in rows])]
    return found


def places(cells: list[Any]) -> list[str]:
    """The places inside the cells, those first that most cells have."""
    counts: dict[str, int] = {}
    for cell in cells:
        for place in dict.fromkeys(leaves(decoded(cell), "", 0)):
            counts[place] = counts.get(place, 0) + 1
    return sorted(counts, key=lambda place: -counts[place])[:MAX_OFFERED]


def leaves(value: Any, path: str, depth: int) -> Iterator[str]:
    if isinstance(value, dict | list):
        if depth < MAX_STEPS:
            for step, item in branches(value):
                yield from leaves(item, path + step, depth + 1)
    elif path and value is not None:
        yield path


def branches(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        # A key with a mark of the grammar in it can't be named.
        yield from ((f".{key}", item) for key, item in value.items() if key and not set(key) & set(".[]"))
    elif value:
        roles = {role: item for item in value if (role := role_of(item))}
        if roles:
            yield from ((f"[{step}]", item) for step, item in roles.items())
        else:
            yield "[0]", value[0]


def role_of(item: Any) -> str:
    if isinstance(item, dict):
        for key in ROLE_KEYS:
            if isinstance(item.get(key), str) and not set(item[key]) & set("[]="):
                return f"{key}={item[key]}"
    return ""
