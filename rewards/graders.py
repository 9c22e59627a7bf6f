"""OpenAI grader JSON, and reward functions as TRL takes them, as our own definitions. Free of Django.

What a grader says and our functions can't express is refused with a sentence that names the grader; what they express
in another way is a note. The shapes are those of OpenAI's guide "Graders" and its API reference.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rewards.composition import Composition
from rewards.formula import Formula
from rewards.functions.templated import VARIABLE, FixedStringCheck, NoVariable, names_row, variables
from rewards.problems import messages
from rewards.registry import REGISTRY, RewardFunction

OPENAI = "https://api.openai.com/v1"
ANSWER = "{{sample.output_text}}"
# What a grader may hold and what says nothing about its score.
WITHOUT_EFFECT = {"pass_threshold": "pass_threshold only says what counts as passed, and does not change the score"}


class GraderProblem(ValueError):
    """One sentence for each thing wrong, in `problems`."""

    def __init__(self, *problems: str) -> None:
        super().__init__(" ".join(problems))
        self.problems = list(problems)


@dataclass
class Translated:
    """`definition` is a Composition as JSON; `notes` say what differs from the original."""

    definition: dict[str, Any]
    notes: list[str] = field(default_factory=list)


class Grader(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str = ""
    pass_threshold: float | None = None


class Check(Grader):
    type: Literal["string_check"]
    operation: Literal["eq", "ne", "like", "ilike"]
    input: str
    reference: str


class Similarity(Grader):
    type: Literal["text_similarity"]
    evaluation_metric: str
    input: str
    reference: str


class Python(Grader):
    type: Literal["python"]
    source: str


class Message(BaseModel):
    role: str = "user"
    content: Any


class ScoreModel(Grader):
    type: Literal["score_model"]
    model: str
    input: str | list[Message]
    range: tuple[float, float] = (0.0, 1.0)
    sampling_params: dict[str, Any] | None = None


class LabelModel(Grader):
    type: Literal["label_model"]


Single = Annotated[Check | Similarity | Python | ScoreModel | LabelModel, Field(discriminator="type")]


class Multi(Grader):
    type: Literal["multi"]
    graders: dict[str, Single] = Field(min_length=1)
    calculate_output: str


GRADER: TypeAdapter[Any] = TypeAdapter(Annotated[Single | Multi, Field(discriminator="type")])
TYPES = ("string_check", "text_similarity", "python", "score_model", "label_model", "multi")


def is_grader(value: Any) -> bool:
    return isinstance(value, dict) and (value.get("type") in TYPES or is_grader(value.get("grader")))


def translated(value: dict[str, Any]) -> Translated:
    """Raises GraderProblem."""
    if "type" not in value and is_grader(value.get("grader")):
        value = value["grader"]
    try:
        grader = GRADER.validate_python(value)
    except ValidationError as error:
        raise GraderProblem(*(f"{message}." for message in messages(error))) from None
    made = of_multi(grader) if isinstance(grader, Multi) else of_one(grader)
    try:
        Composition.model_validate(made.definition)
    except ValidationError as error:
        raise GraderProblem(*(f"{message}." for message in messages(error))) from None
    return made


def of_one(grader: Any) -> Translated:
    name = grader.name.strip()[:80] or grader.type
    part = part_of(name, grader)
    made = Translated({"parts": [part.json(name)]}, part.notes)
    if part.scale != (0.0, 1.0):
        made.definition["formula"] = on_scale("part", part.scale)
        made.definition["parts"][0]["name"] = "part"
    return made


def of_multi(grader: Multi) -> Translated:
    names = list(grader.graders)
    try:
        used = Formula(grader.calculate_output, set(names)).used
    except ValueError as error:
        raise GraderProblem(f"calculate_output: {error}") from None
    parts = {name: part_of(name, inner) for name, inner in grader.graders.items() if name in used}
    notes = [note for part in parts.values() for note in part.notes]
    if unused := [name for name in names if name not in used]:
        notes.append(f"Left out, because calculate_output does not use it: {', '.join(unused)}.")
    formula = rescaled(grader.calculate_output, {name: part.scale for name, part in parts.items()})
    return Translated({"parts": [part.json(name) for name, part in parts.items()], "formula": formula}, notes)


def on_scale(name: str, scale: tuple[float, float]) -> str:
    """Our part goes from 0 to 1, the grader's score over its own range."""
    low, high = scale
    return f"{low:g} + {high - low:g} * {name}" if low else f"{high:g} * {name}"


def rescaled(formula: str, scales: dict[str, tuple[float, float]]) -> str:
    others = {name: scale for name, scale in scales.items() if scale != (0.0, 1.0)}
    if not others:
        return formula
    tree = ast.parse(formula.strip().replace("^", "**"), mode="eval")
    return ast.unparse(Scaled(others).visit(tree))


class Scaled(ast.NodeTransformer):
    def __init__(self, scales: dict[str, tuple[float, float]]) -> None:
        self.scales = scales

    def visit_Name(self, node: ast.Name) -> ast.expr:
        scale = self.scales.get(node.id)
        return ast.parse(on_scale(node.id, scale), mode="eval").body if scale else node


