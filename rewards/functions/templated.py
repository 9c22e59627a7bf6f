"""Two texts, each put together from the answer and the row, compared as OpenAI's string_check grader does."""

from __future__ import annotations

import json
import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from rewards.registry import Example, Parameters, RewardError, Sample, Score, reward_function

VARIABLE = re.compile(r"\{\{([^{}]{0,200})\}\}")
# A key, then any number of .key and [number].
PATH = re.compile(r"[^.\[\]\s]+(?:\.[^.\[\]\s]+|\[\d{1,6}\])*")
STEPS = re.compile(r"[^.\[\]]+")
OUTPUT, OUTPUT_JSON = "output_text", "output_json"
TEMPLATE_HELP = (
    "{{sample.output_text}} is the answer, {{sample.output_json.key}} a value of an answer in JSON, {{reference}} the"
    " reference answer, {{item.column}} a column of the dataset."
)


class NoVariable(ValueError):
    """A template names something that there is not."""


def variables(template: str) -> list[str]:
    """The names in double braces, as they are looked up: "sample.output_text", "reference", "item.a.b".

    Raises NoVariable with a sentence for anything else.
    """
    return [_checked(name.strip()) for name in VARIABLE.findall(template)]


def _checked(name: str) -> str:
    space, _, path = name.partition(".")
    known = (
        name in ("reference", f"sample.{OUTPUT}", f"sample.{OUTPUT_JSON}")
        or (space == "item" and PATH.fullmatch(path))
        or (path.startswith((f"{OUTPUT_JSON}.", f"{OUTPUT_JSON}[")) and space == "sample" and PATH.fullmatch(path))
    )
    if known:
        return name
    if space == "sample":
        raise NoVariable(
            f"{{{{{name}}}}} is nothing that an answer here has: it is a text, {{{{sample.output_text}}}}, and where it"
            " is JSON {{sample.output_json.key}}."
        )
    raise NoVariable(f"{{{{{name}}}}} is no variable. {TEMPLATE_HELP}")


def columns_in(template: str) -> list[str]:
    return [str(steps(name)[1]) for name in variables(template) if name.startswith("item.")]


def steps(name: str) -> list[str]:
    return STEPS.findall(name)


class NotJson(Exception):
    """The answer is not JSON, or lacks the value that is asked for: the answer's fault, and so no error."""


def filled(template: str, sample: Sample) -> str:
    """Raises RewardError for what the row lacks, NotJson for what the answer lacks."""
    return VARIABLE.sub(lambda match: _text(_value(match[1].strip(), sample)), template)


def _value(name: str, sample: Sample) -> Any:
    if name == f"sample.{OUTPUT}":
        return sample.response
    if name == "reference":
        if not (sample.reference or "").strip():
            raise RewardError("This row has no reference answer.")
        return sample.reference
    first, *rest = steps(name)[1:]
    if name.startswith("item."):
        if first not in sample.columns:
            raise RewardError(f"This row has no column “{first}”.")
        return _inside(sample.columns[first], rest, RewardError(f"This row has nothing at {name}."))
    return _inside(_parsed(sample.response), rest, NotJson(f"The answer has nothing at {name}."))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NotJson("The answer is not JSON.") from None


def _inside(value: Any, rest: list[str], missing: Exception) -> Any:
    for step in rest:
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, TypeError, ValueError):
            raise missing from None
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


class FixedStringCheck(Parameters):
    operation: Literal["eq", "ne", "like", "ilike"] = Field(
        "eq", title="Operation", description="eq: the same. ne: not the same. like: contains it. ilike: in any case."
    )
    input: str = Field(
        "{{sample.output_text}}", min_length=1, max_length=20_000, title="Text", description=TEMPLATE_HELP
    )
    reference: str = Field(min_length=1, max_length=20_000, title="Compared with", description="The words themselves.")

    @field_validator("input", "reference")
    @classmethod
    def variables_exist(cls, template: str) -> str:
        variables(template)
        return template

    def columns(self) -> list[str]:
        return sorted({*columns_in(self.input), *columns_in(self.reference)})


class StringCheck(FixedStringCheck):
    reference: str = Field(
        "{{reference}}",
        min_length=1,
        max_length=20_000,
        title="Compared with",
        description="The same variables, and words around them.",
    )

    @model_validator(mode="after")
    def names_the_row(self) -> Self:
        if not names_row(self.input, self.reference):
            raise ValueError(
                "Nothing here comes from the row: use {{reference}} or {{item.column}}, or choose fixed words."
            )
        return self

    def decides(self) -> bool | None:
        return True if self.operation == "eq" else None


def names_row(*templates: str) -> bool:
    """Whether the row, and not only the answer, decides what the texts are."""
    return any(not name.startswith("sample.") for template in templates for name in variables(template))


SAID = {
    ("eq", True): "is the same as", ("eq", False): "is not the same as",
    ("ne", True): "is not the same as", ("ne", False): "is the same as",
    ("like", True): "contains", ("like", False): "does not contain",
    ("ilike", True): "contains", ("ilike", False): "does not contain",
}  # fmt: skip


def checked(response: str, answer: str, value: float, **parameters: object) -> Example:
    sample = Sample("What is the capital of France?", response, answer, {"city": "Paris"})
    return Example(sample, value, parameters)


@reward_function(
    title="String check",
    category="Text",
    parameters=StringCheck,
    grades_content=True,
    examples=(
        checked("Paris", "Paris", 1.0),
        checked("paris", "Paris", 0.0),
        checked("It is Paris.", "Paris", 1.0, operation="like"),
        checked("it is paris.", "Paris", 1.0, operation="ilike"),
        checked("Lyon", "Paris", 1.0, operation="ne"),
        checked('{"city": "Paris"}', "", 1.0, input="{{sample.output_json.city}}", reference="{{item.city}}"),
        checked("Paris", "", 0.0, input="{{sample.output_json.city}}", reference="{{item.city}}"),
    ),
)
def string_check(sample: Sample, parameters: StringCheck) -> Score:
    """1 if two texts, made of the answer and the row, are the same, differ, or one contains the other."""
    return compared(sample, parameters)


@reward_function(
    title="String check, fixed words",
    category="Text",
    parameters=FixedStringCheck,
    examples=(
        checked("yes", "", 1.0, reference="yes"),
        checked("Yes", "", 0.0, reference="yes"),
        checked("Because it is.", "", 1.0, operation="ilike", reference="because"),
        checked("As an AI", "", 0.0, operation="ne", reference="As an AI"),
    ),
)
def fixed_string_check(sample: Sample, parameters: FixedStringCheck) -> Score:
    """1 if the answer is, is not or contains fixed words, whatever the question was."""
    return compared(sample, parameters)


def compared(sample: Sample, parameters: FixedStringCheck) -> Score:
    try:
        text, expected = filled(parameters.input, sample), filled(parameters.reference, sample)
    except NotJson as reason:
        return Score(0.0, str(reason))
    holds = {
        "eq": text == expected,
        "ne": text != expected,
        "like": expected in text,
        "ilike": expected.casefold() in text.casefold(),
    }[parameters.operation]
    said = SAID[parameters.operation, holds]
    return Score(float(holds), f"“{text[:80]}” {said} “{expected[:80]}”.")
