"""Forms made from the parameter models: a field there is a field here, with the same default, range and help."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from django import forms
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from rewards.composition import Composition, Part
from rewards.models import RewardPreset
from rewards.presets import composition_of
from rewards.registry import Markers, Sample

MARKER_LABELS = {
    "reasoning_start": "Reasoning starts with",
    "reasoning_end": "Reasoning ends with",
    "solution_start": "Solution starts with",
    "solution_end": "Solution ends with",
}
LONGEST_TEXT = 100_000


class BenchForm(forms.Form):
    """One answer to score."""

    instruction = forms.CharField(
        label="Question", max_length=LONGEST_TEXT, required=False, widget=forms.Textarea({"rows": 2})
    )
    reference = forms.CharField(label="Reference answer", max_length=LONGEST_TEXT, required=False)
    response = forms.CharField(
        label="Answer of the model", max_length=LONGEST_TEXT, required=False, widget=forms.Textarea({"rows": 6})
    )
    reasoning_start = forms.CharField(label=MARKER_LABELS["reasoning_start"], max_length=60, required=False)
    reasoning_end = forms.CharField(label=MARKER_LABELS["reasoning_end"], max_length=60, required=False)
    solution_start = forms.CharField(label=MARKER_LABELS["solution_start"], max_length=60, required=False)
    solution_end = forms.CharField(label=MARKER_LABELS["solution_end"], max_length=60, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _style(self)

    @property
    def markers(self) -> list[forms.BoundField]:
        return [self[name] for name in MARKER_LABELS]

    def sample(self) -> Sample:
        values = self.cleaned_data
        markers = Markers(**{name: values[name] for name in MARKER_LABELS})
        return Sample(values["instruction"], values["response"], values["reference"] or None, markers=markers)


def bench_for(preset: RewardPreset) -> BenchForm:
    """Filled with the best answer of the first golden case."""
    case = preset.golden[0] if preset.golden else {}
    best = min(case.get("answers", []), key=lambda answer: answer["rank"], default={"text": ""})
    start = {"instruction": case.get("instruction"), "reference": case.get("reference"), "response": best["text"]}
    return BenchForm(initial={**start, **case.get("markers", {})})


@dataclass(frozen=True)
class PartFields:
    part: Part
    weight: forms.BoundField
    parameters: list[forms.BoundField]


class PresetForm(forms.Form):
    """Name, weights and parameters of a team's preset. `composition` is there once the form is valid."""

    name = forms.CharField(max_length=120)
    description = forms.CharField(required=False, max_length=2000, widget=forms.Textarea({"rows": 2}))

    def __init__(self, preset: RewardPreset, data: Any = None) -> None:
        super().__init__(data, initial={"name": preset.name, "description": preset.description})
        self.parts = composition_of(preset).parts
        self.composition: Composition | None = None
        for index, part in enumerate(self.parts):
            self.fields[f"{index}-weight"] = forms.FloatField(
                label="Weight", min_value=-1000, max_value=1000, initial=part.weight, widget=_number("any")
            )
            parameters = part.definition.parameters.model_validate(part.parameters)
            for name, info in part.definition.parameters.model_fields.items():
                self.fields[f"{index}-{name}"] = field_for(info, getattr(parameters, name))
        _style(self)

    def part_fields(self) -> Iterator[PartFields]:
        for index, part in enumerate(self.parts):
            names = part.definition.parameters.model_fields
            yield PartFields(part, self[f"{index}-weight"], [self[f"{index}-{name}"] for name in names])

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        parts = [self._part(index, part, values) for index, part in enumerate(self.parts) if self._whole(index, part)]
        if len(parts) == len(self.parts) and all(parts):
            self.composition = Composition(parts=[part for part in parts if part])
        return values

    def _whole(self, index: int, part: Part) -> bool:
        names = ["weight", *part.definition.parameters.model_fields]
        return all(f"{index}-{name}" in self.cleaned_data for name in names)

    def _part(self, index: int, part: Part, values: dict[str, Any]) -> Part | None:
        model = part.definition.parameters
        parameters = {name: values[f"{index}-{name}"] for name in model.model_fields}
        try:
            checked = model.model_validate(parameters).model_dump(mode="json")
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                name = str(problem["loc"][0]) if problem["loc"] else "weight"
                self.add_error(f"{index}-{name}", problem["msg"].removeprefix("Value error, "))
            return None
        return Part(name=part.name, function=part.function, weight=values[f"{index}-weight"], parameters=checked)


class LinesField(forms.CharField):
    """A list of texts, one a line."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        return [line for line in super().clean(value).splitlines() if line.strip()]


def field_for(info: FieldInfo, value: Any) -> forms.Field:
    shared: dict[str, Any] = {
        "label": info.title or "Value",
        "help_text": info.description or "",
        "initial": value,
        "required": False,
    }
    if info.annotation is bool:
        return forms.BooleanField(**shared)
    shared["required"] = True
    if get_origin(info.annotation) is Literal:
        return forms.ChoiceField(choices=[(choice, choice) for choice in get_args(info.annotation)], **shared)
    if info.annotation is int:
        return forms.IntegerField(**shared, **_limits(info), widget=_number("1"))
    if info.annotation is float:
        return forms.FloatField(**shared, **_limits(info), widget=_number("any"))
    if info.annotation == list[str]:
        shared["required"] = bool(info.is_required())
        return LinesField(**shared, widget=forms.Textarea({"rows": 3}))
    return forms.CharField(**shared, strip=False)


def _limits(info: FieldInfo) -> dict[str, Any]:
    names = {"ge": "min_value", "le": "max_value"}
    return {
        ours: getattr(rule, theirs) for rule in info.metadata for theirs, ours in names.items() if hasattr(rule, theirs)
    }


def _number(step: str) -> forms.NumberInput:
    return forms.NumberInput({"step": step})


def _style(form: forms.Form) -> None:
    for field in form.fields.values():
        widget = field.widget
        if isinstance(widget, forms.CheckboxInput):
            widget.attrs["class"] = "form-check-input"
        elif isinstance(widget, forms.Select):
            widget.attrs["class"] = "form-select"
        else:
            numeric = " num" if isinstance(widget, forms.NumberInput) else ""
            widget.attrs["class"] = f"form-control{numeric}"
