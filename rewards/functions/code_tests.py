"""Does the answer's code do what it should? It runs in the sandbox, a fresh process for each answer."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from rewards.functions.code import NotPython, parsed, python_of
from rewards.registry import Example, Parameters, RewardError, Sample, Score, Verdict, batch_reward_function
from rewards.sandbox import jail_process
from rewards.sandbox.jail_process import BatchFailed, Jail, SandboxError
from rewards.sections import Place, section

MOST_TESTS = 200
PLACE_HELP = "The whole response, or one of its sections."
NOTHING = object()


class Wrong(Exception):
    """A test that did not pass, as a sentence."""


@dataclass(frozen=True)
class Value:
    """`expression`, evaluated in the answer's process, must equal `expected`, which that process never sees."""

    shown: str
    expression: str
    expected: Any
    setup: str = ""
    from_json: bool = False

    def check(self, program: Running) -> None:
        found = program.value(self.expression, self.setup)
        if self.from_json:
            found = without_tuples(found)
        if not found == self.expected:
            raise Wrong(f"{self.shown}: got {found!r:.80}, expected {self.expected!r:.80}")


@dataclass(frozen=True)
class Pair:
    """Two expressions that must have the same value."""

    shown: str
    left: str
    right: str
    setup: str = ""

    def check(self, program: Running) -> None:
        found, wanted = program.value(self.left, self.setup), program.value(self.right, "")
        if not found == wanted:
            raise Wrong(f"{self.shown}: got {found!r:.80} and {wanted!r:.80}")


@dataclass(frozen=True)
class Output:
    """What the program prints when it is given `text` as its input; spaces at the ends of lines do not count."""

    text: str
    expected: str

    def check(self, program: Running) -> None:
        found = program.output(self.text)
        if lines(found) != lines(self.expected):
            raise Wrong(f"on the input {self.text!r:.60}: printed {found!r:.80}, expected {self.expected!r:.80}")


Test = Value | Pair | Output


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


class CodeTests(Parameters):
    tests_column: str = Field(
        "tests",
        min_length=1,
        max_length=200,
        title="Column of the tests",
        description='assert lines, or JSON: a list of them, of {"call", "expected"} or of {"input", "output"}.',
    )
    all_or_nothing: bool = Field(False, title="All or nothing", description="Off: the share of the tests that pass.")
    seconds: float = Field(2.0, gt=0, le=60, title="Time-out", description="Seconds for one test.")
    place: Place = Field("response", title="Place", description=PLACE_HELP)

    def columns(self) -> list[str]:
        return [self.tests_column]


ADD = "```python\ndef add(a, b):\n    return a + b\n```"
ASSERTS = "assert add(1, 2) == 3\nassert add(-1, 1) == 0"


def tried(response: str, value: float, tests: Any = ASSERTS, **parameters: object) -> Example:
    return Example(Sample("Write add(a, b).", response, columns={"tests": tests}), value, parameters)


@batch_reward_function(
    title="Code passes its tests",
    category="Code",
    parameters=CodeTests,
    judges_answer=True,
    unavailable=jail_process.unavailable,
    examples=(
        tried(ADD, 1.0),
        tried(ADD.replace("a + b", "3"), 0.5),
        tried(ADD.replace("a + b", "3"), 0.0, all_or_nothing=True),
        tried("It adds them.", 0.0),
        tried(ADD, 1.0, tests='[{"call": "add(2, 2)", "expected": 4}]'),
        tried("print(int(input()) * 2)", 1.0, tests='[{"input": "4", "output": "8"}]'),
        tried(ADD.replace("return a + b", "raise SystemExit"), 0.0),
    ),
)
def code_tests(samples: Sequence[Sample], parameters: CodeTests) -> list[Verdict]:
    """Share of the tests in a column that the answer's Python passes. It never sees the expected values."""
    return on_all_cores(lambda sample: tested(sample, parameters), samples)


def on_all_cores(judge: Callable[[Sample], Score], samples: Sequence[Sample]) -> list[Verdict]:
    """The threads only wait for the processes of the answers."""

    def verdict(sample: Sample) -> Verdict:
        try:
            return judge(sample)
        except RewardError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        return list(threads.map(verdict, samples))


def tested(sample: Sample, parameters: CodeTests) -> Score:
    tests = tests_of(sample.columns.get(parameters.tests_column), parameters.tests_column)
    try:
        code = program_of(section(sample, parameters.place))
    except NotPython as error:
        return Score(0.0, str(error))
    with started() as jail:
        passed, wrong = Running(jail, parameters.seconds).run(code, tests)
    share = passed / len(tests)
    said = f"{passed} of {len(tests)} tests pass"
    value = float(passed == len(tests)) if parameters.all_or_nothing else share
    return Score(value, f"{said}; {wrong}." if wrong else f"{said}.")


def started() -> Jail:
    try:
        jail = Jail()
        jail.start()
    except SandboxError as error:
        raise RewardError(str(error)) from error
    return jail


def program_of(text: str) -> str:
    parsed(text)
    return python_of(text)


