from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from knox.models import AuthToken

from accounts.models import Membership, Team, TeamSecret


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 1
    autocomplete_fields = ("user",)


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    list_display = ("name", "created_at")
    search_fields = ("name",)
    inlines = (MembershipInline,)


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):
    list_display = ("user", "team", "role")
    list_filter = ("role", "team")
    list_select_related = ("user", "team")
    search_fields = ("user__username", "team__name")
    autocomplete_fields = ("user", "team")


admin.site.unregister(AuthToken)


@admin.register(AuthToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Seen and revoked here; made by `manage.py create_api_token`, which alone sees the token."""

    list_display = ("user", "token_key", "created", "expiry")
    fields = ("user", "token_key", "created", "expiry")
    readonly_fields = fields
    list_select_related = ("user",)
    search_fields = ("user__username",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TeamSecret)
class TeamSecretAdmin(admin.ModelAdmin):
    """Seen and removed here, without its value; saved on the team's page."""

    list_display = ("team", "name", "ending", "saved_by", "saved_at")
    fields = ("team", "name", "ending", "saved_by", "saved_at")
    readonly_fields = fields
    list_select_related = ("team", "saved_by")
    list_filter = ("name",)
    search_fields = ("team__name",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
