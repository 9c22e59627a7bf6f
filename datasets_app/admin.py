"""The operator's console of datasets: what happened is only read, and changed by the verbs that the pages call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from datasets_app import checks, imports
from datasets_app.models import Check, Dataset, DatasetVersion, Import, PromptTemplate, Upload
from datasets_app.problems import DatasetProblem
from datasets_app.prompt_forms import PromptTemplateAdminForm

MAX_COUNTED = 10_000


class BoundedPaginator(Paginator):
    """Counts no further than anybody pages: on some databases count(*) reads the whole table."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:MAX_COUNTED].count())


class ReadOnly:
    """Rows that only the verbs make and remove, because files belong to them."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Listed(ReadOnly, admin.ModelAdmin):
    """A list that opens quickly, however many rows there are. `heavy`: columns that it does not read."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    ordering = ["-created_at"]
    heavy: tuple[str, ...] = ()
    # What a permission lets an operator do.
    operates = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        match = request.resolver_match
        return rows.defer(*self.heavy) if match and str(match.url_name).endswith("_changelist") else rows

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(self.operates)

    def each(self, request: HttpRequest, rows: QuerySet[Any], verb: Callable[[Any], bool], done: str, why: str) -> None:
        for row in rows:
            try:
                won, reason = verb(row), why
            except DatasetProblem as problem:
                won, reason = False, problem.message
            if won:
                self.message_user(request, f"{row} was {done}.")
            else:
                self.message_user(request, f"{row} was not {done}: {reason}", messages.WARNING)


def linked(name: str, pk: Any, text: Any) -> SafeString:
    return format_html('<a href="{}">{}</a>', reverse(f"admin:datasets_app_{name}_change", args=[pk]), text)


class VersionInline(ReadOnly, admin.TabularInline):
    model = DatasetVersion
    fields = ["number", "accepted", "row_count", "rejected_count", "mapping", "split", "sha256", "created_at"]
    readonly_fields = ["created_at"]
    show_change_link = True
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[DatasetVersion]:
        return super().get_queryset(request).defer("report", "columns")


@admin.register(Dataset)
class DatasetAdmin(Listed):
    list_display = ["name", "team", "source", "versions", "created_by", "created_at"]
    list_filter = ["source", "team", "created_at"]
    list_select_related = ["team", "created_by"]
    search_fields = ["name", "=id", "team__name"]
    inlines = [VersionInline]
    heavy = ("source_detail",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Dataset]:
        # Counted for the rows of one page, not in a join over all of them.
        counted = DatasetVersion.objects.filter(dataset=OuterRef("pk")).order_by().values("dataset")
        version_count = Subquery(counted.annotate(found=Count("pk")).values("found"))
        return super().get_queryset(request).annotate(version_count=version_count)

    @admin.display(ordering="version_count")
    def versions(self, dataset: Any) -> int:
        return dataset.version_count or 0


@admin.register(DatasetVersion)
class DatasetVersionAdmin(Listed):
    list_display = ["of_dataset", "number", "team", "accepted", "row_count", "rejected_count", "created_at"]
    list_filter = ["accepted", "dataset__source", "dataset__team", "created_at"]
    list_select_related = ["dataset__team"]
    search_fields = ["dataset__name", "=dataset__id", "sha256", "file"]
    heavy = ("report", "columns", "mapping", "split", "origin")

    @admin.display(description="dataset", ordering="dataset__name")
    def of_dataset(self, version: DatasetVersion) -> SafeString:
        return linked("datasetversion", version.pk, version.dataset)

    @admin.display(ordering="dataset__team__name")
    def team(self, version: DatasetVersion) -> str:
        return str(version.dataset.team)


@admin.register(Upload)
class UploadAdmin(Listed):
    list_display = ["file_name", "team", "arrived", "created_by", "touched_at", "created_at"]
    list_filter = ["team", "created_at"]
    list_select_related = ["team", "created_by"]
    search_fields = ["file_name", "=id", "=sha256"]
    actions = ["discard"]
    operates = "datasets_app.delete_upload"

    @admin.display(description="arrived", ordering="received")
    def arrived(self, upload: Upload) -> str:
        return f"{filesizeformat(upload.received)} of {filesizeformat(upload.size)}"

    @admin.action(description="Discard, with its file", permissions=["operate"])
    def discard(self, request: HttpRequest, queryset: QuerySet[Upload]) -> None:
        def discarded(upload: Upload) -> bool:
            imports.discard_upload(upload)
            return True

        self.each(request, queryset, discarded, "discarded", "")


class JobAdmin(Listed):
    list_filter = ["status", "team", "created_at"]
    actions = ["cancel"]

    @admin.display(description="progress", ordering="progress")
    def percent(self, job: Any) -> str:
        return f"{job.progress:.0%}"


@admin.register(Import)
class ImportAdmin(JobAdmin):
    list_display = [
        "name",
        "kind",
        "status",
        "percent",
        "rows",
        "team",
        "created_by",
        "attempt",
        "worker",
        "created_at",
    ]
    list_filter = ["status", "kind", "team", "created_at"]
    list_select_related = ["team", "created_by"]
    search_fields = ["name", "=id", "error"]
    actions = ["cancel", "retry"]
    heavy = ("request", "error")
    operates = "datasets_app.change_import"

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Import]) -> None:
        self.each(request, queryset, imports.cancel, "cancelled", "it had ended already.")

    @admin.action(description="Try again", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Import]) -> None:
        why = "it runs, is done, or its uploaded file is gone."
        self.each(request, queryset.select_related("upload"), imports.retry, "queued again", why)


@admin.register(Check)
class CheckAdmin(JobAdmin):
    list_display = ["of_version", "status", "percent", "team", "created_by", "attempt", "worker", "created_at"]
    list_select_related = ["team", "created_by", "version__dataset"]
    search_fields = ["version__dataset__name", "=id", "=version__dataset__id"]
    heavy = ("request", "report", "error", "version__report", "version__columns")
    operates = "datasets_app.change_check"

    @admin.display(description="version", ordering="version__dataset__name")
    def of_version(self, check: Check) -> SafeString:
        return linked("check", check.pk, check.version)

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Check]) -> None:
        self.each(request, queryset, checks.cancel, "cancelled", "it had ended already.")


@admin.register(PromptTemplate)
class PromptTemplateAdmin(admin.ModelAdmin):
    """Rows without a team are the shipped ones: only here they can be changed."""

    form = PromptTemplateAdminForm
    paginator = BoundedPaginator
    show_full_result_count = False
    list_display = ["name", "template_type", "team", "created_by", "reasoning_start", "solution_start"]
    list_filter = ["template_type", "team"]
    list_select_related = ["team", "created_by"]
    search_fields = ["name", "description", "system_prompt"]

    def save_model(self, request: HttpRequest, obj: PromptTemplate, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)
