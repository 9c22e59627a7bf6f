"""The launch gate of a session: its reward is examined on golden cases and on rows of its dataset before it trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from rewards import checks, gate, presets, quick_start
from rewards.attacks import Subject
from rewards.composition import Composition
from rewards.gate import Report
from rewards.quick_start import Offer, Proposal
from rewards.registry import Markers, Sample
from training.readiness import NotReady, Ready
from training.schema import Problem

if TYPE_CHECKING:
    from accounts.models import AnyUser, Team
    from datasets_app.models import DatasetVersion
    from training.schema import SessionConfig

# The field of its problems. There is no such setting: what mends them is another reward, or a reason.
FIELD = "reward.gate"
SHORTEST_REASON = 10
# Rows that can't be used are passed over.
ROWS_LOOKED_AT = 100
LONGEST_REASON = 1000


def report_on(team: Team, config: SessionConfig, composition: Composition, version: DatasetVersion) -> Report:
    """The stored report on this reward, its golden cases and these rows; else one that is made now."""
    cases = checks.cases_of(team, config.reward)
    return checks.report_on(composition, cases, subjects(config, composition, version))


def subjects(config: SessionConfig, composition: Composition, version: DatasetVersion) -> list[Subject]:
    """None where nothing of the reward compares with a reference."""
    return gate.subjects_of(rows(config, version)) if composition.needs_reference else []


def rows(config: SessionConfig, version: DatasetVersion) -> list[tuple[Sample, str]]:
    """(sample without an answer, reasoning) of the first rows that can be used."""
    # Late: it reads Parquet, and every page imports this module.
    from datasets_app.problems import DatasetProblem

    try:
        found = first_rows(version, config.dataset, gate.MOST_ROWS)
    except (DatasetProblem, OSError):
        # That the rows can't be read is told where the dataset is chosen.
        return []
    markers = markers_of(config)
    return [(sample_of(row, markers), row.reasoning) for row in found]


def first_rows(version: DatasetVersion, section: Any, count: int) -> list[Any]:
    """The first rows that can be used. Raises DatasetProblem, and OSError if the file is gone."""
    from datasets_app import tables
    from datasets_app.rows import as_row, missing, reading

    how = reading(version, section)
    made = (as_row(number, cells, how) for number, cells in enumerate(tables.page(version.path, 0, ROWS_LOOKED_AT)))
    return [row for row in made if not missing(row.instruction, row.response, how.rule)][:count]


def sample_of(row: Any, markers: Markers) -> Sample:
    return Sample(row.instruction, "", row.reference or None, dict(row.columns), markers)


def proposals(team: Team, config: SessionConfig, version: DatasetVersion) -> list[Proposal]:
    """The presets that fit the rows of a version, the best first."""
    return quick_start.propose(rows(config, version), offers(team))


def offers(team: Team | None) -> Iterator[Offer]:
    for preset in presets.usable_by(team):
        try:
            yield Offer(preset.slug, preset.name, presets.composition_of(preset))
        except presets.PresetMissing:
            # The card of this preset says what is wrong with it.
            continue


def markers_of(config: SessionConfig) -> Markers:
    return Markers(**{name: getattr(config.prompt, name) for name in Markers.__dataclass_fields__})


def passed(ready: Ready, team: Team, by: AnyUser | None, reason: str) -> dict[str, Any]:
    """What a session that may start keeps of the gate. Raises NotReady if it fails and no reason is given."""
    report = report_on(team, ready.config, Composition.model_validate(ready.composition), ready.version)
    reason = reason.strip()[:LONGEST_REASON]
    if report.problems and len(reason) < SHORTEST_REASON:
        raise NotReady([*(Problem(field=FIELD, message=message) for message in report.problems), missing(reason)])
    override = overridden(report, by, reason) if report.problems else {}
    return {"reward_check": kept(report), "reward_override": override}


def missing(reason: str) -> Problem:
    said = f"“{reason}” is too short" if reason else "No reason was given"
    return Problem(
        field=FIELD,
        message=f"The reward failed its check. {said}: choose another reward, or start in spite of it with a reason"
        f" (reward_override) of at least {SHORTEST_REASON} characters.",
    )


def overridden(report: Report, by: AnyUser | None, reason: str) -> dict[str, Any]:
    known = by if by is not None and by.is_authenticated else None
    return {
        "reason": reason,
        "by": known.get_username() if known else "command line",
        "by_id": known.pk if known else None,
        "at": timezone.now().isoformat(),
        "problems": report.problems,
    }


def kept(report: Report) -> dict[str, Any]:
    """The report with what follows from its numbers, for files and the API."""
    rates = {name: getattr(report, name) for name in ("false_pass_rate", "false_fail_rate", "error_rate")}
    said = {"passed": report.passed, "problems": report.problems, "warnings": report.warnings}
    return {**said, **rates, **report.as_json()}
