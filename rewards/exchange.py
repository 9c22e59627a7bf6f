"""Presets as files: our own JSON out and in, and what other programs write in. Free of Django."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rewards import graders
from rewards.composition import Composition
from rewards.golden import CASES
from rewards.graders import GraderProblem
from rewards.problems import messages

FORMAT, FORMAT_VERSION = "loracraft-reward", 1
LARGEST_BYTES = 1_000_000
PYTHON = re.compile(r"\A(?:\s*(?:#[^\n]*)?\n)*\s*(?:from\s+\S+\s+import\s|import\s|(?:async\s+)?def\s|@\w|class\s)")


class ImportProblem(ValueError):
    """What is wrong with a file, one sentence for each thing, in `problems`."""

    def __init__(self, *problems: str) -> None:
        super().__init__(" ".join(problems))
        self.problems = list(problems)


@dataclass
class Imported:
    """A preset that is not saved yet. `kind` says in words what it was read from, `notes` what differs from that."""

    definition: dict[str, Any]
    kind: str
    name: str = ""
    slug: str = ""
    category: str = ""
    description: str = ""
    golden: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Preset(BaseModel):
    """Our own file."""

    model_config = ConfigDict(extra="forbid")

    format: str
    format_version: int
    name: str = Field("", max_length=120)
    slug: str = Field("", max_length=80)
    category: str = Field("", max_length=60)
    description: str = Field("", max_length=2000)
    version: int | None = None
    definition: dict[str, Any]
    golden: list[Any] = Field(default_factory=list)


def exported(preset: Mapping[str, Any]) -> dict[str, Any]:
    """`preset`: name, slug, category, description, version, definition and golden."""
    names = ("name", "slug", "category", "description", "version", "definition", "golden")
    return {"format": FORMAT, "format_version": FORMAT_VERSION, **{name: preset[name] for name in names}}


def read(text: str) -> Imported:
    """Whatever it is: our own file, a definition, an OpenAI grader, or Python code. Raises ImportProblem."""
    if not text.strip():
        raise ImportProblem("There is nothing to read: paste a reward, or choose a file.")
    if len(text.encode(errors="surrogatepass")) > LARGEST_BYTES:
        raise ImportProblem("This is larger than 1 MB, and no reward is: is it the right file?")
    try:
        if PYTHON.match(text):
            return of_translated(graders.from_python(text), "a Python function")
    except GraderProblem as error:
        raise ImportProblem(*error.problems) from None
    return read_value(parsed(text))


def read_value(value: Any) -> Imported:
    """The same of JSON that is parsed already. Raises ImportProblem."""
    try:
        return of_value(value)
    except GraderProblem as error:
        raise ImportProblem(*error.problems) from None


def parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"Line {error.lineno}, column {error.colno}: {error.msg}."
        raise ImportProblem(f"This is neither JSON nor Python. {where}") from None
    except RecursionError:
        raise ImportProblem("This JSON is nested too deeply to be a reward.") from None


def of_value(value: Any) -> Imported:
    """What is read from JSON. Raises ImportProblem, GraderProblem."""
    if not isinstance(value, dict):
        raise ImportProblem("A reward is a JSON object, in braces.")
    if "format" in value:
        return of_own(value)
    if graders.is_grader(value):
        made = of_translated(graders.translated(value), "an OpenAI grader")
        inner = value if "type" in value else value["grader"]
        made.name = str(inner.get("name") or "")[:120]
        return made
    if "parts" in value:
        return Imported(checked(value), "a definition")
    raise ImportProblem(
        f"This is none of the kinds of reward that can be read: a file exported here (“format”: “{FORMAT}”), a"
        f" definition with “parts”, or an OpenAI grader with a “type” ({', '.join(graders.TYPES)})."
    )


def of_translated(made: graders.Translated, kind: str) -> Imported:
    return Imported(made.definition, kind, notes=made.notes)


def of_own(value: dict[str, Any]) -> Imported:
    if value["format"] != FORMAT:
        raise ImportProblem(f"format: {value['format']!r} is not the format of a reward, which is {FORMAT!r}.")
    if value.get("format_version") != FORMAT_VERSION:
        raise ImportProblem(
            f"format_version: this program reads version {FORMAT_VERSION}, and the file has"
            f" {value.get('format_version')!r}. Export it again with a program of the same age."
        )
    try:
        file = Preset.model_validate(value)
    except ValidationError as error:
        raise ImportProblem(*messages(error)) from None
    made = Imported(checked(file.definition, "definition."), "an exported preset", golden=golden_of(file.golden))
    for name in ("name", "slug", "category", "description"):
        setattr(made, name, getattr(file, name))
    return made


def checked(definition: dict[str, Any], place: str = "") -> dict[str, Any]:
    try:
        return Composition.model_validate(definition).model_dump(mode="json")
    except ValidationError as error:
        raise ImportProblem(*(f"{place}{message}" for message in messages(error))) from None


def golden_of(cases: list[Any]) -> list[Any]:
    try:
        found: list[Any] = CASES.dump_python(CASES.validate_python(cases), mode="json", exclude_unset=True)
    except ValidationError as error:
        raise ImportProblem(*(f"golden.{message}" for message in messages(error))) from None
    return found
