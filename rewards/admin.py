from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from pydantic import ValidationError

from rewards import describe, differences, presets
from rewards.composition import Composition
from rewards.golden import CASES
from rewards.models import PresetVersion, RewardPreset
from rewards.problems import messages


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


class PresetVersionInline(admin.TabularInline):
    """What the preset was, for reading: a version never changes."""

    model = PresetVersion
    extra = 0
    fields = readonly_fields = ("number", "parts", "note", "created_by", "created_at")
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="Parts")
    def parts(self, version: PresetVersion) -> str:
        return describe.in_words(version.definition)


@admin.register(RewardPreset)
class RewardPresetAdmin(admin.ModelAdmin):
    """Shipped presets (no team) are read-only: copy one on its page instead."""

    form = RewardPresetForm
    inlines = (PresetVersionInline,)
    readonly_fields = ("parts", "version")
    list_display = ("name", "slug", "category", "team", "version", "created_at")
    list_filter = ("category", "team")
    list_select_related = ("team",)
    search_fields = ("name", "slug", "description")

    @admin.display(description="Parts in words")
    def parts(self, preset: RewardPreset) -> str:
        return describe.in_words(preset.definition)

    def save_model(self, request: HttpRequest, obj: RewardPreset, form: Any, change: bool) -> None:
        """Changed parts or golden cases are a new version here, too."""
        before = RewardPreset.objects.filter(pk=obj.pk).first()
        if before is not None:
            presets.record(before, None)
            same = before.golden == obj.golden and differences.same(before.definition, obj.definition)
            obj.version = before.version + (not same)
        super().save_model(request, obj, form, change)
        presets.record(obj, request.user, "Changed in the admin" if change else "")

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
