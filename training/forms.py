"""Forms made from training/schema.py: every rule, label and default comes from there, and none is repeated here.

A form of the stepper is always bound: to what was posted, or to what the draft holds. So a wrong value that was saved
in a draft comes back with its message, and nothing that somebody typed is lost.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from django import forms
from django.core.exceptions import ValidationError
from pydantic import ConfigDict, TypeAdapter
from pydantic import ValidationError as Invalid
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from loracraft.sentences import as_text, explain
from training.schema import ADVANCED, CUSTOM, RECOMMENDED, SessionConfig

LEVELS = (RECOMMENDED, CUSTOM, ADVANCED)
SECTIONS = [name for name in SessionConfig.model_fields if name not in ("version", "name")]
LONG_TEXTS = {"prompt.system_prompt", "prompt.chat_template"}
# How a word of the schema is written on a page.
CHOICE_NAMES = {"grpo.algorithm": {"grpo": "GRPO", "gspo": "GSPO", "dr_grpo": "Dr. GRPO"}}
# A reward of parts is made in the composer or in JSON: a plain input can't hold it.
NOT_TYPED = {"reward.parts", "reward.normalise", "reward.formula", "reward.gated_total"}


def infos() -> dict[str, FieldInfo]:
    """Every field of the schema by its dotted name, in the schema's order."""
    sections = SessionConfig.model_fields
    return {
        f"{section}.{name}": info
        for section in SECTIONS
        for name, info in sections[section].annotation.model_fields.items()  # type: ignore[union-attr]
        if f"{section}.{name}" not in NOT_TYPED
    }


def extra(info: FieldInfo, key: str) -> str:
    return str((info.json_schema_extra or {}).get(key, ""))  # type: ignore[union-attr]


def members(annotation: Any) -> list[Any]:
    """The types that a value may have: of `int | None` both."""
    return list(get_args(annotation)) if get_origin(annotation) in (Union, types.UnionType) else [annotation]


def choices_of(annotation: Any) -> list[str] | None:
    """The words of a Literal, if the field allows nothing else."""
    kinds = [kind for kind in members(annotation) if kind is not type(None)]
    return list(get_args(kinds[0])) if len(kinds) == 1 and get_origin(kinds[0]) is Literal else None


def takes_list(annotation: Any) -> bool:
    return any(get_origin(kind) is list for kind in members(annotation))


def shown(value: Any) -> Any:
    """For a widget: switches stay as they are, all else becomes the text that stands in the field."""
    return value if isinstance(value, bool) else as_text(value)


class SchemaField(forms.Field):
    """One field of the schema. The schema's own rules decide, so no form is stricter or laxer than the API."""

    def __init__(self, name: str, info: FieldInfo) -> None:
        self.info = info
        self.level = extra(info, "level") or ADVANCED
        self.unit = extra(info, "unit")
        self.typical = extra(info, "typical")
        self.is_switch = info.annotation is bool
        # Said beside the field though nothing is wrong.
        self.note = ""
        rules: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
        self.adapter: TypeAdapter[Any] = TypeAdapter(rules, config=ConfigDict(allow_inf_nan=False))
        super().__init__(
            required=False, label=info.title, help_text=info.description or "", widget=widget_for(name, info)
        )
        self.slug = slug = name.replace(".", "-")
        self.widget.attrs |= {"id": f"field-{slug}", "aria-describedby": f"hint-{slug} note-{slug} error-{slug}"}

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str):
            value = self.from_text(value)
        try:
            return self.adapter.validate_python(value)
        except Invalid as invalid:
            details = self.best_error(invalid)
            raise ValidationError(explain(details), code=details["type"]) from None

    def from_text(self, text: str) -> Any:
        text = text.replace("\r\n", "\n")
        kinds = members(self.info.annotation)
        if not text.strip() and type(None) in kinds:
            return None
        if takes_list(self.info.annotation) and text.strip() not in (get_args(kinds[0])):
            return [word.strip() for word in text.split(",") if word.strip()]
        return text if str in kinds else text.strip()

    def best_error(self, invalid: Invalid) -> ErrorDetails:
        if not takes_list(self.info.annotation):
            return invalid.errors(include_url=False)[0]
        return invalid.errors(include_url=False)[-1]


def widget_for(name: str, info: FieldInfo) -> forms.Widget:
    if info.annotation is bool:
        return forms.CheckboxInput(attrs={"class": "form-check-input", "role": "switch"})
    choices = choices_of(info.annotation)
    if choices:
        written = CHOICE_NAMES.get(name, {})
        return forms.Select(
            choices=[(word, written.get(word, word)) for word in choices], attrs={"class": "form-select"}
        )
    if name in LONG_TEXTS:
        return forms.Textarea(attrs={"class": "form-control mono", "rows": 7, "spellcheck": "false"})
    kinds = members(info.annotation)
    # Never type=number: the browser would send nothing at all for what is no number, and the words would be lost.
    mode = "numeric" if int in kinds else "decimal" if float in kinds else "text"
    attrs = {
        "class": "form-control num" if mode != "text" else "form-control",
        "inputmode": mode,
        "autocomplete": "off",
    }
    if type(None) in kinds:
        attrs["placeholder"] = "empty"
    return forms.TextInput(attrs=attrs)


class StepForm(forms.Form):
    """The fields `names` of the schema, bound to `values` (dotted name: what was typed, or what a draft holds)."""

    def __init__(self, names: Iterable[str], values: Mapping[str, Any], problems: Mapping[str, str] = {}) -> None:
        super().__init__(data={name: shown(value) for name, value in values.items()})
        known = infos()
        for name in names:
            self.fields[name] = SchemaField(name, known[name])
        for name, message in problems.items():
            if name in self.fields and name not in self.errors:
                self.add_error(name, message)

    def annotate(self, notes: Mapping[str, str]) -> None:
        for name, note in notes.items():
            field = self.fields.get(name)
            if isinstance(field, SchemaField) and name not in self.errors:
                field.note = note

    def values(self) -> dict[str, Any]:
        """Typed values where they are right, and where they aren't what was typed."""
        self.is_valid()
        return {name: self.value_of(name) for name in self.fields}

    def value_of(self, name: str) -> Any:
        if name in self.cleaned_data:
            return self.cleaned_data[name]
        field = self.fields[name]
        return field.widget.value_from_datadict(self.data, {}, name)


class ConfigFileForm(forms.Form):
    """A config file from this or the original program."""

    file = forms.FileField(
        label="Config file",
        error_messages={"required": "Choose a JSON file first.", "empty": "The file is empty."},
    )


class SaveConfigForm(forms.Form):
    config_name = forms.CharField(
        max_length=200, error_messages={"required": "Give the config a name, so that you find it again."}
    )
