from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from datasets_app import generation, parsing
from datasets_app.importing import NAME_LENGTH
from datasets_app.limits import MAX_GENERATED_ROWS, SPLIT_SEED
from datasets_app.models import DatasetVersion
from datasets_app.rules import RULES

PARAMETER = "parameter-"
MAX_SEED = 2**32 - 1


class UploadForm(forms.Form):
    file = forms.FileField(
        error_messages={
            "required": "Choose a JSONL file.",
            "empty": "The file is empty. Choose one with a JSON object on each line.",
        }
    )
    name = forms.CharField(max_length=NAME_LENGTH, required=False)

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > settings.MAX_UPLOAD_BYTES:
            raise forms.ValidationError(parsing.too_large())
        return file


class GenerateForm(forms.Form):
    """The task's own parameters are read from fields called parameter-<name>; generating.valid() judges them."""

    task = forms.ChoiceField()
    size = forms.IntegerField(min_value=2, max_value=MAX_GENERATED_ROWS, initial=1000)
    seed = forms.IntegerField(min_value=0, max_value=MAX_SEED, initial=42)
    name = forms.CharField(max_length=NAME_LENGTH, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["task"].choices = generation.choices()  # type: ignore[attr-defined]

    def parameters(self) -> dict[str, Any]:
        return given_parameters(self.cleaned_data["task"], self.data)


def given_parameters(task: str, data: Any) -> dict[str, Any]:
    """What differs from the task's defaults."""
    known = generation.catalogue().get(task, {"parameters": []})["parameters"]
    given = {}
    for parameter in known:
        value = data.get(PARAMETER + parameter["name"])
        if value is not None and value != as_text(parameter["default"]):
            given[parameter["name"]] = value
    return given


def parameter_fields(task: str, data: Any) -> list[dict[str, Any]]:
    """For the page: each parameter with what was typed, or its default."""
    known = generation.catalogue().get(task, {"parameters": []})["parameters"]
    return [
        {
            **parameter,
            "field": PARAMETER + parameter["name"],
            "label": parameter["name"].replace("_", " ").capitalize(),
            "value": data.get(PARAMETER + parameter["name"], as_text(parameter["default"])),
        }
        for parameter in known
    ]


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


class MappingForm(forms.Form):
    instruction = forms.ChoiceField()
    response = forms.ChoiceField()
    rule = forms.ChoiceField(
        choices=[("", "Detect it"), *((rule.name, rule.label) for rule in RULES.values())], required=False
    )

    def __init__(self, version: DatasetVersion, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [(column["name"], column["name"]) for column in version.columns]
        for field in ("instruction", "response"):
            self.fields[field].choices = [("", "Choose a column"), *names]  # type: ignore[attr-defined]
            self.fields[field].error_messages["invalid_choice"] = (
                f"There is no column “%(value)s”. The columns are: {', '.join(name for name, _ in names)}."
            )


class SplitForm(forms.Form):
    held_out = forms.IntegerField(min_value=1)
    seed = forms.IntegerField(min_value=0, max_value=MAX_SEED, initial=SPLIT_SEED)
