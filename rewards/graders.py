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
from rewards.formula import LONGEST, Formula
from rewards.functions.templated import VARIABLE, FixedStringCheck, NoVariable, names_row, variables
from rewards.problems import messages
from rewards.registry import REGISTRY, RewardFunction

OPENAI = "https://api.openai.com/v1"
ANSWER = "{{sample.output_text}}"
# Multi graders inside one another.
DEEPEST = 10
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
    model: str
    input: str | list[Message]
    labels: list[str]
    passing_labels: list[str]


class Multi(Grader):
    type: Literal["multi"]
    graders: dict[str, AnyGrader] = Field(min_length=1)
    calculate_output: str


AnyGrader = Annotated[Check | Similarity | Python | ScoreModel | LabelModel | Multi, Field(discriminator="type")]
GRADER: TypeAdapter[Any] = TypeAdapter(AnyGrader)
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
        raise GraderProblem(*messages(error)) from None
    made = of_multi(grader) if isinstance(grader, Multi) else of_one(grader)
    try:
        Composition.model_validate(made.definition)
    except ValidationError as error:
        raise GraderProblem(*messages(error)) from None
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
    flat = Flat()
    formula = flat.formula(grader, "")
    parts = [part.json(name) for name, part in flat.parts.items()]
    return Translated({"parts": parts, "formula": formula}, flat.notes + remarks(grader.name or "multi", grader))


@dataclass
class Flat:
    """A multi grader as one list of parts: a multi inside it becomes its own formula, in brackets."""

    parts: dict[str, PartOf] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def formula(self, grader: Multi, place: str) -> str:
        """`place`: the names above it, each with a dot. Raises GraderProblem."""
        where = f"graders.{place}calculate_output" if place else "calculate_output"
        if place.count(".") >= DEEPEST:
            raise GraderProblem(f"graders.{place[:80]}: multi graders are nested deeper than {DEEPEST} levels.")
        try:
            used = Formula(grader.calculate_output, set(grader.graders)).used
        except ValueError as error:
            raise GraderProblem(f"{where}: {error}") from None
        if unused := [place + name for name in grader.graders if name not in used]:
            self.notes.append(f"Left out, because {where} does not use it: {', '.join(unused)}.")
        formulas = {name: self.inner(place, name, each) for name, each in grader.graders.items() if name in used}
        made = replaced(grader.calculate_output, formulas)
        if len(made) > LONGEST:
            raise GraderProblem(f"{where}: with the graders inside it, it has more than {LONGEST} characters.")
        return made

    def inner(self, place: str, name: str, grader: Any) -> str:
        if isinstance(grader, Multi):
            self.notes += remarks(place + name, grader)
            return self.formula(grader, f"{place}{name}.")
        part = part_of(place + name, grader)
        own = self.free_name(f"{place}{name}".replace(".", "_"))
        self.parts[own] = part
        self.notes += part.notes
        return own if part.scale == (0.0, 1.0) else on_scale(own, part.scale)

    def free_name(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self.parts:
            name, number = f"{wanted}_{number}", number + 1
        return name


def on_scale(name: str, scale: tuple[float, float]) -> str:
    """Our part goes from 0 to 1, the grader's score over its own range."""
    low, high = scale
    return f"{low:g} + {high - low:g} * {name}" if low else f"{high:g} * {name}"


def replaced(formula: str, by: dict[str, str]) -> str:
    """Each name in it by a formula. One that stays as it is keeps its spelling."""
    others = {name: each for name, each in by.items() if name != each}
    if not others:
        return formula
    tree = ast.parse(formula.strip().replace("^", "**"), mode="eval")
    return ast.unparse(Replaced(others).visit(tree))


class Replaced(ast.NodeTransformer):
    def __init__(self, by: dict[str, str]) -> None:
        self.by = by

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """Of a call only what is in it: a grader may be called max, too."""
        node.args = [self.visit(argument) for argument in node.args]
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self.by:
            return node
        return ast.parse(self.by[node.id].strip().replace("^", "**"), mode="eval").body


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
        "label_model": of_label_model,
    }
    part = makers[grader.type](name, grader)
    part.notes += remarks(name, grader)
    return part


def remarks(name: str, grader: Grader) -> list[str]:
    found = []
    if grader.pass_threshold is not None:
        found.append(f"“{name}”: {WITHOUT_EFFECT['pass_threshold']}.")
    if ignored := sorted(grader.model_extra or {}):
        found.append(f"“{name}”: {', '.join(ignored)} has no counterpart here and is left out.")
    return found


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
    if only_variable(name, "input", grader.input) != "sample.output_text":
        raise GraderProblem(
            f"“{name}”: input is {grader.input!r}, but only the whole answer, {ANSWER}, can be compared."
        )
    source = only_variable(name, "reference", grader.reference)
    if source.startswith("sample."):
        raise GraderProblem(f"“{name}” compares the answer with itself: its reference is {grader.reference!r}.")
    part = of_cosine(name) if grader.evaluation_metric == "cosine" else of_metric(name, grader.evaluation_metric)
    if source != "reference":
        column = source.removeprefix("item.")
        part.notes.insert(0, f"“{name}” compares with the row's reference answer: map the column “{column}” as answer.")
    return part


