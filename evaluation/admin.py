from django.contrib import admin

from evaluation.models import AnswerSet, Batch, Evaluation, EvaluationSet, Trial


@admin.register(Trial)
class TrialAdmin(admin.ModelAdmin):
    list_display = ["prompt", "session", "status", "created_by", "created_at"]
    list_filter = ["status"]
    search_fields = ["prompt", "session__name", "id"]
    list_select_related = ["session", "created_by"]
    readonly_fields = [field.name for field in Trial._meta.fields]

    def has_add_permission(self, request: object) -> bool:
        return False


@admin.register(AnswerSet)
class AnswerSetAdmin(admin.ModelAdmin):
    list_display = ["id", "base_model", "session", "status", "created_by", "created_at"]
    list_filter = ["status"]
    search_fields = ["base_model", "session__name", "id"]
    list_select_related = ["session", "created_by"]
    readonly_fields = [field.name for field in AnswerSet._meta.fields]

    def has_add_permission(self, request: object) -> bool:
        return False


@admin.register(Batch)
class BatchAdmin(admin.ModelAdmin):
    list_display = ["name", "base_model", "session", "status", "row_count", "created_by", "created_at"]
    list_filter = ["status"]
    search_fields = ["name", "base_model", "session__name", "id"]
    list_select_related = ["session", "created_by"]
    readonly_fields = [field.name for field in Batch._meta.fields]

    def has_add_permission(self, request: object) -> bool:
        return False


@admin.register(EvaluationSet)
class EvaluationSetAdmin(admin.ModelAdmin):
    list_display = ["name", "row_count", "created_by", "created_at"]
    search_fields = ["name", "sha256", "id"]
    list_select_related = ["created_by"]
    readonly_fields = [field.name for field in EvaluationSet._meta.fields]

    def has_add_permission(self, request: object) -> bool:
        return False


@admin.register(Evaluation)
class EvaluationAdmin(admin.ModelAdmin):
    list_display = ["name", "evaluation_set", "status", "created_by", "created_at"]
    list_filter = ["status"]
    search_fields = ["name", "evaluation_set__name", "id"]
    list_select_related = ["evaluation_set", "created_by"]
    readonly_fields = [field.name for field in Evaluation._meta.fields]

    def has_add_permission(self, request: object) -> bool:
        return False
