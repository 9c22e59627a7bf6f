"""Reports of the launch gate as rows: the newest one of a reward and its questions, examined now if there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.utils import timezone

from accounts.models import Team
from rewards import gate, presets
from rewards.composition import Composition
from rewards.gate import Drawn, Plan, Report
from rewards.models import RewardCheck

# An update of the program, or of a model that judges, may have changed what an older report found.
TRUSTED_FOR = timedelta(days=1)


@dataclass(frozen=True)
class Exam:
    """What is examined, and with what. `source` says where rows come from, as JSON; {}: there are none.

    The rows themselves are read when it is examined, and not by who only looks for a report.
    """

    composition: Composition
    cases: list[dict[str, Any]]
    source: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        return gate.key(self.composition, self.cases, self.source)

    @property
    def plan(self) -> Plan:
        return gate.plan(self.composition, self.cases, gate.rows_wanted(self.composition) if self.source else 0)

    def as_json(self) -> dict[str, Any]:
        return {"composition": self.composition.model_dump(mode="json"), "cases": self.cases, "source": self.source}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Exam:
        return cls(Composition.model_validate(stored["composition"]), stored["cases"], stored["source"])


def no_rows(source: dict[str, Any]) -> Drawn:
    return Drawn()


# Set by the app above, which knows datasets.
draw: Callable[[dict[str, Any]], Drawn] = no_rows


def provide(drawing: Callable[[dict[str, Any]], Drawn]) -> None:
    global draw
    draw = drawing


def newest(exam: Exam) -> Report | None:
    row = RewardCheck.objects.filter(key=exam.key, updated_at__gt=timezone.now() - TRUSTED_FOR).first()
    return Report.of(row.report) if row else None


def report_on(exam: Exam) -> Report:
    """Stored, or examined now. A reward that asks a service is not examined here: see rewards.examinations."""
    return newest(exam) or examined(exam)


def examined(
    exam: Exam, *, ask: bool = False, budget: float = gate.BUDGET, told: Callable[[int, int], None] | None = None
) -> Report:
    """The new report, which replaces what is stored. With `ask`, services are asked, too."""
    drawn = draw(exam.source) if exam.source and (ask or not exam.composition.asks_outside) else Drawn()
    report = gate.examine(exam.composition, exam.cases, drawn.subjects, budget, ask, told)
    report = replace(report, drawn_from=drawn.of)
    if not report.asks_outside:
        RewardCheck.objects.update_or_create(key=exam.key, defaults={"report": asdict(report)})
    return report


def cases_of(team: Team | None, section: presets.RewardChoice) -> list[dict[str, Any]]:
    """The golden cases of the preset that a config names; parts of its own have none."""
    if section.type == "custom":
        return []
    row = presets.row_named(team, section.preset_name or "")
    return list(row.golden) if row else []
