from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from datasets_app.models import Dataset, DatasetVersion, PromptTemplate


class ReadOnly:
    """Rows that only the verbs in importing.py make and remove, because files belong to them."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class VersionInline(ReadOnly, admin.TabularInline):
    model = DatasetVersion
    fields = ["number", "accepted", "row_count", "rejected_count", "mapping", "split", "sha256", "created_at"]
    readonly_fields = ["created_at"]
    extra = 0


@admin.register(Dataset)
class DatasetAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["name", "team", "source", "created_by", "created_at"]
    list_filter = ["source", "team"]
    list_select_related = ["team", "created_by"]
    search_fields = ["name", "team__name"]
    inlines = [VersionInline]


@admin.register(PromptTemplate)
class PromptTemplateAdmin(admin.ModelAdmin):
    list_display = ["name", "team", "solution_start", "solution_end"]
    list_filter = ["team"]
    list_select_related = ["team"]
    search_fields = ["name", "system_prompt"]