@dataclass
class PartOf:
    function: str
    parameters: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    scale: tuple[float, float] = (0.0, 1.0)

    def json(self, name: str) -> dict[str, Any]:
        return {"name": name, "function": self.function, "parameters": self.parameters}


def part_of(name: str, grader: Any) -> PartOf:
    makers: dict[str, Callable[[str, Any], PartOf]] = {
        "string_check": of_check,
        "text_similarity": of_similarity,
        "python": of_python,
        "score_model": of_score_model,
        "label_model": refused_labels,
    }
    part = makers[grader.type](name, grader)
    if grader.pass_threshold is not None:
        part.notes.append(f"“{name}”: {WITHOUT_EFFECT['pass_threshold']}.")
    if ignored := sorted(grader.model_extra or {}):
        part.notes.append(f"“{name}”: {', '.join(ignored)} has no counterpart here and is left out.")
    return part


def function_named(name: str, needed: str) -> RewardFunction:
    """Raises GraderProblem if this program has no function `needed` to do what the grader `name` does."""
    found = REGISTRY.get(needed)
    if found is None:
        raise GraderProblem(f"“{name}” can't be imported: this program has no reward function {needed!r}.")
    return found


def unavailable_note(name: str, function: RewardFunction) -> list[str]:
    why = function.unavailable()
    return [f"“{name}” can't be used on this machine: {why}"] if why else []


def of_check(name: str, grader: Check) -> PartOf:
    given = {"operation": grader.operation, "input": grader.input, "reference": grader.reference}
    variables_of(name, grader.input + grader.reference)
    try:
        FixedStringCheck.model_validate(given)
    except ValidationError as error:
        raise GraderProblem(*(f"“{name}”, {message}" for message in messages(error))) from None
    return PartOf("string_check" if names_row(grader.input, grader.reference) else "fixed_string_check", given)


def variables_of(name: str, template: str) -> list[str]:
    try:
        return variables(template)
    except NoVariable as error:
        raise GraderProblem(f"“{name}”: {error}") from None


def only_variable(name: str, what: str, template: str) -> str:
    """The one variable that the whole template is. Raises GraderProblem if there is more or less."""
    found = variables_of(name, template)
    if len(found) != 1 or template.strip().strip("{}").strip() != found[0]:
        raise GraderProblem(
            f"“{name}”: {what} is {template[:80]!r}. A similarity is measured between the whole answer and one"
            f" reference text, so it has to be a single variable such as {{{{item.reference}}}}."
        )
    return found[0]


def of_similarity(name: str, grader: Similarity) -> PartOf:
    function = function_named(name, "text_similarity")
    if only_variable(name, "input", grader.input) != "sample.output_text":
        raise GraderProblem(
            f"“{name}”: input is {grader.input!r}, but only the whole answer, {ANSWER}, can be compared."
        )
    source = only_variable(name, "reference", grader.reference)
    if source.startswith("sample."):
        raise GraderProblem(f"“{name}” compares the answer with itself: its reference is {grader.reference!r}.")
    notes = unavailable_note(name, function)
    if source != "reference":
        column = source.removeprefix("item.")
        notes.append(f"“{name}” compares with the row's reference answer: map the column “{column}” as answer.")
    metric = metric_for(name, grader.evaluation_metric, function)
    notes.append(f"“{name}”: {metric} is measured by this program, and may differ a little from OpenAI's.")
    return PartOf(function.name, {"metric": metric, "look_in": "text"}, notes)


def metric_for(name: str, wanted: str, function: RewardFunction) -> str:
    info = function.parameters.model_fields["metric"]
    known = getattr(info.annotation, "__args__", ())
    if wanted in known:
        return wanted
    raise GraderProblem(f"“{name}”: the metric {wanted!r} is not known here. There are: {', '.join(map(str, known))}.")


def of_score_model(name: str, grader: ScoreModel) -> PartOf:
    function = function_named(name, "judge_model")
    low, high = grader.range
    if low >= high:
        raise GraderProblem(f"“{name}”: range is {low:g} to {high:g}, and the lower end has to come first.")
    rubric, template = instructions(name, grader)
    sampling = dict(grader.sampling_params or {})
    parameters = {
        "endpoint": OPENAI,
        "model": grader.model,
        "rubric": rubric,
        "template": template,
        "low": low,
        "high": high,
    }
    if (temperature := sampling.pop("temperature", None)) is not None:
        parameters["temperature"] = temperature
    if tokens := sampling.pop("max_completions_tokens", None) or sampling.pop("max_tokens", None):
        parameters["max_tokens"] = tokens
    notes = [f"“{name}” asks {grader.model} at {OPENAI}: a grader names no endpoint. Change it for another service."]
    if sampling:
        notes.append(f"“{name}”: {', '.join(sorted(sampling))} has no counterpart here and is left out.")
    return PartOf(function.name, parameters, notes + unavailable_note(name, function), (low, high))


