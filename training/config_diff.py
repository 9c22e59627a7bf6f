"""Where configs differ, under the schema's labels: of a clone and its original, or of several sessions side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from training.schema import SessionConfig, with_algorithm

TITLES = {"grpo": "GRPO", "pre_training": "SFT warm-up"}
# What a page shows of one value.
LONGEST_TEXT = 400
EMPTY = "empty"
# What a part of a reward is where it says nothing else.
PART = {"weight": 1.0, "parameters": {}}


@dataclass(frozen=True)
class Difference:
    """`values`: one for each config, in their order; a config that does not set the field has its default."""

    key: str
    section: str
    label: str
    values: tuple[Any, ...]
    help: str = ""
    unit: str = ""

    @property
    def is_same(self) -> bool:
        return all(value == self.values[0] for value in self.values)

    @property
    def texts(self) -> list[str]:
        return [as_text(value) for value in self.values]


def differences(configs: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """The fields in which not all are equal."""
    return [setting for setting in compared(configs) if not setting.is_same]


def compared(configs: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Every field but name and version, in the schema's order. A config may be a draft: incomplete, or wrong in
    places."""
    sections = [{name: _section(config, name) for name in _sections()} for config in configs]
    return [_described(field, info, sections) for field, info in fields().items()]


def fields() -> dict[str, FieldInfo]:
    """Every setting by its dotted name, those included that no form can hold."""
    return {
        f"{section}.{key}": info for section, model in _sections().items() for key, info in model.model_fields.items()
    }


def _sections() -> dict[str, type[BaseModel]]:
    kinds = {name: info.annotation for name, info in SessionConfig.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}


def _described(field: str, info: FieldInfo, sections: Sequence[Mapping[str, Mapping[str, Any]]]) -> Difference:
    name, _, key = field.partition(".")
    standard = info.get_default(call_default_factory=True)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    return Difference(
        key=field,
        section=TITLES.get(name, name.replace("_", " ").capitalize()),
        label=info.title or key,
        values=tuple(_plain(section[name].get(key, standard)) for section in sections),
        help=info.description or "",
        unit=str(extra.get("unit", "")),
    )


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inside = config.get(name)
    if not isinstance(inside, Mapping):
        return {}
    if name == "reward" and isinstance(inside.get("parts"), list):
        return {
            **inside,
            "parts": [{**PART, **part} if isinstance(part, Mapping) else part for part in inside["parts"]],
        }
    return with_algorithm(inside) if name == "grpo" else inside


def _plain(value: Any) -> Any:
    """As JSON has it, and without what counts as not set: a draft and the config that it becomes must agree."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if value == "" else value


def as_text(value: Any) -> str:
    """As somebody would write it."""
    if value is None or value == []:
        return EMPTY
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return format(value, ".12g")
    text = ", ".join(_item(item) for item in value) if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def _item(value: Any) -> str:
    """A reward's part in the words of a formula; any other item as it is."""
    if not isinstance(value, Mapping):
        return str(value)
    more = {key: value[key] for key in ("gate", "clip") if key in value} | dict(value.get("parameters") or {})
    inside = "; ".join(f"{key} {as_text(item)}" for key, item in more.items())
    name, function = value.get("name", "?"), value.get("function", "?")
    words = f"{value.get('weight', 1.0):g} × {name}" if isinstance(value.get("weight", 1.0), int | float) else str(name)
    return f"{words} ({function}{': ' if inside else ''}{inside})"
