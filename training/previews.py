"""The stepper's right column: what the model is given, what the reward compares, what a step is, what it may cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from accounts.models import Team
from datasets_app.models import DatasetVersion
from datasets_app.problems import DatasetProblem
from datasets_app.sources import resolve
from rewards.composition import Composition
from rewards.presets import PresetMissing, composition_for
from training import drafts, estimates
from training.devices import Device, detect
from training.models import CatalogueModel, Session
from training.readiness import with_mapped_columns


@dataclass(frozen=True)
class Example:
    question: str
    response: str
    reference: str


def example_of(version: DatasetVersion, section: Any) -> Example | None:
    """The first row that can be used. Raises DatasetProblem for a column that does not exist."""
    # Late: these read Parquet, and every page imports this module.
    from datasets_app import previews, rows

    rows.check_columns(version, section)
    found = previews.mapped(version, section, 1)
    row = found[0].row if found and not found[0].missing else None
    return Example(row.instruction, row.response, row.reference) if row else None


class Preview:
    """Each part is worked out when the page asks for it, from as much of the draft as can be understood."""

    def __init__(self, session: Session) -> None:
        self.team: Team = session.team
        self.raw = session.config

    @cached_property
    def version(self) -> DatasetVersion | None:
        source = str(drafts.get(self.raw, "dataset.source") or "")
        try:
            return resolve(self.team, source) if source.strip() else None
        except DatasetProblem:
            return None

    @property
    def columns(self) -> list[str]:
        """What can be question or answer: the columns, and the places inside nested ones."""
        from datasets_app import previews

        try:
            return previews.choices(self.version) if self.version else []
        except OSError:
            return [column["name"] for column in self.version.columns] if self.version else []

    @property
    def version_numbers(self) -> list[int]:
        return list(self.version.dataset.versions.values_list("number", flat=True)) if self.version else []

    @property
    def splits(self) -> list[str]:
        """What may be trained on, where the dataset's split leaves a choice."""
        from datasets_app.rows import trainable

        return trainable(self.version.split) if self.version and self.version.split.get("column") else []

    @cached_property
    def config(self) -> Any:
        config = drafts.parsed(self.raw)
        return with_mapped_columns(config, drafts.usable(self.raw), self.version) if self.version else config

    @cached_property
    def example(self) -> Example | None:
        try:
            return example_of(self.version, self.config.dataset) if self.version else None
        except (DatasetProblem, OSError):
            return None

    @cached_property
    def composition(self) -> Composition | None:
        try:
            return composition_for(self.team, self.config.reward)
        except PresetMissing:
            return None

    @property
    def system_prompt(self) -> str:
        return str(self.config.prompt.rendered)

    @cached_property
    def model(self) -> CatalogueModel | None:
        return CatalogueModel.objects.filter(hub_id=self.config.model.name).first()

    @property
    def counts(self) -> tuple[int | None, int]:
        """(rows to train on, held-out questions) of the dataset, as counted at import."""
        if self.version is None:
            return None, 0
        parts = self.version.report.get("parts") or {}
        held_out = int(self.version.split.get("held_out") or 0)
        return int(parts.get("train") or max(self.version.row_count - held_out, 0)), held_out

    @cached_property
    def plan(self) -> estimates.Plan:
        return estimates.plan(self.config, *self.counts)

    @property
    def device(self) -> Device:
        return detect()

    @cached_property
    def cost(self) -> estimates.Cost:
        known = self.model
        return estimates.cost(
            self.config,
            self.plan,
            known.parameters if known else None,
            known.vram_gb if known else None,
            self.device.kind != "cpu",
        )
