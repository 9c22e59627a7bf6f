"""Golden cases of a team's own, made of any answer with a click, and taken back with another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from accounts.models import AnyUser, Team
from rewards import golden, presets
from rewards.composition import Composition
from rewards.models import RewardPreset
from rewards.registry import Markers, Sample

MOST_CASES = 50
# What somebody wants of an answer, best first; each is the label of its answer in the case.
HIGH, BETWEEN, LOW = WANTED = ("high", "between", "low")
WORDS = {HIGH: "should score high", BETWEEN: "should score between", LOW: "should score low"}
# Cases that were made before there was something between have other labels.
LOW_LABELS = (LOW, "bad")


class CaseProblem(Exception):
    """The answer can't become a case; the message says why."""


@dataclass(frozen=True)
class Added:
    """`preset` got the case: the chosen one, or the team's copy of a shipped one. `is_new`: it had not got it yet."""

    preset: RewardPreset
    is_new: bool
    copied: bool = False


def add_to(chosen: RewardPreset, team: Team, by: AnyUser, sample: Sample, wanted: str) -> Added:
    """As add(). Of a shipped preset the team's copy gets the case; it is made if there is none."""
    if chosen.team_id is not None:
        return Added(chosen, add(chosen, by, sample, wanted))
    with transaction.atomic():
        found = copy_of(chosen, team)
        preset = found or presets.copy(chosen, team, by)
        return Added(preset, add(preset, by, sample, wanted), copied=found is None)


def copy_of(shipped: RewardPreset, team: Team) -> RewardPreset | None:
    """The team's newest copy of it."""
    first = {"versions__number": 1, "versions__note__startswith": presets.copied_from(shipped)}
    return RewardPreset.objects.filter(team=team, **first).order_by("-created_at").first()


def add(preset: RewardPreset, by: AnyUser, sample: Sample, wanted: str) -> bool:
    """Adds an answer to the preset's case of its question, which is made if there is none: a new version.

    False if the case holds the answer already. Raises CaseProblem, and presets.PresetChanged.
    """
    check(preset, sample, wanted)
    cases = [dict(case) for case in preset.golden]
    case = next((each for each in cases if same_question(each, sample)), None)
    if case is None:
        if len(cases) >= MOST_CASES:
            raise CaseProblem(f"This preset has {MOST_CASES} golden cases already. Remove one on its page first.")
        case = case_of(sample)
        cases.append(case)
    if any(answer["text"] == sample.response for answer in case["answers"]):
        return False
    case["answers"] = with_answer(case["answers"], sample.response, wanted)
    golden.CASES.validate_python(cases)
    return presets.update(preset, by, golden=cases, note=f"A case added: an answer that {WORDS[wanted]}")


def check(preset: RewardPreset, sample: Sample, wanted: str) -> None:
    """Raises CaseProblem."""
    if wanted not in WANTED:
        raise CaseProblem(f"Say what it should score: {', '.join(WANTED)}.")
    lacking = sorted(set(Composition.model_validate(preset.definition).columns) - set(sample.columns))
    if lacking:
        raise CaseProblem(
            f"{preset.name} reads the column {', '.join(lacking)}, which is not stored with this answer. Score rows of"
            " the dataset on the test bench, and add the case from there."
        )


def with_answer(answers: list[dict[str, Any]], text: str, wanted: str) -> list[dict[str, Any]]:
    """The answers with one more, which is as good as the best, as bad as the worst, or between them."""
    ranks = places(answers)
    if wanted == BETWEEN and ranks[LOW] - ranks[HIGH] == 1:
        # Nothing is between them yet: what is worse moves down by one.
        answers = [{**each, "rank": each["rank"] + (each["rank"] > ranks[HIGH])} for each in answers]
    return [*answers, {"text": text, "rank": ranks[wanted], "label": wanted}]


def places(answers: list[dict[str, Any]]) -> dict[str, int]:
    """The rank of each kind of answer among those that a case has; a lower rank is a better answer."""
    ranks = sorted({answer["rank"] for answer in answers}) or [1]
    best, worst = ranks[0], ranks[-1]
    if best < worst:
        return {HIGH: best, BETWEEN: best + 1, LOW: worst}
    labels = {answer.get("label") for answer in answers}
    if labels and labels <= set(LOW_LABELS):
        best -= 2
    elif labels == {BETWEEN}:
        best -= 1
    return {HIGH: best, BETWEEN: best + 1, LOW: best + 2}


def remove(preset: RewardPreset, by: AnyUser, sample: Sample) -> bool:
    """Takes an answer out of its case, and the case if it was the only one: a new version. False if it isn't there.
    Raises presets.PresetChanged."""
    left = [without_answer(case, sample) for case in preset.golden]
    kept = [case for case in left if case["answers"]]
    return kept != preset.golden and presets.update(preset, by, golden=kept, note="A case taken back")


def drop(preset: RewardPreset, by: AnyUser, place: str) -> bool:
    """Removes a whole case: a new version. False if there is none at this place. Raises presets.PresetChanged."""
    at = int(place) if place.isdecimal() and len(place) < 6 else -1
    if not 0 <= at < len(preset.golden):
        return False
    left = [case for number, case in enumerate(preset.golden) if number != at]
    return presets.update(preset, by, golden=left, note="A case removed")


def without_answer(case: dict[str, Any], sample: Sample) -> dict[str, Any]:
    if not same_question(case, sample):
        return dict(case)
    return {**case, "answers": [answer for answer in case["answers"] if answer["text"] != sample.response]}


def same_question(case: dict[str, Any], sample: Sample) -> bool:
    markers = {**dict.fromkeys(Markers.__dataclass_fields__, ""), **case.get("markers", {})}
    alike = case["instruction"] == sample.instruction and case.get("reference") == sample.reference
    return alike and markers == vars(sample.markers) and case.get("columns", {}) == sample.columns


def case_of(sample: Sample) -> dict[str, Any]:
    columns = {"columns": sample.columns} if sample.columns else {}
    asked = {"instruction": sample.instruction, "reference": sample.reference, "markers": vars(sample.markers)}
    return {**asked, "answers": [], **columns}
