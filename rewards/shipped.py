"""The presets that come with the program as rows without a team: a data migration writes them, `write` again after
an update."""

from __future__ import annotations

from typing import Any

from rewards.library import PRESETS as SHIPPED
from rewards.library.cases import MARKERS

__all__ = ["MARKERS", "SHIPPED", "write"]


def write(presets: Any, versions: Any = None) -> None:
    """Brings the rows of the manager `presets` in line with SHIPPED. Changed parts or golden cases are a new version,
    kept with the manager `versions` where there is one: the first migrations have none yet."""
    for preset in SHIPPED:
        values = {name: value for name, value in preset.items() if name != "slug"}
        row = presets.filter(team=None, slug=preset["slug"]).first()
        if row is None:
            row = presets.create(team=None, slug=preset["slug"], **values)
        else:
            row.version += (row.definition, row.golden) != (preset["definition"], preset["golden"])
            for name, value in values.items():
                setattr(row, name, value)
            row.save()
        if versions is not None:
            kept = {"definition": row.definition, "golden": row.golden, "note": "Shipped"}
            versions.get_or_create(preset=row, number=row.version, defaults=kept)