def of_metric(name: str, wanted: str) -> PartOf:
    function = function_named(name, "text_similarity")
    metric = metric_for(name, wanted, function)
    note = f"“{name}”: {metric} is measured by this program, and may differ a little from OpenAI's."
    return PartOf(function.name, {"metric": metric, "look_in": "text"}, [*unavailable_note(name, function), note])


def metric_for(name: str, wanted: str, function: RewardFunction) -> str:
    info = function.parameters.model_fields["metric"]
    known = getattr(info.annotation, "__args__", ())
    if wanted in known:
        return wanted
    if wanted == "meteor":
        raise GraderProblem(
            f"“{name}”: meteor compares by WordNet's list of English synonyms, which this program does not have. Use"
            " chrf, which forgives other endings of a word as meteor does, or cosine, which sees synonyms."
        )
    raise GraderProblem(
        f"“{name}”: the metric {wanted!r} is not known here. There are: {', '.join(map(str, known))}, cosine."
    )


def of_cosine(name: str) -> PartOf:
    """Raises GraderProblem where this machine has nothing to embed texts with."""
    function = function_named(name, "embedding_similarity")
    if why := function.unavailable():
        raise GraderProblem(
            f"“{name}”: cosine compares embeddings, and this machine can't make any. {why} Or use chrf or rouge_l,"
            " which compare words."
        )
    model = function.parameters.model_fields["model"].default
    note = (
        f"“{name}”: OpenAI takes its model text-embedding-3-large. Here it is {model} on this machine, whose values are"
        " others: look at some answers before you trust a threshold."
    )
    return PartOf(function.name, {"look_in": "text"}, [note])


def of_score_model(name: str, grader: ScoreModel) -> PartOf:
    low, high = grader.range
    if low >= high:
        raise GraderProblem(f"“{name}”: range is {low:g} to {high:g}, and the lower end has to come first.")
    part = of_judge(name, grader, {"low": low, "high": high})
    part.scale = (low, high)
    sampling = dict(grader.sampling_params or {})
    if (temperature := sampling.pop("temperature", None)) is not None:
        part.parameters["temperature"] = temperature
    if tokens := sampling.pop("max_completions_tokens", None) or sampling.pop("max_tokens", None):
        part.parameters["max_tokens"] = tokens
    if sampling:
        part.notes.append(f"“{name}”: {', '.join(sorted(sampling))} has no counterpart here and is left out.")
    return part


def of_label_model(name: str, grader: LabelModel) -> PartOf:
    labels, passing = list(dict.fromkeys(grader.labels)), list(dict.fromkeys(grader.passing_labels))
    if unknown := [label for label in passing if label not in labels]:
        raise GraderProblem(f"“{name}”: passing_labels names {', '.join(unknown)[:80]}, which labels does not.")
    if not passing or len(passing) == len(labels):
        which = "all" if passing else "none"
        raise GraderProblem(f"“{name}”: {which} of its labels pass, so every answer would get the same score.")
    return of_judge(name, grader, {"labels": labels, "passing_labels": passing})


def of_judge(name: str, grader: ScoreModel | LabelModel, scale: dict[str, Any]) -> PartOf:
    function = function_named(name, "judge_model")
    rubric, template = instructions(name, grader)
    asked = {"endpoint": OPENAI, "model": grader.model, "rubric": rubric, "template": template}
    note = f"“{name}” asks {grader.model} at {OPENAI}: a grader names no endpoint. Change it for another service."
    return PartOf(function.name, asked | scale, [note, *unavailable_note(name, function)])


def instructions(name: str, grader: ScoreModel | LabelModel) -> tuple[str, str]:
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
    notes = [RANGE_NOTE, *trainer_notes(name, source), *unavailable_note(name, function)]
    made = Translated({"parts": [part.json(name[:80])]}, notes)
    try:
        Composition.model_validate(made.definition)
    except ValidationError as error:
        raise GraderProblem(*messages(error)) from None
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


# What TRL hands to a reward function and no scoring outside of its trainer has.
OF_TRAINER = ("completion_ids", "prompt_ids", "trainer_state", "log_extra", "log_metric", "environments")
NONE_NOTE = (
    "Where it returns None, the answer is left out of training, and the page says why. In TRL only this function would"
    " be left out: return a number for every answer that other parts should still count for."
)


def trainer_notes(name: str, source: str) -> list[str]:
    """Raises GraderProblem if the function can't be called without TRL's trainer."""
    tree = parsed_python("The pasted code", source)
    scoring = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    given = scoring.args
    named = [each.arg for each in given.posonlyargs + given.args]
    required = named[: len(named) - len(given.defaults)]
    required += [each.arg for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None]
    if missing := [each for each in required if each in OF_TRAINER]:
        raise GraderProblem(
            f"{name} asks for {', '.join(missing)}, which only TRL's trainer has. Here it gets prompts, completions and"
            " the dataset's columns: remove the argument, or give it a default."
        )
    says_none = any(isinstance(node, ast.Constant) and node.value is None for node in ast.walk(scoring))
    return [NONE_NOTE] if says_none else []
