"""REST routes of rewards: the presets, the functions, and scoring one answer."""

from typing import Any

from django.urls import re_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access import teams_with
from rewards.composition import MAX_CHARACTERS, Composition
from rewards.gate_api import PresetCases, PresetExamination
from rewards.preset_api import PRESET, invalid, route
from rewards.preset_api import routes as preset_routes
from rewards.presets import PresetMissing, messages, named
from rewards.registry import Markers, Sample


class MarkersBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reasoning_start: str = Field("", max_length=60)
    reasoning_end: str = Field("", max_length=60)
    solution_start: str = Field("", max_length=60)
    solution_end: str = Field("", max_length=60)


class TestBody(BaseModel):
    """Either the slug of a preset or a definition {"parts": [...]}."""

    model_config = ConfigDict(extra="forbid")

    preset: str | None = Field(None, max_length=80)
    definition: dict[str, Any] | None = None
    instruction: str = Field("", max_length=MAX_CHARACTERS)
    response: str = Field(max_length=MAX_CHARACTERS)
    reference: str | None = Field(None, max_length=MAX_CHARACTERS)
    columns: dict[str, Any] = Field(default_factory=dict)
    markers: MarkersBody = MarkersBody()

    def sample(self) -> Sample:
        markers = Markers(**self.markers.model_dump())
        return Sample(self.instruction, self.response, self.reference, self.columns, markers)


@api_view(["POST"])
def test_reward(request: Request) -> Response:
    """{"total", "parts", "errors", "feedback", "correct"}; total is null if a part could not judge."""
    try:
        body = TestBody.model_validate(request.data)
    except ValidationError as error:
        raise invalid(error) from None
    result = composition_in(body, request).score(body.sample())
    return Response({name: getattr(result, name) for name in ("total", "parts", "errors", "feedback", "correct")})


def composition_in(body: TestBody, request: Request) -> Composition:
    if (body.preset is None) == (body.definition is None):
        raise serializers.ValidationError({"preset": ["Give either preset or definition."]})
    if body.definition is not None:
        try:
            return Composition.model_validate(body.definition)
        except ValidationError as error:
            raise serializers.ValidationError({"definition": messages(error)}) from None
    try:
        return named(teams_with(request.user).first(), body.preset or "")
    except PresetMissing as error:
        raise serializers.ValidationError({"preset": [str(error)]}) from None


routes = [
    *preset_routes,
    route(f"{PRESET}/examination", PresetExamination, "preset-examination"),
    route(f"{PRESET}/cases", PresetCases, "preset-cases"),
    re_path(r"^rewards/test/?$", test_reward, name="api-reward-test"),
]
