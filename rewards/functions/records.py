"""Is the answer the right record?"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from rewards.functions.form import read_json
from rewards.registry import Example, Markers, Parameters, RewardError, Sample, Score, reward_function
from rewards.sections import Place, section

MARKED = Markers(solution_start="<SOLUTION>", solution_end="</SOLUTION>")
ADA = '{"name": "Ada", "born": 1815}'


class JsonEqual(Parameters):
    place: Place = Field("response", title="Place", description="The whole response, or one of its sections.")
    ignore_case: bool = Field(True, title="Ignore case", description="Of texts, and white space around them.")
    ignore_order: bool = Field(False, title="Ignore the order of lists")
    partial: bool = Field(True, title="Partial credit", description="The share of equal fields. Off: 1 or 0.")


def record(response: str, value: float, reference: str = ADA, **parameters: object) -> Example:
    return Example(Sample("Give name and year of birth.", response, reference, markers=MARKED), value, parameters)


@reward_function(
    title="Equal JSON",
    category="Answer",
    parameters=JsonEqual,
    judges_answer=True,
    needs_reference=True,
    examples=(
        record('{"born": 1815, "name": "ada "}', 1.0),
        record('{"born": 1815.0, "name": "Ada"}', 1.0),
        record('{"name": "Ada", "born": 1816}', 0.5),
        record('{"name": "Ada", "born": 1816}', 0.0, partial=False),
        record('{"name": "Ada", "born": 1815, "died": 1852, "age": 36}', 0.5),
        record('[{"name": "Ada", "born": 1815}, {"name": "Bob", "born": 1}]', 0.0),
        record("[2, 1]", 1.0, reference="[1, 2]", ignore_order=True),
        record("Ada, 1815", 0.0),
    ),
)
def json_equal(sample: Sample, parameters: JsonEqual) -> Score:
    """Share of the reference's fields that the answer has with the same value; fields of its own count against it."""
    expected = _expected(sample.reference)
    try:
        found = read_json(section(sample, parameters.place))
    except (ValueError, RecursionError) as error:
        return Score(0.0, f"Not JSON: {error}."[:120])
    wanted, given = _fields(expected, parameters), _fields(found, parameters)
    equal = [path for path in wanted if path in given and _same(wanted[path], given[path])]
    value = len(equal) / max(len(wanted), len(given), 1)
    if value < 1.0 and not parameters.partial:
        value = 0.0
    wrong = [path or "the value" for path in wanted if path not in equal]
    more = len(set(given) - set(wanted))
    said = f"{len(equal)} of {len(wanted)} fields are right"
    said += f"; not {', '.join(wrong[:5])}" if wrong else ""
    return Score(value, f"{said}; {more} are too many." if more else f"{said}.")


def _expected(reference: str | None) -> Any:
    try:
        return json.loads(reference or "")
    except (ValueError, RecursionError):
        raise RewardError("The reference is no JSON: map a column that holds the record as JSON.") from None


def _fields(value: Any, parameters: JsonEqual, path: str = "") -> dict[str, Any]:
    """Each innermost value under its path, such as "people[0].name"; an empty list or object is a value, too."""
    if isinstance(value, dict) and value:
        pairs = [(f"{path}.{name}" if path else name, inner) for name, inner in value.items()]
    elif isinstance(value, list) and value:
        items = sorted(value, key=_order) if parameters.ignore_order else value
        pairs = [(f"{path}[{number}]", inner) for number, inner in enumerate(items)]
    else:
        return {path: _plain(value, parameters)}
    found: dict[str, Any] = {}
    for name, inner in pairs:
        found |= _fields(inner, parameters, name)
    return found


def _order(value: Any) -> str:
    return json.dumps(value, sort_keys=True).casefold()


def _plain(value: Any, parameters: JsonEqual) -> Any:
    return value.strip().casefold() if isinstance(value, str) and parameters.ignore_case else value


def _same(wanted: Any, given: Any) -> bool:
    # In Python 1 == True.
    return isinstance(wanted, bool) == isinstance(given, bool) and bool(wanted == given)
