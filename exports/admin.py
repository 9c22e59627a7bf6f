from django.contrib import admin

from exports.models import Check, Export, Push


@admin.register(Export)
class ExportAdmin(admin.ModelAdmin):
    list_display = ["session", "format", "quantization", "status", "size", "created_by", "created_at"]
    list_filter = ["status", "format", "quantization"]
    search_fields = ["session__name", "id"]
    list_select_related = ["session", "created_by"]
    readonly_fields = [field.name for field in Export._meta.fields]

    def has_add_permission(self, request: object) -> bool:
        return False


@admin.register(Check)
class CheckAdmin(admin.ModelAdmin):
    list_display = ["export", "status", "verdict", "signed_by", "signed_at", "created_at"]
    list_filter = ["status", "verdict"]
    search_fields = ["export__session__name", "export__id"]
    list_select_related = ["export__session", "signed_by"]
    readonly_fields = [field.name for field in Check._meta.fields]

    def has_add_permission(self, request: object) -> bool:
        return False


@admin.register(Push)
class PushAdmin(admin.ModelAdmin):
    list_display = ["export", "repository", "private", "status", "created_by", "created_at"]
    list_filter = ["status", "private"]
    search_fields = ["repository", "export__session__name"]
    list_select_related = ["export__session", "created_by"]
    readonly_fields = [field.name for field in Push._meta.fields]

    def has_add_permission(self, request: object) -> bool:
        return False
