"""REST routes of rewards that need a dataset: which presets fit it, and what the launch gate finds on its rows."""

from __future__ import annotations

from typing import Any

from django.urls import re_path
from django.urls.converters import UUIDConverter
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import get_or_404
from accounts.models import Role
from datasets_app import mapping
from datasets_app.models import Dataset, DatasetVersion
from datasets_app.problems import DatasetProblem
from rewards import examinations
from rewards.composition import Composition
from rewards.gate_api import state_json
from rewards.quick_start import Proposal
from training import readiness, reward_gate
from training.choices import Status
from training.models import Session
from training.schema import SessionConfig


@api_view(["GET"])
def quick_start(request: Request) -> Response:
    """`dataset`: its id; `version`: a number, the newest by default. The best first; [] if nothing fits."""
    version = version_asked(request)
    try:
        section = mapping.section_of(version)
    except DatasetProblem as problem:
        raise serializers.ValidationError({"dataset": [problem.message]}) from None
    names = {"instruction_field": section.instruction_field, "response_field": section.response_field}
    config = SessionConfig.model_validate({"dataset": {"source": str(version.dataset_id), **names}})
    found = reward_gate.proposals(version.dataset.team, config, version)
    about = {"dataset": str(version.dataset_id), "version": version.number}
    return Response({**about, "proposals": [as_json(proposal) for proposal in found]})


def version_asked(request: Request) -> DatasetVersion:
    """Raises Http404 for what the asker may not see, a ValidationError for what is no version."""
    named, number = request.query_params.get("dataset", ""), request.query_params.get("version", "latest")
    if not named:
        raise serializers.ValidationError({"dataset": ["Name a dataset by its id."]})
    dataset = get_or_404(Dataset, request.user, named)
    versions = dataset.versions.select_related("dataset__team").order_by("-number")
    if number != "latest":
        versions = versions.filter(number=int(number) if number.isdecimal() and len(number) < 8 else 0)
    found: DatasetVersion | None = versions.first()
    if found is None:
        raise serializers.ValidationError({"version": ["The dataset has no such version."]})
    return found


def as_json(proposal: Proposal) -> dict[str, Any]:
    return {
        "preset": proposal.slug,
        "name": proposal.name,
        "own": proposal.own,
        "why": proposal.why,
        "confidence": proposal.confidence,
        "confidence_why": proposal.confidence_why,
        "references": {kind: round(share / 100, 4) for kind, share in proposal.shares},
        "rows": proposal.rows,
        "right": proposal.right,
        "wrong": proposal.wrong,
        "scored": [vars(row) for row in proposal.scored],
        "problems": list(proposal.problems),
    }


@api_view(["GET", "POST"])
def gate(request: Request, session_id: str) -> Response:
    """What the launch gate says of a draft's reward; a POST has a worker examine it on rows of its dataset."""
    role = Role.MEMBER if request.method == "POST" else Role.VIEWER
    session = get_or_404(Session, request.user, session_id, role)
    if session.status != Status.DRAFT:
        return Response({"reward_check": session.reward_check, "reward_override": session.reward_override})
    try:
        ready = readiness.check(session.team, session.config)
    except readiness.NotReady as error:
        raise serializers.ValidationError(error.by_field()) from None
    composition = Composition.model_validate(ready.composition)
    exam = reward_gate.exam_of(session.team, ready.config, composition, ready.version)
    if request.method == "POST":
        examinations.start(session.team, request.user, exam)
    found = state_json(examinations.state(session.team, exam))
    return Response(found, status=202 if request.method == "POST" else 200)


routes = [
    re_path(rf"^training/sessions/(?P<session_id>{UUIDConverter.regex})/gate/?$", gate, name="api-session-gate"),
    re_path(r"^rewards/quick-start/?$", quick_start, name="api-reward-quick-start"),
]
