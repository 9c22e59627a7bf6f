"""Is the answer code of the form that was asked for? Nothing here runs it: whether it works, only its tests say."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from loracraft.numbers import thousands
from rewards.functions.text import PLACE_HELP
from rewards.registry import Example, Parameters, Sample, Score, reward_function
from rewards.sections import Place, section

FENCE = re.compile(r"^[ ]{0,3}(`{3,}|~{3,})[ \t]*+([\w+#.-]*+)[^\n`]*+$")
SAME_LANGUAGE = {
    "py": "python", "python3": "python", "js": "javascript", "ts": "typescript", "sh": "bash", "shell": "bash",
    "c++": "cpp", "cs": "c#", "csharp": "c#", "golang": "go", "rs": "rust", "rb": "ruby", "yml": "yaml",
}  # fmt: skip
# Python's parser takes its time, and memory, on longer ones.
LONGEST_CODE = 50_000
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Block:
    language: str
    code: str


def language_of(name: str) -> str:
    return SAME_LANGUAGE.get(name.casefold(), name.casefold())


def blocks(text: str) -> list[Block]:
    """The fenced blocks that are closed, in order."""
    found: list[Block] = []
    fence, language, lines = "", "", list[str]()
    for line in text.splitlines():
        mark = FENCE.match(line)
        if not fence and mark:
            fence, language, lines = mark[1], language_of(mark[2]), []
        elif fence and set(line.strip()) == {fence[0]} and len(line.strip()) >= len(fence):
            found.append(Block(language, "\n".join(lines)))
            fence = ""
        elif fence:
            lines.append(line)
    return found


class CodeBlock(Parameters):
    language: str = Field("", max_length=40, title="Language", description="As after the fence: python. Empty: any.")
    count: Literal["one", "any"] = Field("any", title="How many", description="one: exactly one. any: at least one.")
    place: Place = Field("response", title="Place", description=PLACE_HELP)


def coded(response: str, value: float, **parameters: object) -> Example:
    return Example(Sample("Write a function that doubles a number.", response), value, parameters)


DOUBLE = '```python\ndef double(x: int) -> int:\n    """Twice x."""\n    return 2 * x\n```'


@reward_function(
    title="Code block",
    category="Format",
    parameters=CodeBlock,
    examples=(
        coded(DOUBLE, 1.0, language="python"),
        coded("```py\nx = 1\n```", 1.0, language="python"),
        coded("```\nx = 1\n```", 0.0, language="python"),
        coded(f"{DOUBLE}\n{DOUBLE}", 0.0, count="one"),
        coded("```python\nx = 1", 0.0),
        coded("```python\n```", 0.0),
    ),
)
def code_block(sample: Sample, parameters: CodeBlock) -> Score:
    """1 if there is a closed code block with something in it, of the language asked for, else 0."""
    found = blocks(section(sample, parameters.place))
    wanted = language_of(parameters.language.strip())
    right = [block for block in found if block.code.strip() and (not wanted or block.language == wanted)]
    fits = len(found) == len(right) == 1 if parameters.count == "one" else bool(right)
    return Score(float(fits), f"{len(right)} of {len(found)} code blocks are {wanted or 'filled'}.")


class PythonCode(Parameters):
    place: Place = Field("response", title="Place", description=PLACE_HELP)


class NotPython(Exception):
    """What is wrong with the code, as a sentence."""


def python_of(text: str) -> str:
    """The Python blocks together, else those without a language, else the whole text."""
    found = blocks(text)
    for language in ("python", ""):
        if chosen := [block.code for block in found if block.language == language]:
            return "\n\n".join(chosen)
    if found:
        raise NotPython(f"The code block is {found[0].language}, not Python.")
    return text


def parsed(text: str) -> ast.Module:
    """Raises NotPython. A lone word or number parses, too, but is no program."""
    code = python_of(text)
    if len(code) > LONGEST_CODE:
        raise NotPython(f"The code has {thousands(len(code))} characters; at most {thousands(LONGEST_CODE)} are read.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except SyntaxError as error:
        raise NotPython(f"Line {error.lineno or 1}: {error.msg}.") from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise NotPython(f"Python can't parse it: {str(error)[:80] or type(error).__name__}.") from None
    if not any(does_something(node) for node in tree.body):
        raise NotPython("There is no statement, only values or nothing.")
    return tree


def does_something(node: ast.stmt) -> bool:
    return not isinstance(node, ast.Pass) and not (
        isinstance(node, ast.Expr) and not isinstance(node.value, ast.Call | ast.Await)
    )


@reward_function(
    title="Python syntax",
    category="Format",
    parameters=PythonCode,
    examples=(
        coded(DOUBLE, 1.0),
        coded("x = 1\nprint(x)", 1.0),
        coded("def double(x) return 2 * x", 0.0),
        coded("I would double it.", 0.0),
        coded("2", 0.0),
        coded("(" * 20_000, 0.0),
    ),
)
def python_syntax(sample: Sample, parameters: PythonCode) -> Score:
    """1 if the code (its Python blocks, else the whole text) is a Python program that parses, else 0."""
    try:
        tree = parsed(section(sample, parameters.place))
    except NotPython as reason:
        return Score(0.0, str(reason))
    return Score(1.0, f"Python with {len(tree.body)} statements.")


class PythonStructure(PythonCode):
    function: str = Field("", max_length=200, title="Function", description="A function of this name must be defined.")
    docstrings: bool = Field(False, title="Docstrings", description="Each function has one.")
    type_hints: bool = Field(False, title="Type hints", description="Each parameter and each result has one.")
    longest_function: int = Field(0, ge=0, le=10_000, title="Longest function", description="In lines. 0: no limit.")
    forbidden: list[str] = Field(
        default_factory=lambda: ["eval", "exec"],
        max_length=100,
        title="Forbidden",
        description="Names that must not be called or imported, one a line: eval, os, os.system.",
    )

    @model_validator(mode="after")
    def wants_something(self) -> Self:
        if not self.traits():
            raise ValueError("Nothing is asked for: name a function, or switch on a trait.")
        return self

    def traits(self) -> dict[str, Callable[[ast.Module], bool]]:
        wanted: dict[str, tuple[object, Callable[[ast.Module], bool]]] = {
            f"function {self.function}": (self.function, lambda tree: self.function in map(name_of, functions(tree))),
            "docstrings": (self.docstrings, lambda tree: every(tree, lambda each: bool(ast.get_docstring(each)))),
            "type hints": (self.type_hints, lambda tree: every(tree, hinted)),
            f"functions of at most {self.longest_function} lines": (
                self.longest_function,
                lambda tree: every(tree, lambda each: lines_of(each) <= self.longest_function),
            ),
            "nothing forbidden": (self.forbidden, lambda tree: not used(tree) & set(self.forbidden)),
        }
        return {name: holds for name, (asked, holds) in wanted.items() if asked}


def functions(tree: ast.Module) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def name_of(function: Function) -> str:
    return function.name


def every(tree: ast.Module, holds: Callable[[Function], bool]) -> bool:
    """False without functions: code that has none has no well-made ones."""
    found = functions(tree)
    return bool(found) and all(map(holds, found))


def hinted(function: Function) -> bool:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    bare = [each for each in named if each.annotation is None and each.arg not in ("self", "cls")]
    return not bare and (function.returns is not None or function.name == "__init__")


def lines_of(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def used(tree: ast.Module) -> set[str]:
    """What is called or imported: "eval", "os", and both "os.system" and "system" of os.system()."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {part for alias in node.names for part in prefixes(alias.name)}
        elif isinstance(node, ast.ImportFrom):
            names |= {*prefixes(node.module or ""), *(f"{node.module}.{a.name}" for a in node.names)}
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Call):
            names |= called(node.func)
    return names


