"""The launch gate of a session: its reward is examined on golden cases and on rows of its dataset before it trains."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from rewards import checks, gate, presets, quick_start
from rewards.checks import Exam
from rewards.composition import Composition
from rewards.gate import Drawn, Report
from rewards.quick_start import Offer, Proposal
from rewards.registry import Markers, Sample
from training.readiness import NotReady, Ready
from training.schema import Problem

if TYPE_CHECKING:
    from accounts.models import AnyUser, Team
    from datasets_app.models import DatasetVersion
    from datasets_app.rows import Row
    from training.schema import SessionConfig

# The field of its problems. There is no such setting: what mends them is another reward, or a reason.
FIELD = "reward.gate"
SHORTEST_REASON = 10
# Rows that can't be used are passed over.
ROWS_LOOKED_AT = 100
LONGEST_REASON = 1000


def exam_of(team: Team, config: SessionConfig, composition: Composition, version: DatasetVersion) -> Exam:
    """The reward with the golden cases of its preset, and rows of the training part where it compares with a
    reference. Nothing is read here."""
    count = gate.rows_wanted(composition)
    source = source_of(config, version, count) if count else {}
    return Exam(composition, checks.cases_of(team, config.reward), source)


def source_of(config: SessionConfig, version: DatasetVersion, count: int) -> dict[str, Any]:
    """Everything that decides which rows are drawn and what is made of them, as JSON."""
    names = ("instruction_field", "response_field", "split")
    return {
        "version": str(version.pk),
        "sha256": version.sha256,
        "mapping": version.mapping,
        "split": version.split,
        "dataset": {name: getattr(config.dataset, name) for name in names},
        "markers": vars(markers_of(config)),
        "count": count,
    }


def drawn(source: dict[str, Any]) -> Drawn:
    """The rows of an exam. None if the dataset can't be read: that is told where it is chosen."""
    from datasets_app.models import DatasetVersion
    from datasets_app.rows import Fields

    version = DatasetVersion.objects.select_related("dataset").filter(pk=source["version"]).first()
    if version is None:
        return Drawn()
    found, of = sampled(version, Fields(**source["dataset"]), source["count"])
    markers = Markers(**source["markers"])
    samples = [(sample_of(row, markers), row.reasoning) for row in found]
    return Drawn(gate.subjects_of(samples, [row.row + 1 for row in found]), of)


def sampled(version: DatasetVersion, section: Any, count: int) -> tuple[list[Row], int]:
    """`count` rows drawn from the training part by a fixed seed, and how many rows they were drawn from."""
    # Late: it reads Parquet, and every page imports this module.
    from datasets_app import rows as reading
    from datasets_app.problems import DatasetProblem

    try:
        numbers = training_numbers(version, section)
        # Where the parts are not known, some can't be used.
        places = Random(gate.SEED).sample(range(len(numbers)), min(2 * count, len(numbers)))
        found = reading.load(version, section, [int(numbers[place]) for place in places])
        rule = reading.rule_for(version, section)
    except (DatasetProblem, OSError):
        return [], 0
    usable = [row for row in found if not reading.missing(row.instruction, row.response, rule)]
    return usable[:count], len(numbers)


def training_numbers(version: DatasetVersion, section: Any) -> Any:
    """The rows of the training part; of a large version whose parts were never worked out, all rows. Raises
    DatasetProblem."""
    import numpy as np

    from datasets_app import membership
    from datasets_app import rows as reading

    reading.check_columns(version, section)
    file = membership.at_hand(version) if is_mapped_so(version, section) else None
    if file is not None:
        codes = np.frombuffer(file.read_bytes(), np.uint8)
        return np.flatnonzero(codes == membership.CODES[reading.TRAIN])
    if version.row_count <= membership.QUICK_ROWS:
        return reading.parts(version, section).train
    return range(version.row_count)


def is_mapped_so(version: DatasetVersion, section: Any) -> bool:
    """Whether the parts that were worked out for the version's mapping are those of `section`."""
    asked = (section.instruction_field, section.response_field, section.split)
    return asked == (version.mapping.get("instruction"), version.mapping.get("response"), "train")


def rows(config: SessionConfig, version: DatasetVersion) -> list[tuple[Sample, str]]:
    """(sample without an answer, reasoning) of the first rows that can be used: somebody waits for the page."""
    from datasets_app.problems import DatasetProblem

    try:
        found = first_rows(version, config.dataset, gate.MOST_ROWS)
    except (DatasetProblem, OSError):
        # That the rows can't be read is told where the dataset is chosen.
        return []
    markers = markers_of(config)
    return [(sample_of(row, markers), row.reasoning) for row in found]


def first_rows(version: DatasetVersion, section: Any, count: int) -> list[Row]:
    """The first rows that can be used. Raises DatasetProblem, and OSError if the file is gone."""
    from datasets_app import tables
    from datasets_app.rows import as_row, missing, reading

    how = reading(version, section)
    made = (as_row(number, cells, how) for number, cells in enumerate(tables.page(version.path, 0, ROWS_LOOKED_AT)))
    return [row for row in made if not missing(row.instruction, row.response, how.rule)][:count]


def sample_of(row: Row, markers: Markers) -> Sample:
    return Sample(row.instruction, "", row.reference or None, dict(row.columns), markers)


def proposals(team: Team, config: SessionConfig, version: DatasetVersion) -> list[Proposal]:
    """The presets that fit the rows of a version, the best first."""
    return quick_start.propose(rows(config, version), offers(team))


def offers(team: Team | None) -> Iterator[Offer]:
    for preset in presets.usable_by(team):
        try:
            yield Offer(preset.slug, preset.name, presets.composition_of(preset), preset.team_id is not None)
        except presets.PresetMissing:
            # The card of this preset says what is wrong with it.
            continue


def markers_of(config: SessionConfig) -> Markers:
    return Markers(**{name: getattr(config.prompt, name) for name in Markers.__dataclass_fields__})


def passed(ready: Ready, team: Team, by: AnyUser | None, reason: str) -> dict[str, Any]:
    """What a session that may start keeps of the gate. Raises NotReady if it fails and no reason is given."""
    report = checks.report_on(exam_of(team, ready.config, Composition.model_validate(ready.composition), ready.version))
    reason = reason.strip()[:LONGEST_REASON]
    if report.problems and len(reason) < SHORTEST_REASON:
        raise NotReady([*(Problem(field=FIELD, message=message) for message in report.problems), missing(reason)])
    override = overridden(report, by, reason) if report.problems else {}
    return {"reward_check": report.in_full(), "reward_override": override}


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