class Running:
    """An answer's code in its process."""

    def __init__(self, jail: Jail, seconds: float) -> None:
        self.jail, self.seconds = jail, seconds

    def run(self, code: str, tests: list[Test]) -> tuple[int, str]:
        """How many tests pass, and what went wrong first. A test that hangs takes those after it along."""
        at_once = not all(isinstance(test, Output) for test in tests)
        passed, wrong = 0, ""
        try:
            self._ask({"program": code, "at_once": at_once})
            for test in tests:
                try:
                    test.check(self)
                    passed += 1
                except Wrong as error:
                    wrong = wrong or str(error)
        except Wrong as error:
            return 0, f"the code can't be run: {error}"
        except BatchFailed as error:
            wrong = wrong or str(error)
        return passed, wrong

    def value(self, expression: str, setup: str) -> Any:
        reply = self._ask({"expression": expression, "setup": setup})
        try:
            return undescribed(reply)
        except (ValueError, TypeError, RecursionError):
            raise Wrong(f"{expression:.60} gave nothing that can be compared") from None

    def output(self, text: str) -> str:
        return str(self._ask({"input": text}))

    def _ask(self, request: dict[str, Any]) -> Any:
        reply = self.jail.ask(request, self.seconds)
        if "error" in reply:
            raise Wrong(jail_process.printable(str(reply["error"]), 200))
        return reply.get("value")


def undescribed(described: Any) -> Any:
    """The value that the sandbox described: [type, value]. Raises ValueError or TypeError for anything else."""
    kind, value = described
    match kind:
        case "int":
            return int(value)
        case "float":
            return float(value)
        case "str" if isinstance(value, str):
            return value
        case "bool" if isinstance(value, bool):
            return value
        case "none" if value is None:
            return None
        case "list":
            return [undescribed(inner) for inner in value]
        case "tuple":
            return tuple(undescribed(inner) for inner in value)
        case "set":
            return {undescribed(inner) for inner in value}
        case "dict":
            return {undescribed(key): undescribed(inner) for key, inner in value}
    raise ValueError(f"{kind!r:.20} is no type of value")


def tests_of(cell: Any, column: str) -> list[Test]:
    """Raises RewardError if the column holds no tests that can be run."""
    if cell in (None, "", []):
        raise RewardError(f"The column {column} has no tests in this row.")
    try:
        tests = [test for item in items_of(cell) for test in tests_in(item)]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RewardError(f"The tests in the column {column} can't be read: {str(error)[:150]}.") from None
    if not tests:
        raise RewardError(f"The column {column} has no assert in this row.")
    if len(tests) > MOST_TESTS:
        raise RewardError(f"The column {column} has {len(tests)} tests in this row; at most {MOST_TESTS} are run.")
    return tests


def items_of(cell: Any) -> list[Any]:
    if isinstance(cell, str):
        if not cell.lstrip().startswith(("[", "{")):
            return [cell]
        cell = json.loads(cell)
    return cell if isinstance(cell, list) else [cell]


def tests_in(item: Any) -> list[Test]:
    match item:
        case str():
            return asserts_in(item)
        case {"call": str(call), "expected": expected}:
            ast.parse(call, mode="eval")
            return [Value(call[:60], call, expected, from_json=True)]
        case {"input": text, "output": output}:
            return [Output(joined(text), joined(output))]
    raise ValueError('a test is an assert line, {"call", "expected"} or {"input", "output"}')


def without_tuples(value: Any) -> Any:
    """As JSON would hold it."""
    if isinstance(value, (list, tuple)):
        return [without_tuples(inner) for inner in value]
    if isinstance(value, dict):
        return {name: without_tuples(inner) for name, inner in value.items()}
    return value


def joined(text: Any) -> str:
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)


def asserts_in(source: str) -> list[Test]:
    """Each assert of the source's top level; what stands before one is run before it."""
    found: list[Test] = []
    setup: list[ast.stmt] = []
    for node in ast.parse(source.strip()).body:
        if isinstance(node, ast.Assert):
            found.append(test_of(node.test, "\n".join(map(ast.unparse, setup))))
            setup = []
        else:
            setup.append(node)
    return found


def test_of(node: ast.expr, setup: str) -> Test:
    shown = ast.unparse(node)[:80]
    match node:
        case ast.Compare(left, [ast.Eq() | ast.Is()], [right]):
            for made, other in ((left, right), (right, left)):
                expected = literal(other)
                if expected is not NOTHING:
                    return Value(shown, ast.unparse(made), expected, setup)
            return Pair(shown, ast.unparse(left), ast.unparse(right), setup)
        case ast.UnaryOp(ast.Not(), operand):
            return Value(shown, f"bool({ast.unparse(operand)})", False, setup)
    return Value(shown, f"bool({ast.unparse(node)})", True, setup)


def literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return NOTHING


class CodeRuns(Parameters):
    seconds: float = Field(2.0, gt=0, le=60, title="Time-out")
    place: Place = Field("response", title="Place", description=PLACE_HELP)


def ran(response: str, value: float) -> Example:
    return Example(Sample("Write some Python.", response), value)


@batch_reward_function(
    title="Code runs",
    category="Code",
    parameters=CodeRuns,
    unavailable=jail_process.unavailable,
    examples=(ran("```python\nprint(1 + 1)\n```", 1.0), ran("```python\nprint(1 / 0)\n```", 0.0), ran("Two.", 0.0)),
)
def code_runs(samples: Sequence[Sample], parameters: CodeRuns) -> list[Verdict]:
    """1 if the answer's Python runs to its end without an exception, else 0. What it does is not looked at."""
    return on_all_cores(lambda sample: run_once(sample, parameters), samples)


def run_once(sample: Sample, parameters: CodeRuns) -> Score:
    try:
        code = program_of(section(sample, parameters.place))
    except NotPython as error:
        return Score(0.0, str(error))
    with started() as jail:
        try:
            reply = jail.ask({"program": code, "at_once": True}, parameters.seconds)
        except BatchFailed as error:
            return Score(0.0, f"{error}.")
    if "error" in reply:
        return Score(0.0, f"{jail_process.printable(str(reply['error']), 200)}.")
    return Score(1.0, "It runs.")