def prefixes(name: str) -> list[str]:
    """ "a.b.c": a, a.b and a.b.c"""
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def called(target: ast.expr) -> set[str]:
    if isinstance(target, ast.Name):
        return {target.id}
    if not isinstance(target, ast.Attribute):
        return set()
    owner = target.value.id if isinstance(target.value, ast.Name) else ""
    return {target.attr, f"{owner}.{target.attr}"}


@reward_function(
    title="Python structure",
    category="Format",
    parameters=PythonStructure,
    examples=(
        coded(DOUBLE, 1.0, function="double", docstrings=True, type_hints=True),
        coded(
            "```python\ndef double(x):\n    return 2 * x\n```", 0.5, function="double", docstrings=True, type_hints=True
        ),
        coded("```python\ndef double(x):\n    return eval('2 * x')\n```", 0.5, function="double"),
        coded("```python\ndef double(x):\n```", 0.0, function="double"),
    ),
)
def python_structure(sample: Sample, parameters: PythonStructure) -> Score:
    """Share of the traits asked for that the Python code has; 0 if it does not parse. Form only: it never runs."""
    try:
        tree = parsed(section(sample, parameters.place))
    except NotPython as reason:
        return Score(0.0, str(reason))
    traits = parameters.traits()
    missing = [name for name, holds in traits.items() if not holds(tree)]
    said = f"Missing: {', '.join(missing)}." if missing else "Has all that was asked for."
    return Score(1 - len(missing) / len(traits), said[:300])
