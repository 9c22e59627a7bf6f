"""Forms made from the parameter models: a field there is a field here, with the same default, range and help."""

from __future__ import annotations

import json
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from django import forms
from pydantic.fields import FieldInfo

from rewards.exchange import LARGEST_BYTES
from rewards.models import RewardPreset
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
        style(self)

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


class ImportForm(forms.Form):
    """A reward as text, pasted or as a file. `text` is what was given."""

    pasted = forms.CharField(
        label="Paste it here",
        required=False,
        strip=False,
        widget=forms.Textarea({"rows": 12, "data-mono": "", "spellcheck": "false"}),
    )
    file = forms.FileField(
        label="Or choose a file", required=False, widget=forms.FileInput({"accept": ".json,.py,.txt"})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        style(self)

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        file = values.get("file")
        try:
            # A byte more than may be read: what is too large is told from what is not.
            values["text"] = file.read(LARGEST_BYTES + 1).decode("utf-8-sig") if file else values.get("pasted", "")
        except UnicodeDecodeError:
            self.add_error("file", "This is no text in UTF-8: choose a JSON or Python file.")
        return values


class LinesField(forms.CharField):
    """A list of texts, one a line."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        return [line for line in super().clean(value).splitlines() if line.strip()]


class Text(forms.CharField):
    """Text as it was typed, but for the line ends of browsers, which a model would be given as they are."""

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class JsonField(forms.JSONField):
    """For what no other field can hold: lists of objects and the like."""

    default_error_messages = {"invalid": "This is not JSON. Write texts and names in double quotes."}

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


class CodeArea(forms.Textarea):
    """A text area that the page makes an editor of."""

    is_code = True


# Parameters of these names hold more than a line, and are read by machines or graders.
LONG_NAMES = ("code", "schema", "schema_text", "rubric", "template")


def field_for(name: str, info: FieldInfo, value: Any) -> forms.Field:
    kind, optional = _bare(info.annotation)
    shared: dict[str, Any] = {
        "label": info.title or name.replace("_", " ").capitalize(),
        "help_text": info.description or "",
        "initial": value,
        "required": False,
    }
    if kind is bool:
        return forms.BooleanField(**shared)
    shared["required"] = not optional
    if get_origin(kind) is Literal:
        choices = [(choice, choice) for choice in get_args(kind)]
        return forms.ChoiceField(choices=[("", "none"), *choices] if optional else choices, **shared)
    if kind is int:
        return forms.IntegerField(**shared, **_limits(info), widget=_number("1"))
    if kind is float:
        return forms.FloatField(**shared, **_limits(info), widget=_number("any"))
    if kind == list[str]:
        shared["required"] = bool(info.is_required())
        return LinesField(**shared, widget=forms.Textarea({"rows": 3}))
    if kind is str:
        return _text(name, info, shared)
    shared["required"] = bool(info.is_required())
    return JsonField(**shared, widget=forms.Textarea({"rows": 4, "data-mono": ""}))


def _text(name: str, info: FieldInfo, shared: dict[str, Any]) -> Text:
    shared["required"] = bool(info.is_required()) or any(getattr(rule, "min_length", 0) for rule in info.metadata)
    extra = info.json_schema_extra
    extra = extra if isinstance(extra, dict) else {}
    plain = {"data-mono": "", "spellcheck": "false"}
    if extra.get("code"):
        off = dict.fromkeys(("autocapitalize", "autocomplete", "autocorrect"), "off")
        shared["widget"] = CodeArea({"rows": 12, "wrap": "off", **plain, **off})
    elif name in LONG_NAMES or extra.get("multiline"):
        shared["widget"] = forms.Textarea({"rows": 12 if name == "code" else 5, **plain})
    return Text(**shared, strip=False)


def _bare(annotation: Any) -> tuple[Any, bool]:
    """(the type, whether there may be none)"""
    inner = [each for each in get_args(annotation) if each is not type(None)]
    if get_origin(annotation) in (Union, UnionType) and len(inner) == 1:
        return inner[0], True
    return annotation, False


def _limits(info: FieldInfo) -> dict[str, Any]:
    names = {"ge": "min_value", "le": "max_value"}
    return {
        ours: getattr(rule, theirs) for rule in info.metadata for theirs, ours in names.items() if hasattr(rule, theirs)
    }


def _number(step: str) -> forms.NumberInput:
    return forms.NumberInput({"step": step})


def style(form: forms.Form) -> None:
    for field in form.fields.values():
        widget = field.widget
        if isinstance(widget, forms.CheckboxInput):
            widget.attrs["class"] = "form-check-input"
        elif isinstance(widget, forms.Select):
            widget.attrs["class"] = "form-select"
        else:
            numeric = " num" if isinstance(widget, forms.NumberInput) else ""
            mono = " mono" if "data-mono" in widget.attrs else ""
            widget.attrs["class"] = f"form-control{numeric}{mono}"
