from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from pydantic import ValidationError

from rewards.composition import Composition
from rewards.golden import CASES
from rewards.models import RewardPreset
from rewards.presets import messages


class RewardPresetForm(forms.ModelForm):
    class Meta:
        model = RewardPreset
        fields = ("team", "slug", "name", "category", "description", "definition", "golden")

    def clean_definition(self) -> Any:
        try:
            return Composition.model_validate(self.cleaned_data["definition"]).model_dump(mode="json")
        except ValidationError as error:
            raise forms.ValidationError(messages(error)) from None

    def clean_golden(self) -> Any:
        try:
            return CASES.dump_python(CASES.validate_python(self.cleaned_data["golden"]), mode="json")
        except ValidationError as error:
            raise forms.ValidationError(messages(error)) from None


@admin.register(RewardPreset)
class RewardPresetAdmin(admin.ModelAdmin):
    """Shipped presets (no team) are read-only: copy one on its page instead."""

    form = RewardPresetForm
    list_display = ("name", "slug", "category", "team", "version", "created_at")
    list_filter = ("category", "team")
    list_select_related = ("team",)
    search_fields = ("name", "slug", "description")

    def has_change_permission(self, request: HttpRequest, obj: RewardPreset | None = None) -> bool:
        return (obj is None or obj.team_id is not None) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: RewardPreset | None = None) -> bool:
        return (obj is None or obj.team_id is not None) and super().has_delete_permission(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A preset made here belongs to a team: the shipped ones come from the program."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.name == "team" and field is not None:
            field.required = True
        return field
