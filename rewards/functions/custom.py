"""Rewards that users write in Python. Their code is parsed here and run nowhere but in the sandbox."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from typing import Self

from pydantic import Field, field_validator, model_validator

from rewards.registry import Example, Parameters, RewardError, Sample, Score, Verdict, batch_reward_function
from rewards.sandbox import jail_process
from rewards.sandbox.jail_process import SandboxError

LONGEST_CODE = 64 << 10
# It passes the launch gate, which "float(right in text)" would not: a list of all answers has the right one in it.
TEMPLATE = """import re


def reward(completions, reference, **columns):
    words = [re.sub(r"<[^>]*>", " ", text).strip(" .\\n").split() for text in completions]
    return [float(found[-1:] == [right]) for found, right in zip(words, reference)]
"""

# To begin with: (what it shows, the code). Each runs as it is.
EXAMPLES = (
    ("All answers at once: is the last word the reference? Tags are no words.", TEMPLATE),
    (
        "One answer at a time: how close is the last number?",
        """import re


def reward(response, reference):
    numbers = re.findall(r"-?\\d+(?:\\.\\d+)?", response)
    if not numbers:
        return 0.0
    return 1 / (1 + abs(float(numbers[-1]) - float(reference)))
""",
    ),
    (
        "As TRL gives it: answers as messages, and a column of the dataset if there is one",
        """def polite_reward(prompts, completions, level=None, **kwargs):
    texts = [completion[0]["content"].lower() for completion in completions]
    return [0.5 * ("please" in text) + 0.5 * ("thank" in text) for text in texts]
""",
    ),
    (
        "As OpenAI's Python grader: a sample and its row",
        """def grade(sample, item):
    found = sample["output_json"]
    answer = found.get("answer") if isinstance(found, dict) else sample["output_text"]
    return float(str(answer).strip() == item["reference"])
""",
    ),
)
# What a function that scores is given; and how columns with the right answer are called.
SCORED = {"completions", "response", "item"}
RIGHT_ANSWER = re.compile(r"reference|answer|solution|truth|target|label|expected|gold", re.IGNORECASE)
# In what Python says of code that it can't read, and in what the sandbox says of code that failed.
LINE = re.compile(r"\bLine (\d+) is no Python|\(line (\d+)\)")


def line_in(problem: str) -> int | None:
    """The line of the code that a message is about."""
    found = LINE.findall(problem)
    return int(found[-1][0] or found[-1][1]) if found else None


class CustomPython(Parameters):
    code: str = Field(
        TEMPLATE,
        max_length=LONGEST_CODE,
        title="Code",
        json_schema_extra={"code": "python"},
        description="reward(completions, **columns) gives a number for each completion. reference, instruction and"
        " the dataset's columns are lists. Functions for TRL, and OpenAI's grade(sample, item), work as they are.",
    )
    lowest: float = Field(0.0, ge=-1e6, le=1e6, title="Lowest", description="Counts as 0. Less is an error.")
    highest: float = Field(1.0, ge=-1e6, le=1e6, title="Highest", description="Counts as 1. More is an error.")
    timeout: float = Field(5.0, ge=0.1, le=60, title="Time-out", description="Seconds for one answer.")
    judges_answer: bool = Field(
        False, title="Judges the answer", description="Yes if the code gives its highest score for right answers only."
    )

    @field_validator("code")
    @classmethod
    def is_python_with_a_function(cls, code: str) -> str:
        if not any(isinstance(node, ast.FunctionDef) for node in tree_of(code).body):
            raise ValueError("The code defines no function. Begin with: def reward(completions, **columns):")
        return code

    @model_validator(mode="after")
    def has_a_range(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError("lowest: it has to be less than the highest.")
        return self

    def decides(self) -> bool | None:
        return self.judges_answer

    def compares(self) -> bool:
        return reads_reference(tree_of(self.code))


def tree_of(code: str) -> ast.Module:
    if len(code.encode("utf-8", "replace")) > LONGEST_CODE:
        raise ValueError(f"The code is longer than {LONGEST_CODE // 1024} kB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except SyntaxError as error:
        raise ValueError(f"Line {error.lineno or 1} is no Python: {error.msg}.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"Python can't parse the code: {str(error)[:80] or type(error).__name__}.") from None


def reads_reference(tree: ast.Module) -> bool:
    """As far as names tell: an argument of a function that scores, or a key such as item["answer"]."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    arguments = [{each.arg for each in [*node.args.args, *node.args.kwonlyargs]} for node in functions]
    read = set().union(*(names for names in arguments if names & SCORED))
    return any(RIGHT_ANSWER.search(name) for name in read | keys(tree))


def keys(tree: ast.Module) -> set[str]:
    """Names in x["name"] and x.get("name")."""
    found = [node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript)]
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    found += [node.args[0] for node in calls if node.func.attr == "get" and node.args]  # type: ignore[attr-defined]
    return {node.value for node in found if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def answered(response: str, value: float, **parameters: object) -> Example:
    return Example(Sample("What is 2 + 3?", response, "5"), value, parameters)


@batch_reward_function(
    title="Custom Python",
    category="Code",
    parameters=CustomPython,
    grades_content=True,
    unavailable=jail_process.unavailable,
    examples=(
        answered("It is 5.", 1.0),
        answered("It is 6.", 0.0),
        answered(
            "5", 1.0, code="def reward(completions, **columns):\n    return [2.0] * len(completions)\n", highest=2
        ),
        answered("5", 0.5, code="def grade(sample, item):\n    return len(sample['output_text'])\n", highest=2),
    ),
)
def custom_python(samples: Sequence[Sample], parameters: CustomPython) -> list[Verdict]:
    """What your own function gives, brought from its lowest and highest to 0 and 1. It runs in the sandbox."""
    # Late: it reads rows as the command line does, which needs the composition.
    from rewards.sandbox.rows import values_of

    if reason := jail_process.unavailable():
        raise RewardError(reason)
    try:
        values = values_of(parameters.code, samples, parameters.timeout)
    except SandboxError as error:
        raise RewardError(str(error)) from error
    return [verdict(value, parameters) for value in values]


def verdict(value: float | str, parameters: CustomPython) -> Verdict:
    if isinstance(value, str):
        return RewardError(f"The code gave no score: {value}")
    low, high = parameters.lowest, parameters.highest
    if not low <= value <= high:
        return RewardError(
            f"The code gave {value:g}, which is not between {low:g} and {high:g}. Set Lowest or Highest."
        )
    return Score((value - low) / (high - low), f"The code gave {value:g}.")
