"""What pages say about a preset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from rewards.composition import Composition, Part, Result
from rewards.models import PresetVersion, RewardPreset
from rewards.presets import PresetMissing, changes, composition_of
from rewards.problems import messages
from rewards.registry import REGISTRY, RewardFunction, Sample


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


@dataclass(frozen=True)
class FunctionView:
    """What the catalogue says of a function."""

    function: RewardFunction
    unavailable: str

    @property
    def columns(self) -> list[str]:
        try:
            return self.function.parameters().columns()
        except ValidationError:
            # What has to be filled in decides which columns it reads.
            return []

    @property
    def words(self) -> str:
        function = self.function
        return f"{function.name} {function.title} {function.help} {function.category}".lower()


def catalogue() -> dict[str, list[FunctionView]]:
    """The functions by category, both in alphabetical order but for what judges answers, which comes first."""
    views = [FunctionView(function, function.unavailable()) for function in REGISTRY.values()]
    found: dict[str, list[FunctionView]] = {}
    for view in sorted(views, key=lambda v: (v.function.category != "Answer", v.function.category, v.function.title)):
        found.setdefault(view.function.category, []).append(view)
    return found


def card(preset: RewardPreset) -> Card:
    try:
        composition = composition_of(preset)
    except PresetMissing as error:
        return Card(preset, None, [], str(error))
    return Card(preset, composition, part_views(composition))


def in_words(definition: Any) -> str:
    """A line a part, then how they make the total; for where there is no page to lay it out."""
    try:
        composition = Composition.model_validate(definition)
    except ValidationError as error:
        return f"Can't be used any more: {' '.join(messages(error))}"
    lines = [_line(view) for view in part_views(composition)]
    return "\n".join([*lines, formula(composition)])


def _line(view: PartView) -> str:
    said = "".join(f"; {name.lower()} {value}" for name, value in view.parameters)
    gate = "" if view.part.gate is None else f"; gate {view.part.gate:g}"
    return f"{view.part.name}: {view.function.title}, weight {view.part.weight:g}{gate}{said}"


@dataclass(frozen=True)
class Wanted:
    """What somebody looks for in the library."""

    text: str = ""
    category: str = ""
    whose: str = ""
    judges: str = ""

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Wanted:
        texts = {name: str(asked.get(name, "")).strip()[:200] for name in ("category", "whose", "judges")}
        return cls(text=str(asked.get("q", "")).strip()[:200], **texts)

    def __bool__(self) -> bool:
        return bool(self.text or self.category or self.whose or self.judges)

    def among(self, cards: Iterable[Card]) -> list[Card]:
        return [card for card in cards if self._whose(card) and self._judges(card)]

    def _whose(self, card: Card) -> bool:
        return self.whose not in ("shipped", "own") or (self.whose == "shipped") == (card.preset.team_id is None)

    def _judges(self, card: Card) -> bool:
        return self.judges not in ("answer", "form") or (self.judges == "form") == card.gameable


@dataclass(frozen=True)
class VersionLine:
    """`changes`: against the version before it, in words."""

    version: PresetVersion
    changes: list[str]
    is_first: bool
    is_newest: bool


def version_lines(versions: Sequence[PresetVersion]) -> list[VersionLine]:
    """`versions`: newest first."""
    lines = []
    for place, version in enumerate(versions):
        before = versions[place + 1] if place + 1 < len(versions) else None
        lines.append(VersionLine(version, changes(before, version) if before else [], before is None, place == 0))
    return lines


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


def scored(composition: Composition, sample: Sample, ask: bool) -> tuple[Result, list[str]]:
    """(the result, the parts that wait). Unless asked to, what judges in batches waits: a service costs money, code of
    one's own a process, and somebody is typing."""
    waiting = [part.name for part in composition.parts if part.definition.asks_outside or part.definition.score_all]
    if ask or not waiting:
        return composition.score(sample), []
    quick = [part for part in composition.parts if part.name not in waiting]
    nothing = dict.fromkeys(part.name for part in composition.parts)
    if not quick:
        return Result(None, nothing, {}, {}, None), waiting
    found = Composition(parts=quick, gated_total=composition.gated_total).score(sample)
    total = found.total if found.gate else None
    return replace(found, total=total, parts=nothing | found.parts, correct=None), waiting


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
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
