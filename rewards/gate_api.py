"""REST routes of the launch gate: a preset's examination, and its golden cases."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access
from accounts.models import Role
from rewards import cases, examinations, presets
from rewards.checks import Exam
from rewards.examinations import State
from rewards.forms import LONGEST_TEXT
from rewards.models import RewardPreset
from rewards.preset_api import Conflict, body_of
from rewards.registry import Markers, Sample


class CaseMarkers(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reasoning_start: str = Field("", max_length=60)
    reasoning_end: str = Field("", max_length=60)
    solution_start: str = Field("", max_length=60)
    solution_end: str = Field("", max_length=60)


class AnswerBody(BaseModel):
    """One answer to one question."""

    model_config = ConfigDict(extra="forbid")

    instruction: str = Field(max_length=LONGEST_TEXT)
    response: str = Field(max_length=LONGEST_TEXT)
    reference: str | None = Field(None, max_length=LONGEST_TEXT)
    columns: dict[str, Any] = Field(default_factory=dict)
    markers: CaseMarkers = CaseMarkers()

    def sample(self) -> Sample:
        return Sample(
            self.instruction, self.response, self.reference, self.columns, Markers(**self.markers.model_dump())
        )


class CaseBody(AnswerBody):
    wanted: Literal["high", "between", "low"]


def state_json(state: State) -> dict[str, Any]:
    """`status`: examined, queued, running, failed, cancelled, or none where nobody has asked for it."""
    job, plan = state.job, state.plan
    shown = "examined" if state.report and not state.is_open else job.status if job else "none"
    return {
        "status": shown if shown != "ready" else "none",
        "progress": job.progress if job and state.is_open else None,
        "error": job.error if job else "",
        "asks_outside": state.asks_outside,
        "plan": {"answers": plan.answers, "requests": plan.requests, "tokens": plan.tokens},
        "report": state.report.in_full() if state.report else None,
    }


def exam_of(preset: RewardPreset) -> Exam:
    try:
        return Exam(presets.composition_of(preset), list(preset.golden))
    except presets.PresetMissing as problem:
        raise Conflict(str(problem)) from None


class PresetExamination(APIView):
    def get(self, request: Request, pk: str) -> Response:
        preset = presets.readable_or_404(request.user, pk)
        team = preset.team or access.teams_with(request.user).first()
        return Response(state_json(examinations.state(team, exam_of(preset))))

    def post(self, request: Request, pk: str) -> Response:
        """202: a worker examines it, and the asker's team pays for judges."""
        preset = presets.readable_or_404(request.user, pk)
        team = preset.team or access.current_team(request.user, Role.MEMBER)
        access.require(request.user, team, Role.MEMBER)
        exam = exam_of(preset)
        examinations.start(team, request.user, exam)
        return Response(state_json(examinations.state(team, exam)), status.HTTP_202_ACCEPTED)


class PresetCases(APIView):
    def post(self, request: Request, pk: str) -> Response:
        """201 with the preset that got the case: of a shipped one the team's copy. 200 if it had it already."""
        preset = presets.readable_or_404(request.user, pk)
        team = preset.team or access.current_team(request.user, Role.MEMBER)
        access.require(request.user, team, Role.MEMBER)
        body = body_of(CaseBody, request)
        try:
            added = cases.add_to(preset, team, request.user, body.sample(), body.wanted)
        except cases.CaseProblem as problem:
            raise serializers.ValidationError({"case": [str(problem)]}) from None
        except presets.PresetChanged as problem:
            raise Conflict(str(problem)) from None
        answer = {"preset": str(added.preset.pk), "version": added.preset.version, "copied": added.copied}
        code = status.HTTP_201_CREATED if added.is_new else status.HTTP_200_OK
        return Response({**answer, "golden": added.preset.golden}, code)

    def delete(self, request: Request, pk: str) -> Response:
        """Takes one answer back. 409 if it is in no case."""
        preset = presets.own_or_403(request.user, pk)
        body = body_of(AnswerBody, request)
        try:
            removed = cases.remove(preset, request.user, body.sample())
        except presets.PresetChanged as problem:
            raise Conflict(str(problem)) from None
        if not removed:
            raise Conflict("This answer is in no golden case of the preset.")
        return Response({"preset": str(preset.pk), "version": preset.version, "golden": preset.golden})
