from __future__ import annotations

from typing import Any

from django import forms

from accounts.models import Team
from datasets_app import chat_rendering, prompt_templates
from datasets_app.models import PromptTemplate
from datasets_app.prompt_templates import FIELDS, TITLES

SYSTEM_PROMPT_LENGTH, CHAT_TEMPLATE_LENGTH = 20_000, 50_000


class PlainText(forms.CharField):
    """Text as it was typed. A browser sends other line ends than the model is to read, and they would be tokens."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, strip=False, **options)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class PromptTemplateForm(forms.ModelForm):
    """`model`: the base model whose chat a template of one's own is tried with."""

    system_prompt = PlainText(max_length=SYSTEM_PROMPT_LENGTH, widget=forms.Textarea(attrs={"rows": 7}))
    reasoning_start = PlainText(max_length=60)
    reasoning_end = PlainText(max_length=60)
    solution_start = PlainText(max_length=60)
    solution_end = PlainText(max_length=60)
    chat_template = PlainText(max_length=CHAT_TEMPLATE_LENGTH, widget=forms.Textarea(attrs={"rows": 10}))

    class Meta:
        model = PromptTemplate
        fields = ["name", "template_type", "description", *FIELDS]
        error_messages = {"name": {"required": "Give the template a name, so that you find it again."}}

    def __init__(self, *args: Any, model: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.base_model = model
        for name, field in self.fields.items():
            css = "form-select" if isinstance(field.widget, forms.Select) else "form-control"
            mono = " mono" if name in FIELDS else ""
            field.widget.attrs |= {"class": css + mono, "aria-describedby": f"error-{name}"}
            if name in FIELDS:
                field.widget.attrs["spellcheck"] = "false"
                field.label = TITLES.get(name, field.label)

    @property
    def team(self) -> Team | None:
        return self.instance.team

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        problem = prompt_templates.name_problem(self.team, name, self.instance)
        if problem:
            raise forms.ValidationError(problem)
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        # Everything at once: a missing name must not hide what is wrong below it.
        if all(field in cleaned for field in FIELDS):
            typed = PromptTemplate(**{field: cleaned[field] for field in FIELDS})
            for finding in prompt_templates.marker_problems(typed):
                self.add_error(finding.field, finding.text)
            problem = prompt_templates.template_problem(chat_rendering.chat_for(self.base_model), typed.chat_template)
            if problem:
                self.add_error("chat_template", problem)
        return cleaned


class PromptTemplateAdminForm(PromptTemplateForm):
    class Meta(PromptTemplateForm.Meta):
        # The team first: whether a name is free depends on it.
        fields = ["team", *PromptTemplateForm.Meta.fields]

    @property
    def team(self) -> Team | None:
        return self.cleaned_data.get("team")


class TypedPrompt(forms.Form):
    """The fields as they stand in a page, right or wrong, for a preview of them."""

    system_prompt = PlainText(max_length=SYSTEM_PROMPT_LENGTH)
    reasoning_start = PlainText(max_length=60)
    reasoning_end = PlainText(max_length=60)
    solution_start = PlainText(max_length=60)
    solution_end = PlainText(max_length=60)
    chat_template = PlainText(max_length=CHAT_TEMPLATE_LENGTH)

    def prompt(self) -> PromptTemplate:
        self.is_valid()
        return PromptTemplate(**{field: self.cleaned_data.get(field, "") for field in FIELDS})
