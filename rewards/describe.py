"""What pages say about a preset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rewards.composition import Composition, Part, Result
from rewards.models import RewardPreset
from rewards.presets import PresetMissing, composition_of
from rewards.registry import RewardFunction


@dataclass(frozen=True)
class PartView:
    index: int
    part: Part
    start: float
    share: float

    @property
    def function(self) -> RewardFunction:
        return self.part.definition

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Those that differ from the default, in words."""
        model = self.function.parameters
        values = model.model_validate(self.part.parameters)
        fields = model.model_fields
        changed = [name for name, info in fields.items() if getattr(values, name) != info.get_default()]
        return [(fields[name].title or name, shown(getattr(values, name))) for name in changed]


@dataclass(frozen=True)
class Card:
    """`problem` says why a stored definition can't be used any more; there are no parts then."""

    preset: RewardPreset
    composition: Composition | None
    parts: list[PartView]
    problem: str = ""

    @property
    def gameable(self) -> bool:
        return self.composition is not None and not self.composition.judges_answer


def card(preset: RewardPreset) -> Card:
    try:
        composition = composition_of(preset)
    except PresetMissing as error:
        return Card(preset, None, [], str(error))
    return Card(preset, composition, part_views(composition))


def part_views(composition: Composition) -> list[PartView]:
    whole = sum(abs(part.weight) for part in composition.parts) or 1.0
    shares = [100 * abs(part.weight) / whole for part in composition.parts]
    return [PartView(i, part, sum(shares[:i]), shares[i]) for i, part in enumerate(composition.parts)]


def formula(composition: Composition) -> str:
    """How the total is made, as a sentence of arithmetic."""
    if composition.formula:
        text = composition.formula
    else:
        text = " + ".join(f"{part.weight:g} × {part.name}" for part in composition.parts).replace("+ -", "− ")
    text = {"weights": f"({text}) ÷ weights", "range": f"({text}) from 0 (worst) to 1 (best)"}.get(
        composition.normalise, text
    )
    gates = [f"{part.name} < {part.gate:g}" for part in composition.parts if part.gate is not None]
    unless = f"; {composition.gated_total:g} if {' or '.join(gates)}" if gates else ""
    return f"Total = {text}{unless}"


@dataclass(frozen=True)
class PartScore:
    view: PartView
    value: float | None
    contribution: float | None
    said: str
    failed: bool

    @property
    def filled(self) -> float:
        """Share of the way from the function's minimum to its maximum, in per cent."""
        low, high = self.view.function.minimum, self.view.function.maximum
        return 0.0 if self.value is None else 100 * (self.value - low) / ((high - low) or 1.0)


def part_scores(composition: Composition, result: Result) -> list[PartScore]:
    return [_part_score(view, result) for view in part_views(composition)]


def _part_score(view: PartView, result: Result) -> PartScore:
    name = view.part.name
    value, error = result.parts[name], result.errors.get(name, "")
    contribution = None if value is None else value * view.part.weight
    return PartScore(view, value, contribution, error or result.feedback.get(name, ""), bool(error))


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
