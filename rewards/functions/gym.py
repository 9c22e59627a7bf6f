"""Answers to reasoning-gym's questions, scored as the task itself scores them: several answers may be right.

The column `metadata` of a generated dataset holds what the scorers need: `source_dataset`, the task, and its own facts.
Some scorers give a little for any attempt, and some overlook text round a right answer (knights_knaves, sokoban,
word_sorting): look at a task's scores on the test bench first.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from pydantic import Field

from rewards.registry import Example, Markers, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import LOOK_IN_HELP, LookIn, find_answer, solutions
from rewards.symbolic import TooSlow, deadline

MARKED = Markers(solution_start="<SOLUTION>", solution_end="</SOLUTION>")
LONGEST_ANSWER = 20_000
SECONDS = 5.0
# Fractions and decimals of these would fill the memory: 1e999999999.
HUGE = re.compile(r"\de[+-]?\d{4,}|\d{1000,}", re.IGNORECASE)
RUNS_ANSWER = "its scorer runs the answer as Python code"
READS_FORMULA = "its scorer has SymPy read the answer, which runs it as Python code"
RUNS_ROW = "its scorer runs text of the row as Python code"
REFUSED = {
    "binary_matrix": RUNS_ANSWER,
    "n_queens": RUNS_ANSWER,
    "spiral_matrix": RUNS_ANSWER,
    "string_insertion": RUNS_ANSWER,
    "countdown": READS_FORMULA,
    "intermediate_integration": READS_FORMULA,
    "polynomial_multiplication": READS_FORMULA,
    "puzzle24": READS_FORMULA,
    "simple_integration": READS_FORMULA,
    "bitwise_arithmetic": RUNS_ROW,
    "number_sorting": RUNS_ROW,
    "rubiks_cube": "its scorer repeats a move as often as the answer says: R999999999 fills the memory",
    "game_of_life_halting": "its scorer takes any answer for right",
    "composite": "it is a mixture: its rows name the task that they are of",
}
# JSON has no tuples, which these compare with.
GRIDS = {"arc_agi", "rearc"}
# Many answers are right and none is stored, so there is none to try the scorer with.
WITHOUT_ANSWER = {"boxnet", "rush_hour"}


class ReasoningGym(Parameters):
    column: str = Field(
        "metadata", min_length=1, max_length=200, title="Column", description="Holds what the scorer needs, as JSON."
    )
    look_in: LookIn = Field("auto", title="Look in", description=LOOK_IN_HELP)

    def columns(self) -> list[str]:
        return [self.column]


def solved(task: str, question: str, response: str, reference: str, value: float, **facts: Any) -> Example:
    columns = {"metadata": json.dumps({"source_dataset": task, **facts})}
    return Example(Sample(question, response, reference, columns, MARKED), value)


@reward_function(
    title="reasoning-gym's own score",
    category="Answer",
    parameters=ReasoningGym,
    judges_answer=True,
    needs_reference=True,
    examples=(
        solved("chain_sum", "State the final answer: 4 - 1 - 7 =", "<SOLUTION>-4</SOLUTION>", "-4", 1.0),
        solved("chain_sum", "State the final answer: 4 - 1 - 7 =", "<SOLUTION>4</SOLUTION>", "-4", 0.0),
        solved("word_sorting", "Sort: b, a", "<SOLUTION>a, b</SOLUTION>", "a, b", 1.0, sorted_words=["a", "b"]),
        solved("chain_sum", "State the final answer: 4 - 1 - 7 =", "", "-4", 0.0),
    ),
)
def reasoning_gym_score(sample: Sample, parameters: ReasoningGym) -> Score:
    """What the task of reasoning-gym that made the question gives for the answer, from 0 to 1."""
    if not (sample.reference or "").strip():
        raise RewardError("This row has no reference answer.")
    facts = facts_of(sample, parameters.column)
    scorer = scorer_of(facts["source_dataset"])
    entry = {"question": sample.instruction, "answer": sample.reference, "metadata": facts}
    pieces = [piece.strip() for piece in _pieces(sample, parameters.look_in)]
    if not pieces or not all(pieces):
        return Score(0.0, "Found no answer.")
    value = min(_scored(scorer, piece, entry) for piece in pieces)
    if value < 1 and facts["source_dataset"] not in WITHOUT_ANSWER:
        _try_reference(scorer, entry)
    return Score(value, f"{facts['source_dataset']} gives {value:.3g} for “{pieces[0][:80]}”.")


def _pieces(sample: Sample, look_in: LookIn) -> list[str]:
    """A solution block counts though it stands in the question: the right matrix may be the one that was given."""
    blocks = solutions(sample) if look_in in ("auto", "markers") else []
    return blocks or find_answer(sample, look_in).pieces


def facts_of(sample: Sample, column: str) -> dict[str, Any]:
    if column not in sample.columns:
        raise RewardError(f"This row has no column “{column}”, which reasoning-gym's scorer needs.")
    facts = sample.columns[column]
    try:
        facts = json.loads(facts) if isinstance(facts, str) else facts
    except (ValueError, RecursionError):
        raise RewardError(f"The column “{column}” holds no JSON: it was not made by reasoning-gym here.") from None
    if not (isinstance(facts, dict) and isinstance(facts.get("source_dataset"), str)):
        raise RewardError(f"The column “{column}” does not name a task of reasoning-gym as source_dataset.")
    if facts["source_dataset"] in GRIDS and isinstance(facts.get("output"), list):
        facts = facts | {"output": tuple(tuple(line) if isinstance(line, list) else line for line in facts["output"])}
    return facts


def scorer_of(task: str) -> Any:
    """Raises RewardError for tasks that are not known, and for those whose scorers would run foreign text."""
    if task in REFUSED:
        raise RewardError(f"reasoning-gym's own score of {task} is not used: {REFUSED[task]}.")
    made = _dataset(task)
    if made is None:
        raise RewardError(f"reasoning-gym has no task {task[:60]!r}.")
    return made


@cache
def _tasks() -> dict[str, Any]:
    from reasoning_gym.factory import DATASETS

    return dict(DATASETS)


def _dataset(task: str) -> Any:
    return _made(task) if task in _tasks() else None


@cache
def _made(task: str) -> Any:
    """With the task's defaults: rows do not hold the settings that they were made with."""
    import reasoning_gym

    return reasoning_gym.create_dataset(task, size=1, seed=0)


def _scored(scorer: Any, answer: str, entry: dict[str, Any]) -> float:
    if answer != entry["answer"].strip() and (len(answer) > LONGEST_ANSWER or HUGE.search(answer)):
        return 0.0
    try:
        with deadline(SECONDS):
            value = float(scorer.score_answer(answer, entry))
    except TooSlow:
        raise RewardError(f"reasoning-gym's scorer took longer than {SECONDS:g} seconds.") from None
    except Exception:
        return 0.0
    return min(max(value, 0.0), 1.0)


def _try_reference(scorer: Any, entry: dict[str, Any]) -> None:
    """Raises RewardError if even the reference is not right: then the row is at fault, not the answer."""
    try:
        with deadline(SECONDS):
            value = float(scorer.score_answer(entry["answer"], entry))
    except (Exception, TooSlow) as error:
        raise RewardError(f"reasoning-gym's scorer failed on the row: {type(error).__name__}: {error}"[:200]) from None
    if not value >= 1:
        raise RewardError(f"reasoning-gym's scorer gives {value:.3g} for the row's own reference: the row is no good.")