def instructions(name: str, grader: ScoreModel) -> tuple[str, str]:
    """(rubric, what the judge sees): system and developer messages are the rubric, the others what is graded."""
    given = [Message(content=grader.input)] if isinstance(grader.input, str) else grader.input
    told = [text_of(name, each) for each in given if each.role in ("system", "developer")]
    shown = [text_of(name, each) for each in given if each.role not in ("system", "developer")]
    if not told:
        told, shown = shown, [ANSWER]
    rubric, template = "\n\n".join(told), "\n\n".join(shown) or ANSWER
    if found := variables_of(name, rubric):
        # A rubric is instructions, and what a row or an answer holds must not become one.
        listed = dict.fromkeys([*found, *variables_of(name, template)])
        template = "\n\n".join(f"{label(each)}:\n{{{{{each}}}}}" for each in listed)
        for each in found:
            rubric = substituted(rubric, each, f"(the text “{label(each)}” below)")
    if "sample.output_text" not in variables_of(name, template):
        template = f"{template}\n\nAnswer to grade:\n{ANSWER}"
    for each in variables_of(name, template):
        template = substituted(template, each, placeholder(name, each))
    return rubric, template


def substituted(text: str, variable: str, by: str) -> str:
    return VARIABLE.sub(lambda match: by if match[1].strip() == variable else match[0], text)


def label(variable: str) -> str:
    named = {"sample.output_text": "Answer to grade", "reference": "Reference answer"}
    return named.get(variable, variable.removeprefix("item."))


def placeholder(name: str, variable: str) -> str:
    """As the function judge_model writes it."""
    if variable == "sample.output_text":
        return "{response}"
    if variable == "reference":
        return "{reference}"
    if variable.startswith("item.") and not any(sign in variable[5:] for sign in ".["):
        return f"{{columns.{variable[5:]}}}"
    raise GraderProblem(
        f"“{name}”: {{{{{variable}}}}} is a value inside another one, and a judge here sees whole columns and whole"
        " answers. Name the column, or the answer."
    )


def text_of(name: str, message: Message) -> str:
    content = message.content
    if isinstance(content, dict) and content.get("type") in ("input_text", "output_text", "text"):
        content = content.get("text")
    if isinstance(content, list) and all(isinstance(each, dict) and "text" in each for each in content):
        content = "\n".join(str(each["text"]) for each in content)
    if not isinstance(content, str):
        raise GraderProblem(f"“{name}”: a message holds something other than text, which a judge here is not shown.")
    return content


def refused_labels(name: str, grader: LabelModel) -> PartOf:
    raise GraderProblem(
        f"“{name}” is a label_model: it sorts answers, and gives no score. Write it as a score_model with a range."
    )


# Python. The sandbox calls OpenAI's grade(sample, item) and functions for TRL as they are.


RANGE_NOTE = "Its scores are read as 0 to 1: set “Lowest” and “Highest” if it gives others."


def of_python(name: str, grader: Python) -> PartOf:
    function = function_named(name, "custom_python")
    if not any(each.name == "grade" for each in functions_in(name, grader.source)):
        raise GraderProblem(f"“{name}”: its source defines no function grade(sample, item).")
    notes = [
        f"“{name}”: its code runs in the sandbox, without network and with a part of Python's standard library only.",
        *unavailable_note(name, function),
    ]
    return PartOf(function.name, {"code": grader.source}, notes)


def functions_in(name: str, source: str) -> list[ast.FunctionDef]:
    """Those of the source's top level. Raises GraderProblem if it is no Python."""
    return [node for node in parsed_python(name, source).body if isinstance(node, ast.FunctionDef)]


def parsed_python(name: str, source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        where = f"line {line}: " if line else ""
        raise GraderProblem(f"“{name}” is no Python: {where}{getattr(error, 'msg', error)}.") from None


def from_python(source: str) -> Translated:
    """A reward function as TRL takes it becomes one part with custom code. Raises GraderProblem."""
    name = function_that_scores(source)
    function = function_named(name, "custom_python")
    part = PartOf(function.name, {"code": source})
    made = Translated({"parts": [part.json(name[:80])]}, [RANGE_NOTE, *unavailable_note(name, function)])
    try:
        Composition.model_validate(made.definition)
    except ValidationError as error:
        raise GraderProblem(*(f"{message}." for message in messages(error))) from None
    return made


def function_that_scores(source: str) -> str:
    """The name of the one that the sandbox will call. Raises GraderProblem where none stands out."""
    names = [node.name for node in functions_in("The pasted code", source)]
    if not names:
        raise GraderProblem(
            "The pasted code defines no function. Paste the whole function, as in def reward(completions, **columns)."
        )
    named = [name for name in ("reward", "grade") if name in names] + [name for name in names if "reward" in name]
    if not named and len(names) > 1:
        raise GraderProblem(
            f"The pasted code defines {', '.join(names)}, and none is called reward: rename the one that scores."
        )
    return (named or names)[0]
