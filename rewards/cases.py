"""Golden cases of a team's own, made of any answer with a click."""

from __future__ import annotations

from typing import Any

from accounts.models import AnyUser
from rewards import golden, presets
from rewards.models import RewardPreset
from rewards.registry import Markers, Sample

MOST_CASES = 50
GOOD, BAD = 1, 2
LABELS = {GOOD: "good", BAD: "bad"}


class CaseProblem(Exception):
    """The answer can't become a case; the message says why."""


def add(preset: RewardPreset, by: AnyUser, sample: Sample, good: bool) -> bool:
    """Adds an answer to the preset's case of its question, which is made if there is none: a new version.

    False if the case holds the answer already. Raises CaseProblem, and presets.PresetChanged.
    """
    rank = GOOD if good else BAD
    cases = [dict(case) for case in preset.golden]
    case = next((each for each in cases if same_question(each, sample)), None)
    if case is None:
        if len(cases) >= MOST_CASES:
            raise CaseProblem(f"This preset has {MOST_CASES} golden cases already. Remove one in the composer first.")
        case = case_of(sample)
        cases.append(case)
    if any(answer["text"] == sample.response for answer in case["answers"]):
        return False
    case["answers"] = [*case["answers"], {"text": sample.response, "rank": rank, "label": LABELS[rank]}]
    golden.CASES.validate_python(cases)
    note = f"A {LABELS[rank]} answer added as a case"
    return presets.update(preset, by, golden=cases, note=note)


def same_question(case: dict[str, Any], sample: Sample) -> bool:
    markers = {**dict.fromkeys(Markers.__dataclass_fields__, ""), **case.get("markers", {})}
    alike = case["instruction"] == sample.instruction and case.get("reference") == sample.reference
    return alike and markers == vars(sample.markers) and case.get("columns", {}) == sample.columns


def case_of(sample: Sample) -> dict[str, Any]:
    columns = {"columns": sample.columns} if sample.columns else {}
    asked = {"instruction": sample.instruction, "reference": sample.reference, "markers": vars(sample.markers)}
    return {**asked, "answers": [], **columns}
