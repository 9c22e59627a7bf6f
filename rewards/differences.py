"""Two versions of a preset compared, in words: what a person would say was changed. Free of Django."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from rewards.composition import Composition
from rewards.registry import REGISTRY

SHARED = {"normalise": "none", "formula": "", "gated_total": 0.0}
SHARED_TITLES = {"normalise": "normalise", "formula": "formula", "gated_total": "total of a closed gate"}
LONGEST = 80


def full(definition: dict[str, Any]) -> dict[str, Any]:
    """With every default written out, so that two ways to write the same reward are equal.

    A definition that no longer holds is returned as it is.
    """
    try:
        composition = Composition.model_validate(definition)
    except ValidationError:
        return definition
    written = composition.model_dump(mode="json")
    for part, raw in zip(composition.parts, written["parts"], strict=True):
        raw["parameters"] = part.parsed.model_dump(mode="json")
    return written


def same(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return full(before) == full(after)


def between(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """[] if both score alike."""
    before, after = full(before), full(after)
    old, new = ({part["name"]: part for part in each.get("parts", [])} for each in (before, after))
    renamed = renamings(old, new)
    old = {renamed.get(name, name): part for name, part in old.items()}
    said = [f"“{was}” is now called “{now}”" for was, now in renamed.items()]
    said += [f"“{name}” removed" for name in old if name not in new]
    for name, part in new.items():
        if name in old:
            said += [f"“{name}”: {change}" for change in part_changes(old[name], part)]
        else:
            said.append(f"“{name}” added: {title(part)}, weight {part.get('weight', 1):g}")
    if not said and list(old) != list(new):
        said.append("the parts are in another order")
    return said + list(shared_changes(before, after))


def renamings(old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """{old name: new name} of parts that are the same but for their names."""
    found: dict[str, str] = {}
    for name, part in old.items():
        bare = part | {"name": ""}
        twins = [other for other, its in new.items() if its | {"name": ""} == bare]
        free = [twin for twin in twins if twin not in old and twin not in found.values()]
        if name not in new and free:
            found[name] = free[0]
    return found


def title(part: Mapping[str, Any]) -> str:
    known = REGISTRY.get(part.get("function", ""))
    return known.title if known else str(part.get("function"))


def part_changes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    if old.get("function") != new.get("function"):
        yield f"{title(old)} → {title(new)}"
    for name, default in (("weight", 1.0), ("gate", None), ("clip", None)):
        was, now = old.get(name, default), new.get(name, default)
        if was != now:
            yield f"{name} {shown(was)} → {shown(now)}"
    was, now = old.get("parameters", {}), new.get("parameters", {})
    for name in dict.fromkeys([*was, *now]):
        if was.get(name) != now.get(name):
            yield f"{label(new, name)}: {shown(was.get(name))} → {shown(now.get(name))}"


def label(part: Mapping[str, Any], name: str) -> str:
    known = REGISTRY.get(part.get("function", ""))
    info = known.parameters.model_fields.get(name) if known else None
    text = info.title if info and info.title else name
    return text[0].lower() + text[1:]


def shared_changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for name, default in SHARED.items():
        was, now = before.get(name, default), after.get(name, default)
        if was != now:
            yield f"{SHARED_TITLES[name]}: {shown(was)} → {shown(now)}"


def of_golden(before: list[Any], after: list[Any]) -> list[str]:
    if before == after:
        return []
    if len(before) == len(after):
        return ["golden cases changed"]
    return [f"golden cases: {len(before)} → {len(after)}"]


def shown(value: Any) -> str:
    """A parameter as one reads it: long texts by their beginning."""
    if value is None or value in ("", []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(shown(each) for each in value)[:LONGEST]
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
