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
from training import architecture, base_models, drafts, estimates, memory
from training.devices import Device, detect
from training.models import CatalogueModel, Session
from training.readiness import with_mapped_columns

CHARACTERS_A_TOKEN = 3.5
TEMPLATE_TOKENS = 24


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
        return estimates.counts(self.version)

    @cached_property
    def plan(self) -> estimates.Plan:
        return estimates.plan(self.config, *self.counts)

    @property
    def device(self) -> Device:
        return detect()

    @cached_property
    def architecture(self) -> architecture.Architecture | None:
        section = self.config.model
        folder = base_models.tokenizer_folder(section.name, section.revision)
        return architecture.read(folder) if folder else None

    @property
    def prompt_tokens(self) -> int:
        """Guessed from the first question, which may not be the longest: the web process counts no tokens."""
        characters = len(self.system_prompt) + (len(self.example.question) if self.example else 0)
        room = self.config.training.max_sequence_length - self.config.training.max_new_tokens
        return int(max(min(characters / CHARACTERS_A_TOKEN + TEMPLATE_TOKENS, room), 1))

    @cached_property
    def cost(self) -> estimates.Cost:
        on_gpu = self.device.kind != "cpu"
        if self.architecture:
            where = memory.Situation(self.prompt_tokens, on_gpu, memory.half_here(self.config, on_gpu))
            return estimates.cost_of(self.config, self.plan, self.architecture, where)
        known = self.model
        parameters, vram = (known.parameters, known.vram_gb) if known else (None, None)
        return estimates.cost(self.config, self.plan, parameters, vram, on_gpu)
