"""Is the answer in the form that was asked for? These say nothing about whether it is right."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import Field

from rewards.registry import Example, Markers, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import Place, section

ALL = Markers("<think>", "</think>", "<SOLUTION>", "</SOLUTION>")
FENCE = re.compile(r"^```(?:json)?\s*\n(.*)\n```$", re.DOTALL | re.IGNORECASE)


def formed(response: str, value: float, **parameters: object) -> Example:
    return Example(Sample("What is 48 + 24?", response, markers=ALL), value, parameters)


@reward_function(
    title="Reasoning and solution markers",
    category="Format",
    examples=(
        formed("<think>48 + 24 = 72</think><SOLUTION>72</SOLUTION>", 1.0),
        formed("<SOLUTION>72</SOLUTION><think>48 + 24 = 72</think>", 0.5),
        formed("<think></think><SOLUTION></SOLUTION>", 0.75),
        formed("<think>48 + 24 = 72</think> 72", 0.25),
        formed("<think><think>48</think><SOLUTION>72</SOLUTION>", 0.375),
        formed("72", 0.0),
    ),
)
def markers(sample: Sample, parameters: Any) -> Score:
    """Half for the markers that occur exactly once, a quarter for their order, a quarter if both sections have text."""
    wanted = [m for pair in (sample.markers.reasoning, sample.markers.solution) if pair for m in pair]
    if not wanted:
        raise RewardError("The prompt has no markers.")
    once = [marker for marker in wanted if sample.response.count(marker) == 1]
    value = 0.5 * len(once) / len(wanted)
    if len(once) < len(wanted):
        return Score(value, f"{len(once)} of {len(wanted)} markers occur exactly once.")
    if not in_order(sample.response, wanted):
        return Score(value, "The markers are not in order.")
    if not all(_inside(sample.response, *wanted[i : i + 2]) for i in range(0, len(wanted), 2)):
        return Score(value + 0.25, "A section is empty.")
    return Score(1.0, "All markers once and in order.")


@reward_function(
    title="Solution markers",
    category="Format",
    examples=(
        formed("48 + 24 = 72. <SOLUTION>72</SOLUTION>", 1.0),
        formed("<SOLUTION>72</SOLUTION><SOLUTION>71</SOLUTION>", 0.0),
        formed("</SOLUTION>72<SOLUTION>", 0.0),
        formed("<SOLUTION> </SOLUTION>", 0.0),
        formed("72", 0.0),
    ),
)
def solution_markers(sample: Sample, parameters: Any) -> Score:
    """1 if the solution markers occur exactly once, in order and with text between them, else 0."""
    pair = sample.markers.solution
    if pair is None:
        raise RewardError("The prompt has no solution markers.")
    once = all(sample.response.count(marker) == 1 for marker in pair)
    if once and in_order(sample.response, list(pair)) and _inside(sample.response, *pair):
        return Score(1.0, "One solution block.")
    return Score(0.0, "Not exactly one solution block with text in it.")


def in_order(text: str, wanted: list[str]) -> bool:
    places = [text.find(marker) for marker in wanted]
    return -1 not in places and places == sorted(places)


def _inside(text: str, start: str, end: str) -> str:
    return text[text.find(start) + len(start) : text.find(end)].strip()


class JsonValid(Parameters):
    place: Place = Field("response", title="Place", description="The whole response, or one of its sections.")
    required_keys: list[str] = Field(
        default_factory=list, max_length=100, title="Required keys", description="One a line. None: any JSON."
    )


@reward_function(
    title="Valid JSON",
    category="Format",
    parameters=JsonValid,
    examples=(
        formed('{"answer": 72}', 1.0),
        formed('```json\n{"answer": 72}\n```', 1.0),
        formed('{"answer": 72}', 0.5, required_keys=["answer", "unit"]),
        formed('{"answer": NaN}', 0.0),
        formed('{"answer": 72} That is it.', 0.0),
        formed("[" * 100_000, 0.0),
    ),
)
def json_valid(sample: Sample, parameters: JsonValid) -> Score:
    """1 if the text is JSON (a code fence round it is fine); with required keys the share of them."""
    try:
        value = read_json(section(sample, parameters.place))
    except (ValueError, RecursionError) as error:
        return Score(0.0, f"Not JSON: {error}."[:120])
    if not parameters.required_keys:
        return Score(1.0, "Valid JSON.")
    if not isinstance(value, dict):
        return Score(0.0, "JSON, but not an object with keys.")
    present = [key for key in parameters.required_keys if key in value]
    return Score(len(present) / len(parameters.required_keys), f"Has the keys {', '.join(present) or 'none'}.")


def read_json(text: str) -> Any:
    """A code fence round it is fine. Raises ValueError, or RecursionError where it nests too deeply."""
    fenced = FENCE.match(text.strip())
    return json.loads(fenced[1] if fenced else text.strip(), parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not allowed")
