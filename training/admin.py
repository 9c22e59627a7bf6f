"""The operator's console: what the stepper offers is edited here; what happened is only read, and changed by verbs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from training import drafts, keeping, lifecycle
from training.models import CatalogueModel, Event, Preflight, QueuePause, SavedConfig, Session, Worker
from training.readiness import NotReady


@admin.register(CatalogueModel)
class CatalogueModelAdmin(admin.ModelAdmin):
    list_display = ["name", "family", "hub_id", "parameters", "context_length", "licence", "vram_gb", "gated"]
    list_filter = ["family", "gated"]
    search_fields = ["name", "hub_id"]


class SavedConfigForm(forms.ModelForm):
    def clean_config(self) -> dict[str, Any]:
        """What the stepper would call wrong is refused here, too."""
        config = self.cleaned_data["config"]
        if not isinstance(config, dict):
            raise forms.ValidationError('Write one JSON object, such as {"training": {…}}.')
        wrong = [f"{name}: {message}" for name, message in drafts.wrong_values(config).items()]
        unknown = [f"{name}: There is no such setting. Check its spelling." for name in drafts.unknown_keys(config)]
        if wrong or unknown:
            raise forms.ValidationError([*wrong, *unknown])
        return config


@admin.register(SavedConfig)
class SavedConfigAdmin(admin.ModelAdmin):
    form = SavedConfigForm
    list_display = ["name", "team", "created_by", "updated_at"]
    list_filter = ["team"]
    list_select_related = ["team", "created_by"]
    search_fields = ["name"]


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = [
        "name",
        "team",
        "status",
        "phase",
        "step",
        "total_steps",
        "attempt",
        "worker",
        "lease_until",
        "created_at",
        "promoted_at",
    ]
    list_filter = ["status", ("promoted_at", admin.EmptyFieldListFilter), "team"]
    list_select_related = ["team"]
    search_fields = ["name", "id"]
    actions = ["stop", "requeue", "resume", "promote", "unpromote"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("training.change_session")

    @admin.action(description="Stop (with a checkpoint)", permissions=["operate"])
    def stop(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        self._each(request, queryset, lifecycle.request_stop, "asked to stop")

    @admin.action(description="Take from its worker and queue again", permissions=["operate"])
    def requeue(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        self._each(request, queryset, lifecycle.requeue, "queued again")

    @admin.action(description="Resume", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        self._each(request, queryset, lifecycle.resume, "resumed")

    @admin.action(description="Promote the model", permissions=["operate"])
    def promote(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        self.message_user(request, f"Promoted: {len(keeping.promote(queryset, request.user))}.")

    @admin.action(description="Take the promotion back", permissions=["operate"])
    def unpromote(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        self.message_user(request, f"Not promoted any more: {len(keeping.unpromote(queryset, request.user))}.")

    def _each(self, request: HttpRequest, queryset: QuerySet[Session], verb: Any, done: str) -> None:
        for session in queryset:
            try:
                won, why = verb(session, request.user), f"it is {session.get_status_display().lower()}"
            except NotReady as error:
                won, why = False, str(error)
            if won:
                self.message_user(request, f"{session} was {done}.")
            else:
                self.message_user(request, f"{session} was not {done}: {why}.", messages.WARNING)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["session", "seq", "attempt", "kind", "phase", "step", "created_at", "superseded"]
    list_filter = ["kind", "superseded"]
    list_select_related = ["session"]
    search_fields = ["session__id", "session__name"]
    show_full_result_count = False


@admin.register(Preflight)
class PreflightAdmin(ReadOnlyAdmin):
    list_display = ["session", "team", "status", "message", "created_by", "created_at", "finished_at", "worker"]
    list_filter = ["status", "team", "starts"]
    list_select_related = ["session", "team", "created_by"]
    search_fields = ["session__name"]
    ordering = ["-created_at"]


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ["host", "identity", "titles", "started_at", "beat_at", "lease_until"]

    @admin.display(description="devices")
    def titles(self, worker: Worker) -> str:
        return ", ".join(offer["title"] for offer in worker.devices)


@admin.register(QueuePause)
class QueuePauseAdmin(admin.ModelAdmin):
    """Without a team it holds back everything. Deleting it lets the queue go on."""

    list_display = ["team", "reason", "by", "at"]
    list_select_related = ["team", "by"]
    fields = ["team", "reason"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: QueuePause, form: Any, change: bool) -> None:
        obj.by_id = request.user.pk
        super().save_model(request, obj, form, change)
