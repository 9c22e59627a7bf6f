from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from datasets_app import generation, parsing, paths
from datasets_app.filters import FIRST, HOLDS, HOLDS_NOT, IS, IS_NOT, RANDOM, Filters
from datasets_app.importing import NAME_LENGTH
from datasets_app.limits import (
    DIRECT_UPLOAD_BYTES,
    MAX_COLUMN_NAME,
    MAX_GENERATED_ROWS,
    MAX_PASTED_BYTES,
    SPLIT_SEED,
    readable,
)
from datasets_app.models import DatasetVersion
from datasets_app.rules import RULES

PARAMETER = "parameter-"
MAX_SEED = 2**32 - 1
MAX_LENGTH = 10**9


class UploadForm(forms.Form):
    file = forms.FileField(
        error_messages={
            "required": "Choose a file.",
            "empty": "The file is empty. Choose one with rows in it.",
        }
    )
    name = forms.CharField(max_length=NAME_LENGTH, required=False)

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > settings.MAX_UPLOAD_BYTES:
            raise forms.ValidationError(parsing.too_large())
        if (file.size or 0) > DIRECT_UPLOAD_BYTES:
            raise forms.ValidationError(
                f"A file of more than {readable(DIRECT_UPLOAD_BYTES)} must be sent in pieces: use the page with"
                " JavaScript, or a tus client on /api/datasets/uploads/."
            )
        return file


class PasteForm(forms.Form):
    text = forms.CharField(
        widget=forms.Textarea, strip=False, error_messages={"required": "Paste some rows of data first."}
    )
    name = forms.CharField(max_length=NAME_LENGTH, required=False)

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if not text.strip():
            raise forms.ValidationError("Paste some rows of data first.")
        if len(text.encode(errors="replace")) > MAX_PASTED_BYTES:
            raise forms.ValidationError(
                f"The text is longer than {readable(MAX_PASTED_BYTES)}. Save it as a file and upload that."
            )
        return text


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
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


class MappingForm(forms.Form):
    """Columns as paths. What rewards get besides comes in pairs of fields, extra_name and extra_path."""

    instruction = forms.CharField(max_length=300, error_messages={"required": "Choose the column of the question."})
    input = forms.CharField(max_length=300, required=False)
    response = forms.CharField(max_length=300, error_messages={"required": "Choose the column of the answer."})
    rule = forms.ChoiceField(
        choices=[("", "Detect it"), *((rule.name, rule.label) for rule in RULES.values())], required=False
    )

    def __init__(self, version: DatasetVersion, *args: Any, offered: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.version = version
        self.offered = offered or [column["name"] for column in version.columns]

    def clean(self) -> dict[str, Any]:
        for name in ("instruction", "input", "response"):
            path = self.cleaned_data.get(name)
            if path and not paths.valid(self.version.columns, path):
                names = ", ".join(column["name"] for column in self.version.columns)
                self.add_error(name, f"There is no column “{path}”. The columns are: {names}.")
        return {**self.cleaned_data, "extra": self.read_extra()}

    def read_extra(self) -> dict[str, str]:
        extra: dict[str, str] = {}
        for name, path in self.typed_extra():
            if (name and not path) or (path and not name):
                self.add_error(None, f"“{name or path}” needs both a name for the reward and a column.")
            elif name in extra:
                self.add_error(None, f"Two further columns are called “{name}”. Rename one.")
            elif name:
                extra[name] = path
        return extra

    def typed_extra(self) -> list[tuple[str, str]]:
        names, columns = (getlist(self.data, f"extra_{part}") for part in ("name", "path"))
        return [(name.strip(), path) for name, path in zip(names, columns, strict=False) if name.strip() or path]

    def extra_lines(self) -> list[tuple[str, str]]:
        """What the page shows: each further column, and an empty line for one more."""
        typed = self.typed_extra() if self.is_bound else list((self.initial.get("extra") or {}).items())
        return [*typed, ("", "")]

    def choices(self) -> list[str]:
        """What can be chosen, and what is chosen although no cell of the sample holds it."""
        chosen = [self[name].value() for name in ("instruction", "input", "response")]
        chosen += [path for _, path in self.extra_lines()]
        return list(dict.fromkeys([*self.offered, *(path for path in chosen if path)]))


def getlist(data: Any, name: str) -> list[str]:
    return list(data.getlist(name)) if hasattr(data, "getlist") else []


class SplitForm(forms.Form):
    held_out = forms.IntegerField(min_value=1)
    validation = forms.IntegerField(min_value=0, required=False, initial=0)
    seed = forms.IntegerField(min_value=0, max_value=MAX_SEED, initial=SPLIT_SEED)

    def clean_validation(self) -> int:
        return self.cleaned_data["validation"] or 0


class SourceSplitForm(forms.Form):
    """The column, and in pairs of fields each of its values (value) with the part that it names (part)."""

    column = forms.CharField(max_length=MAX_COLUMN_NAME, error_messages={"required": "Choose a column."})

    def assigned(self) -> dict[str, str]:
        return dict(zip(getlist(self.data, "value"), getlist(self.data, "part"), strict=False))


class FilterForm(forms.Form):
    """What a new version leaves out. `filters` of a valid form."""

    empty = forms.BooleanField(required=False)
    min_question = forms.IntegerField(min_value=0, max_value=MAX_LENGTH, required=False)
    max_question = forms.IntegerField(min_value=0, max_value=MAX_LENGTH, required=False)
    min_answer = forms.IntegerField(min_value=0, max_value=MAX_LENGTH, required=False)
    max_answer = forms.IntegerField(min_value=0, max_value=MAX_LENGTH, required=False)
    search = forms.CharField(max_length=300, required=False)
    search_column = forms.CharField(max_length=300, required=False)
    search_how = forms.ChoiceField(
        choices=[
            (HOLDS, "Keep rows that hold"),
            (HOLDS_NOT, "Leave out rows that hold"),
            (IS, "Keep rows equal to"),
            (IS_NOT, "Leave out rows equal to"),
        ],
        required=False,
    )
    same_rows = forms.BooleanField(required=False)
    same_questions = forms.BooleanField(required=False)
    keep = forms.IntegerField(min_value=1, max_value=MAX_LENGTH, required=False)
    keep_how = forms.ChoiceField(choices=[(FIRST, "from the top"), (RANDOM, "at random")], required=False)
    seed = forms.IntegerField(min_value=0, max_value=MAX_SEED, required=False, initial=SPLIT_SEED)

    @property
    def filters(self) -> Filters:
        return Filters(**{name: value for name, value in self.cleaned_data.items() if value not in (None, "")})
