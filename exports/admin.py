from django.contrib import admin

from exports.models import Export


@admin.register(Export)
class ExportAdmin(admin.ModelAdmin):
    list_display = ["session", "format", "quantization", "status", "size", "created_by", "created_at"]
    list_filter = ["status", "format", "quantization"]
    search_fields = ["session__name", "id"]
    list_select_related = ["session", "created_by"]
    readonly_fields = [field.name for field in Export._meta.fields]

    def has_add_permission(self, request: object) -> bool:
        return False
