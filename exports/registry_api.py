"""The model registry over REST: the verbs of its pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Role
from evaluation.models import Batch, Evaluation
from exports import registry
from exports.models import Export
from exports.registry import FILTERS, LONGEST_SEARCH, NEWEST, SORTS, Asked, Model
from exports.registry_views import model_or_404
from jobs.choices import JobStatus
from loracraft.inputs import valid
from training import keeping
from training.models import Session
from training.overview import Score

LISTED, MOST_LISTED = 100, 1000
ORDERS = [*SORTS, *(f"-{name}" for name in SORTS)]


class ListInput(serializers.Serializer[Any]):
    search = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_SEARCH, default="")
    show = serializers.ChoiceField([*FILTERS, ""], default="")
    tag = serializers.CharField(required=False, allow_blank=True, max_length=30, default="")
    ordering = serializers.ChoiceField(ORDERS, default=NEWEST)
    limit = serializers.IntegerField(min_value=1, max_value=MOST_LISTED, default=LISTED)
    offset = serializers.IntegerField(min_value=0, max_value=10**9, default=0)


class PromoteInput(serializers.Serializer[Any]):
    note = serializers.CharField(required=False, allow_blank=True, max_length=keeping.LONGEST_NOTE)


class DeleteInput(serializers.Serializer[Any]):
    # Of the model, where it is promoted or has exports.
    name = serializers.CharField(required=False, allow_blank=True, max_length=keeping.LONGEST_NAME, default="")


def refuse_unknown(serializer: type[serializers.Serializer[Any]], given: Any) -> None:
    """A typing error shall not pass for "no filter"."""
    unknown = set(given) - set(serializer().fields)
    if unknown:
        raise serializers.ValidationError({name: ["There is no such parameter."] for name in sorted(unknown)})


@api_view(["GET"])
def listed(request: Request) -> Response:
    refuse_unknown(ListInput, request.query_params)
    wanted = valid(ListInput, request.query_params)
    asked = Asked(wanted["search"].strip(), wanted["show"], wanted["tag"].strip().lower(), wanted["ordering"])
    found = registry.shown(registry.matching(request.user, asked), asked.show)
    ids = registry.ordered(found, asked.sort)[wanted["offset"] : wanted["offset"] + wanted["limit"]]
    models = registry.described(Session.objects.all(), ids, request.user)
    return Response({"total": found.count(), "models": [as_json(model) for model in models]})


class ModelDetail(APIView):
    def get(self, request: Request, pk: UUID) -> Response:
        model = model_or_404(request.user, pk)
        return Response({**as_json(model), "lineage": lineage(model)})

    def delete(self, request: Request, pk: UUID) -> Response:
        """409 with the reason where it stays."""
        session = model_or_404(request.user, pk, Role.MEMBER).session
        name = valid(DeleteInput, request.data or request.query_params)["name"]
        try:
            freed = registry.delete(session, request.user, name)
        except registry.NotDeleted as problem:
            return Response({"error": str(problem), "fields": {}}, status=status.HTTP_409_CONFLICT)
        return Response({"freed_bytes": freed})


class Promotion(APIView):
    """Sent twice it is the same as once: who promoted it first stays."""

    def post(self, request: Request, pk: UUID) -> Response:
        session = model_or_404(request.user, pk, Role.MEMBER).session
        given = valid(PromoteInput, request.data)
        keeping.promote(Session.objects.filter(pk=pk), request.user)
        if "note" in given:
            keeping.note_promotion(session, request.user, given["note"])
        return Response(as_json(model_or_404(request.user, pk)))

    def delete(self, request: Request, pk: UUID) -> Response:
        model_or_404(request.user, pk, Role.MEMBER)
        keeping.unpromote(Session.objects.filter(pk=pk), request.user)
        return Response(as_json(model_or_404(request.user, pk)))


def as_json(model: Model) -> dict[str, Any]:
    session, gain = model.session, model.gain
    return {
        "id": str(session.pk),
        "session_id": str(session.pk),
        "name": session.name,
        "status": session.status,
        "checkpoint_step": model.saved_step,
        "base": model.base,
        "dataset": dataset_as_json(model),
        "reward": reward_as_json(model),
        "scores": {label: score_as_json(score) for label, score in model.scores.items()},
        "gain": gain[1] if gain else None,
        "exports": [export_as_json(export) for export in model.exports],
        "tags": [tag.name for tag in session.tags.all()],
        "promoted": promotion_as_json(session),
        "archived_at": session.archived_at,
        "created_at": session.created_at,
        "finished_at": session.finished_at,
    }


def dataset_as_json(model: Model) -> dict[str, Any] | None:
    data = model.data
    if data is None:
        return None
    kept = str(data.dataset_id) if data.dataset_id else None
    return {"id": kept, "name": data.name, "version": data.number, "sha256": data.sha256, "rows": data.rows}


def reward_as_json(model: Model) -> dict[str, Any]:
    kept = model.session.reward_preset
    parts = [{"name": part["name"], "weight": part["weight"]} for part in model.parts]
    return {"name": model.reward, "preset": kept.get("slug"), "version": kept.get("version"), "parts": parts}


def score_as_json(score: Score) -> dict[str, Any]:
    """`low` and `high`: the accuracy's 95 % interval."""
    return {
        "accuracy": score.accuracy,
        "low": score.low,
        "high": score.high,
        "questions": score.questions,
        "mean_reward": score.reward,
    }


def promotion_as_json(session: Session) -> dict[str, Any] | None:
    if session.promoted_at is None:
        return None
    by = session.promoted_by.username if session.promoted_by else None
    return {"at": session.promoted_at, "by": by, "note": session.promotion_note}


def export_as_json(export: Export) -> dict[str, Any]:
    return {
        "id": str(export.pk),
        "format": export.format,
        "quantization": export.quantization,
        "status": export.status,
        "size": export.size,
        "sha256": export.sha256,
    }


def job_as_json(job: Batch | Evaluation) -> dict[str, Any]:
    return {"id": str(job.pk), "name": job.name, "status": job.status}


def lineage(model: Model) -> dict[str, Any]:
    """What it was made of and what was made of it."""
    session, uses = model.session, registry.uses_of(model.session)
    return {
        "base": model.base,
        "dataset": dataset_as_json(model),
        "reward": reward_as_json(model),
        "session": {"id": str(session.pk), "cloned_from": str(session.cloned_from_id or "") or None},
        "adapter": f"outputs/{session.pk}/adapter/" if model.is_finished else None,
        "checkpoints": uses.checkpoints,
        "exports": [export_as_json(each) for each in uses.exports if each.status == JobStatus.READY],
        "evaluations": [job_as_json(evaluation) for evaluation in uses.evaluations],
        "batches": [job_as_json(batch) for batch in uses.batches],
        "clones": [str(copy.pk) for copy in uses.copies],
        "bytes_on_disk": uses.size,
    }


UUID_PATTERN = r"(?P<pk>[0-9a-fA-F-]{36})"
routes = [
    re_path(r"^models/?$", listed, name="api-models"),
    re_path(rf"^models/{UUID_PATTERN}/?$", ModelDetail.as_view(), name="api-model"),
    re_path(rf"^models/{UUID_PATTERN}/promote/?$", Promotion.as_view(), name="api-model-promote"),
]
