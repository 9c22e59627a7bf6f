"""Reports of the launch gate as rows: the newest one of a reward and its questions, examined now if there is none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import Team
from rewards import gate, presets
from rewards.attacks import Subject
from rewards.composition import Composition
from rewards.gate import Report
from rewards.models import RewardCheck

# An update of the program, or of a model that judges, may have changed what an older report found.
TRUSTED_FOR = timedelta(days=1)


def newest(key: str) -> Report | None:
    row = RewardCheck.objects.filter(key=key, updated_at__gt=timezone.now() - TRUSTED_FOR).first()
    return Report.of(row.report) if row else None


def report_on(
    composition: Composition, cases: Sequence[dict[str, Any]], subjects: Sequence[Subject] = (), *, again: bool = False
) -> Report:
    """Stored, or examined now; `again` asks services, too, and replaces what is stored."""
    key = gate.key(composition, cases, subjects)
    found = None if again else newest(key)
    if found is None:
        found = gate.examine(composition, cases, subjects, ask=again)
        if not found.asks_outside:
            RewardCheck.objects.update_or_create(key=key, defaults={"report": found.as_json()})
    return found


def cases_of(team: Team | None, section: presets.RewardChoice) -> list[dict[str, Any]]:
    """The golden cases of the preset that a config names; parts of its own have none."""
    if section.type == "custom":
        return []
    row = presets.row_named(team, section.preset_name or "")
    return list(row.golden) if row else []
