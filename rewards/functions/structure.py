"""Does the answer have the parts that were asked for, in the order that was asked for? Form alone: no truth."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loracraft.numbers import thousands
from rewards.functions.form import read_json
from rewards.functions.text import PLACE_HELP, compiled, encodable
from rewards.registry import Example, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import Place, section
from rewards.symbolic import TooSlow, deadline

# Markdown, numbers and bold round a heading: "## 2. **Steps**:".
# Possessive: a line may be 100,000 spaces.
BEFORE_HEADING = r"^[ \t]*+(?:#{1,6}[ \t]*+)?(?:\d{1,3}[.)][ \t]*+)?(?:\*\*|__)?[ \t]*+"
AFTER_HEADING = r"[ \t]*+(?:\*\*|__)?[ \t]*+(?::[ \t]*+(?:\*\*|__)?|$)"
MOST_PATTERNS = 20
LONGEST_JSON = 100_000
DEEPEST_JSON = 50
SCHEMA_SECONDS = 5.0
MOST_ERRORS = 200


class Sections(Parameters):
    min_words: int = Field(1, ge=0, le=100_000, title="At least", description="Words in a section.")
    max_words: int = Field(100_000, ge=1, le=100_000, title="At most", description="Words in a section.")
    kind: Literal["headings", "markers"] = Field(
        "headings",
        title="Kind",
        description="headings: a line with # or bold, or that ends with a colon. markers: exactly this text, anywhere.",
    )
    place: Place = Field("response", title="Place", description=PLACE_HELP)

    @model_validator(mode="after")
    def a_range(self) -> Self:
        if self.max_words < self.min_words:
            raise ValueError("“At most” is below “at least”.")
        return self


class SectionOrder(Sections):
    sections: list[str] = Field(
        min_length=1, max_length=50, title="Sections", description="Their headings or markers in order, one a line."
    )

    @field_validator("sections")
    @classmethod
    def names_differ(cls, sections: list[str]) -> list[str]:
        names = [name.strip() for name in sections]
        if not all(names):
            raise ValueError("A heading is empty: remove it.")
        if len({name.casefold() for name in names}) < len(names):
            raise ValueError("A heading is named twice: each section occurs once.")
        return names


def written(response: str, value: float, **parameters: object) -> Example:
    return Example(Sample("Report the fault.", response), value, parameters)


TWO = ["Cause", "Fix"]


@reward_function(
    title="Section order",
    category="Format",
    parameters=SectionOrder,
    examples=(
        written("## Cause\nA loose cable.\n## Fix\nPlug it in.", 1.0, sections=TWO),
        written("**Cause:** a loose cable.\n**Fix:** plug it in.", 1.0, sections=TWO),
        written("<a>One</a><b>Two</b>", 1.0, sections=["<a>", "<b>"], kind="markers"),
        written("## Fix\nPlug it in.\n## Cause\nA loose cable.", 0.5, sections=TWO),
        written("## Cause\n## Fix\nPlug it in.", 0.5, sections=TWO),
        written("Fix the cause.", 0.0, sections=TWO),
    ),
)
def section_order(sample: Sample, parameters: SectionOrder) -> Score:
    """Share of the sections that occur once, after the one before them, with as many words as asked for."""
    text = section(sample, parameters.place)
    places = {name: found(text, name, parameters.kind) for name in parameters.sections}
    starts = sorted(start for hits in places.values() for start, _ in hits)
    wrong, reached = [], -1
    for name, hits in places.items():
        problem = _problem(text, hits, starts, reached, parameters)
        if problem:
            wrong.append(f"“{name}” {problem}")
        else:
            reached = hits[0][0]
    value = 1 - len(wrong) / len(places)
    return Score(value, f"{'; '.join(wrong)}."[:300] if wrong else "All sections are there, in order and with text.")


def found(text: str, name: str, kind: str) -> list[tuple[int, int]]:
    """Where headings or markers of this name start and end: two at most, which is one too many."""
    if kind == "markers":
        pattern = re.compile(re.escape(name))
    else:
        pattern = re.compile(BEFORE_HEADING + re.escape(name) + AFTER_HEADING, re.IGNORECASE | re.MULTILINE)
    hits = []
    for hit in pattern.finditer(text):
        hits.append(hit.span())
        if len(hits) == 2:
            break
    return hits


def _problem(text: str, hits: list[tuple[int, int]], starts: list[int], reached: int, parameters: SectionOrder) -> str:
    if len(hits) != 1:
        return "is missing" if not hits else "occurs more than once"
    start, end = hits[0]
    if start < reached:
        return "comes too early"
    until = next((other for other in starts if other > start), len(text))
    return words_problem(text[end:until], parameters)


def words_problem(text: str, parameters: Sections) -> str:
    # The end tag of a section is no word of it.
    count = len(re.sub(r"</[^<>]{1,80}>", " ", text).split())
    if count < parameters.min_words:
        return f"has {count} words, fewer than {parameters.min_words}"
    if count > parameters.max_words:
        return f"has {count} words, more than {parameters.max_words}"
    return ""


class SectionContent(Sections):
    name: str = Field(min_length=1, max_length=200, title="Section", description="Its heading or marker.")
    until: str = Field("", max_length=200, title="Up to", description="The next heading or marker; none: to the end.")
    keywords: list[str] = Field(
        default_factory=list, max_length=100, title="Keywords", description="Each counts as much as the length."
    )


@reward_function(
    title="Section content",
    category="Format",
    parameters=SectionContent,
    examples=(
        written("Cause: a loose cable.", 1.0, name="Cause", keywords=["cable"]),
        written("Cause: a loose cable.", 0.5, name="Cause", keywords=["plug"]),
        written("Cause: a cable.\nFix: plug it in.", 0.5, name="Cause", until="Fix", keywords=["plug"]),
        written("<fix>Plug it in.</fix> Done.", 1.0, name="<fix>", until="</fix>", kind="markers", max_words=3),
        written("A loose cable.", 0.0, name="Cause", keywords=["cable"]),
    ),
)
def section_content(sample: Sample, parameters: SectionContent) -> Score:
    """Share of what one section has of its keywords and its length; 0 if it is missing or empty."""
    text = section(sample, parameters.place)
    hits = found(text, parameters.name, parameters.kind)
    if len(hits) != 1:
        return Score(0.0, f"“{parameters.name}” {'occurs more than once' if hits else 'is missing'}.")
    inside = text[hits[0][1] :]
    ends = found(inside, parameters.until, parameters.kind) if parameters.until else []
    inside = inside[: ends[0][0]] if ends else inside
    if not inside.strip():
        return Score(0.0, f"“{parameters.name}” is empty.")
    missing = [word for word in parameters.keywords if word.casefold() not in inside.casefold()]
    problems = [problem] if (problem := words_problem(inside, parameters)) else []
    problems += [f"does not say “{word}”" for word in missing]
    value = 1 - len(problems) / (len(parameters.keywords) + 1)
    return Score(value, f"“{parameters.name}” {', '.join(problems) or 'has what was asked for'}."[:300])


class PatternSequence(Parameters):
    patterns: list[str] = Field(
        min_length=1,
        max_length=MOST_PATTERNS,
        title="Patterns",
        description="In order, one a line. RE2 syntax: no look-around and no back-references.",
    )
    place: Place = Field("response", title="Place", description=PLACE_HELP)
    ignore_case: bool = Field(True, title="Ignore case")

    @field_validator("patterns")
    @classmethod
    def match_something(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            if len(pattern) > 2000:
                raise ValueError(f"A pattern has at most {thousands(2000)} characters.")
            if compiled(pattern).search(""):
                raise ValueError(f"{pattern[:80]!r} matches an empty text, so it occurs everywhere.")
        return patterns


STEPS = [r"\bfirst\b", r"\bthen\b", r"\bfinally\b"]


@reward_function(
    title="Patterns in order",
    category="Text",
    parameters=PatternSequence,
    examples=(
        written("First unplug it, then wait, finally plug it in.", 1.0, patterns=STEPS),
        written("Then wait. First, unplug it. Finally, plug it in.", 2 / 3, patterns=STEPS),
        written("Finally wait, then plug it in, first.", 1 / 3, patterns=STEPS),
        written("Unplug it.", 0.0, patterns=STEPS),
    ),
)
def pattern_sequence(sample: Sample, parameters: PatternSequence) -> Score:
    """Share of the patterns that occur one after another, in the order given."""
    text = encodable(section(sample, parameters.place))
    # ends[k]: the earliest place by which k of the patterns seen so far have occurred in order.
    ends = [0]
    for pattern in (compiled(each, parameters.ignore_case) for each in parameters.patterns):
        longer = [hit.end() if (hit := pattern.search(text, end)) else None for end in ends]
        for count in range(len(ends), 0, -1):
            end = longer[count - 1]
            if end is not None and count == len(ends):
                ends.append(end)
            elif end is not None:
                ends[count] = min(ends[count], end)
    matched = len(ends) - 1
    return Score(
        matched / len(parameters.patterns), f"{matched} of {len(parameters.patterns)} patterns occur in order."
    )


class JsonSchema(Parameters):
    schema_text: str = Field(
        '{"type": "object"}',
        min_length=2,
        max_length=50_000,
        title="Schema",
        description="A JSON schema. It may refer to itself (#/...), not to other addresses. Patterns are RE2.",
        json_schema_extra={"multiline": True},
    )
    partial: bool = Field(
        False, title="Partial", description="The share of the outermost keys that are right. Off: all or nothing."
    )
    place: Place = Field("response", title="Place", description=PLACE_HELP)

    @field_validator("schema_text")
    @classmethod
    def is_a_schema(cls, text: str) -> str:
        validator_of(text)
        return text


@lru_cache(maxsize=64)
def validator_of(text: str) -> Any:
    """Raises ValueError with a sentence. Nothing is ever fetched: an empty registry knows no other document."""
    from jsonschema import Draft202012Validator, exceptions, validators
    from referencing import Registry

    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The schema is not JSON: {error}.") from None
    for keyword, value in keywords(schema):
        _refuse_keyword(keyword, value)
    kind = validators.validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
    except (exceptions.SchemaError, RecursionError) as error:
        reason = getattr(error, "message", "it nests too deeply")
        raise ValueError(f"This is no JSON schema: {reason}."[:300]) from None
    return validators.extend(kind, {"pattern": _pattern})(schema, registry=Registry())


def keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield from node.items()
        waiting.extend(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())


def _refuse_keyword(keyword: str, value: Any) -> None:
    if keyword in ("$ref", "$dynamicRef", "$recursiveRef") and isinstance(value, str) and not value.startswith("#"):
        raise ValueError(f"The schema refers to {value[:80]!r}: put what it needs under $defs and refer to #/$defs/...")
    if keyword == "patternProperties":
        raise ValueError("The schema uses patternProperties, which is not supported: name the properties.")
    if keyword == "pattern" and isinstance(value, str):
        compiled(value)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and not compiled(pattern).search(encodable(instance)):
        yield ValidationError(f"{instance[:80]!r} does not match {pattern[:80]!r}")


PERSON = json.dumps(
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
        "required": ["name", "age"],
    }
)


@reward_function(
    title="JSON by a schema",
    category="Format",
    parameters=JsonSchema,
    examples=(
        written('{"name": "Ada", "age": 36}', 1.0, schema_text=PERSON),
        written('```json\n{"name": "Ada", "age": 36}\n```', 1.0, schema_text=PERSON),
        written('{"name": "Ada", "age": -1}', 0.0, schema_text=PERSON),
        written('{"name": "Ada", "age": -1}', 0.5, schema_text=PERSON, partial=True),
        written('{"name": "Ada"', 0.0, schema_text=PERSON),
    ),
)
def json_schema(sample: Sample, parameters: JsonSchema) -> Score:
    """1 if the text is JSON that the schema allows; partly, the share of its outermost keys that are right."""
    text = section(sample, parameters.place)
    if len(text) > LONGEST_JSON:
        raise RewardError(
            f"The text has {thousands(len(text))} characters; a schema is checked on at most {thousands(LONGEST_JSON)}."
        )
    try:
        value = read_json(text)
    except (ValueError, RecursionError) as error:
        return Score(0.0, f"Not JSON: {error}."[:120])
    if too_deep(value):
        return Score(0.0, f"The JSON nests deeper than {DEEPEST_JSON} levels.")
    validator = validator_of(parameters.schema_text)
    errors = _errors(validator, value)
    if not errors:
        return Score(1.0, "As the schema wants it.")
    said = "; ".join(f"at {'.'.join(map(str, e.absolute_path)) or 'the top'}: {e.message[:100]}" for e in errors[:3])
    return Score(
        _share(value, errors, validator.schema) if parameters.partial else 0.0, f"{len(errors)} wrong, {said}."[:300]
    )


def too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEEPEST_JSON):
        level = [
            inner
            for node in level
            if isinstance(node, dict | list)
            for inner in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _errors(validator: Any, value: Any) -> list[Any]:
    try:
        with deadline(SCHEMA_SECONDS):
            return list(islice(validator.iter_errors(value), MOST_ERRORS))
    except TooSlow:
        raise RewardError(f"The schema took longer than {SCHEMA_SECONDS:g} seconds on this text.") from None
    except Exception as error:
        raise RewardError(f"The schema can't be applied: {type(error).__name__}: {error}."[:200]) from None


def _share(value: Any, errors: list[Any], schema: Any) -> float:
    """Of the keys that the schema requires, or names and the text has."""
    if not isinstance(value, dict) or not isinstance(schema, dict):
        return 0.0
    required = set(schema.get("required", ()))
    wrong = {str(error.absolute_path[0]) for error in errors if error.absolute_path} | (required - set(value))
    whole = [error for error in errors if not error.absolute_path and error.validator != "required"]
    parts = required | wrong | (set(schema.get("properties", {})) & set(value))
    return 1 - min(len(wrong) + len(whole), len(parts)) / len(parts) if parts else 0.0
