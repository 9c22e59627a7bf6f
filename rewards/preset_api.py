"""REST routes of presets and functions. What the composer does, a program can do: both call the same verbs."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.urls import URLPattern, re_path
from django.urls.converters import UUIDConverter
from django.utils.text import slugify
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rest_framework import serializers, status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access
from accounts.models import Role
from loracraft.sentences import explain, place
from rewards import describe, exchange, outside, presets
from rewards.composition import Composition
from rewards.exchange import ImportProblem
from rewards.models import PresetVersion, RewardPreset
from rewards.problems import messages
from rewards.registry import REGISTRY, RewardFunction


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT


class Texts(BaseModel):
    """What a preset is called. What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, min_length=1, max_length=120)
    slug: str | None = Field(None, min_length=1, max_length=80)
    category: str | None = Field(None, min_length=1, max_length=60)
    description: str | None = Field(None, max_length=2000)
    golden: list[Any] | None = None
    note: str = Field("", max_length=200)

    def given(self) -> dict[str, str]:
        names = ("name", "slug", "category", "description")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class NewBody(Texts):
    name: str = Field(min_length=1, max_length=120)
    definition: dict[str, Any]


class ChangeBody(Texts):
    """`version`: the one that the changes were made from; another one meanwhile is a 409."""

    definition: dict[str, Any] | None = None
    version: int | None = None


class ImportBody(BaseModel):
    """`content`: the file as JSON, or as text where it is Python."""

    model_config = ConfigDict(extra="forbid")

    content: dict[str, Any] | str
    name: str = Field("", max_length=120)
    dry_run: bool = False


def invalid(error: ValidationError) -> serializers.ValidationError:
    fields: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False, include_input=False):
        fields.setdefault(place(problem) or "body", []).append(explain(problem))
    return serializers.ValidationError(fields)


def body_of(model: type[Any], request: Request) -> Any:
    try:
        return model.model_validate(request.data)
    except ValidationError as error:
        raise invalid(error) from None


def composed(definition: dict[str, Any]) -> Composition:
    try:
        return Composition.model_validate(definition)
    except ValidationError as error:
        raise serializers.ValidationError({"definition": messages(error)}) from None


def cases_of(golden: list[Any] | None) -> list[Any] | None:
    try:
        return None if golden is None else exchange.golden_of(golden)
    except ImportProblem as problem:
        raise serializers.ValidationError({"golden": problem.problems}) from None


# What is answered


def as_json(preset: RewardPreset) -> dict[str, Any]:
    return {
        "id": str(preset.pk),
        "slug": preset.slug,
        "name": preset.name,
        "category": preset.category,
        "description": preset.description,
        "team": preset.team.name if preset.team else None,
        "shipped": preset.team is None,
        "version": preset.version,
        "definition": preset.definition,
    }


def whole_json(preset: RewardPreset) -> dict[str, Any]:
    """With what a list leaves out: whether it can be used, and what it needs."""
    card = describe.card(preset)
    composition = card.composition
    about: dict[str, Any] = {"golden": preset.golden, "problem": card.problem, "judges_answer": None}
    if composition is not None:
        about |= {
            "judges_answer": composition.judges_answer,
            "needs_reference": composition.needs_reference,
            "columns": composition.columns,
            "best_total": composition.best_total,
            "worst_total": composition.worst_total,
            "formula": describe.formula(composition),
        }
    return as_json(preset) | about


def version_json(version: PresetVersion) -> dict[str, Any]:
    return {
        "number": version.number,
        "note": version.note,
        "created_by": version.created_by.get_username() if version.created_by else None,
        "created_at": version.created_at,
        "definition": version.definition,
        "golden": version.golden,
    }


def function_json(function: RewardFunction) -> dict[str, Any]:
    return {
        "name": function.name,
        "title": function.title,
        "help": function.help,
        "category": function.category,
        "minimum": function.minimum,
        "maximum": function.maximum,
        "judges_answer": function.judges_answer,
        "form_only": function.form_only,
        "asks_outside": function.asks_outside,
        "needs_reference": function.needs_reference,
        "unavailable": function.unavailable(),
        "parameters": function.parameters.model_json_schema(),
    }


# Routes


class PresetList(APIView):
    def get(self, request: Request) -> Response:
        """The team's and the shipped ones; `search`, `category`, `whose` and `judges` as in the library."""
        asked = {**request.query_params.dict(), "q": request.query_params.get("search", "")}
        wanted = describe.Wanted.of(asked)
        cards = wanted.among(map(describe.card, presets.found(request.user, wanted.text, wanted.category)))
        return Response({"presets": [as_json(card.preset) for card in cards]})

    def post(self, request: Request) -> Response:
        team = access.current_team(request.user, Role.MEMBER)
        body = body_of(NewBody, request)
        checked_slug(body.slug, team)
        definition = composed(body.definition).model_dump(mode="json")
        golden = cases_of(body.golden)
        preset = presets.create(
            team, request.user, definition=definition, golden=golden, note=body.note, **body.given()
        )
        return Response(whole_json(preset), status.HTTP_201_CREATED)


def checked_slug(slug: str | None, team: Any, but: RewardPreset | None = None) -> None:
    if slug is None:
        return
    problem = presets.slug_problem(team, slug, but)
    if slug != slugify(slug):
        problem = "Write lower case letters, digits and hyphens only."
    if problem:
        raise serializers.ValidationError({"slug": [problem]})


class PresetDetail(APIView):
    def get(self, request: Request, pk: str) -> Response:
        return Response(whole_json(presets.readable_or_404(request.user, pk)))

    def patch(self, request: Request, pk: str) -> Response:
        preset = presets.own_or_403(request.user, pk)
        body = body_of(ChangeBody, request)
        checked_slug(body.slug, preset.team, preset)
        if body.version not in (None, preset.version):
            raise Conflict(f"The preset is version {preset.version} by now. Read it again, and change that.")
        composition = composed(body.definition) if body.definition is not None else None
        changes = {"composition": composition, "golden": cases_of(body.golden), "note": body.note}
        try:
            presets.update(preset, request.user, **changes, **body.given())
        except presets.PresetChanged as problem:
            raise Conflict(str(problem)) from None
        return Response(whole_json(preset))

    def delete(self, request: Request, pk: str) -> Response:
        """409 while a draft or a saved config names it, unless `?confirm=true`."""
        preset = presets.own_or_403(request.user, pk)
        needed = [use.title for use in outside.uses(preset) if not use.keeps]
        if needed and request.query_params.get("confirm", "").lower() not in ("true", "1", "yes"):
            raise Conflict(f"Drafts or saved configs name this preset: {', '.join(needed)}. Send ?confirm=true.")
        preset.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class PresetCopy(APIView):
    def post(self, request: Request, pk: str) -> Response:
        preset = presets.readable_or_404(request.user, pk)
        copied = presets.copy(preset, access.current_team(request.user, Role.MEMBER), request.user)
        return Response(whole_json(copied), status.HTTP_201_CREATED)


class PresetExport(APIView):
    def get(self, request: Request, pk: str) -> Response:
        return Response(exchange.exported(vars(presets.readable_or_404(request.user, pk))))


class PresetVersions(APIView):
    def get(self, request: Request, pk: str) -> Response:
        """Newest first, each with what it changed, in words."""
        lines = describe.version_lines(presets.versions_of(presets.readable_or_404(request.user, pk)))
        return Response({"versions": [version_json(line.version) | {"changes": line.changes} for line in lines]})


class PresetVersionDetail(APIView):
    def get(self, request: Request, pk: str, number: str) -> Response:
        """`?against=N`: also what is different from version N, in words."""
        versions = presets.versions_of(presets.readable_or_404(request.user, pk))
        version, against = numbered(versions, int(number)), request.query_params.get("against")
        answer = version_json(version)
        if against is not None:
            if not (against.isdecimal() and len(against) < 8):
                raise serializers.ValidationError({"against": ["Write the number of a version."]})
            answer["changes"] = presets.changes(numbered(versions, int(against)), version)
        return Response(answer)


def numbered(versions: list[PresetVersion], number: int) -> PresetVersion:
    for version in versions:
        if version.number == number:
            return version
    raise Http404("This preset has no such version.")


class PresetRestore(APIView):
    def post(self, request: Request, pk: str, number: str) -> Response:
        preset = presets.own_or_403(request.user, pk)
        try:
            presets.restore(preset, int(number), request.user)
        except (presets.PresetMissing, presets.PresetChanged) as problem:
            raise Conflict(str(problem)) from None
        return Response(whole_json(preset))


class PresetImport(APIView):
    def post(self, request: Request) -> Response:
        """201 with the preset and what differs from the original; with `dry_run` only what would be made."""
        team = access.current_team(request.user, Role.MEMBER)
        body = body_of(ImportBody, request)
        try:
            made = exchange.read(body.content) if isinstance(body.content, str) else exchange.read_value(body.content)
        except ImportProblem as problem:
            raise serializers.ValidationError({"content": problem.problems}) from None
        texts = {"name": body.name or made.name or "Imported reward", "category": made.category}
        texts |= {"slug": made.slug, "description": made.description, "note": f"Imported from {made.kind}"}
        about = {"kind": made.kind, "notes": made.notes}
        if body.dry_run:
            return Response({**about, "name": texts["name"], "definition": made.definition, "golden": made.golden})
        definition = composed(made.definition).model_dump(mode="json")
        preset = presets.create(team, request.user, definition=definition, golden=made.golden, **texts)
        return Response({**whole_json(preset), **about}, status.HTTP_201_CREATED)


class FunctionList(APIView):
    def get(self, request: Request) -> Response:
        """Every function that a part can use, with the JSON schema of its parameters."""
        return Response({"functions": [function_json(function) for _, function in sorted(REGISTRY.items())]})


def route(pattern: str, view: type[APIView], name: str) -> URLPattern:
    """A slash at the end changes nothing."""
    return re_path(rf"^rewards/{pattern}/?$", view.as_view(), name=f"api-reward-{name}")


PRESET = f"presets/(?P<pk>{UUIDConverter.regex})"
VERSION = f"{PRESET}/versions/(?P<number>[1-9][0-9]{{0,8}})"
routes = [
    route("functions", FunctionList, "functions"),
    route("presets", PresetList, "presets"),
    route("presets/import", PresetImport, "preset-import"),
    route(PRESET, PresetDetail, "preset"),
    route(f"{PRESET}/copy", PresetCopy, "preset-copy"),
    route(f"{PRESET}/export", PresetExport, "preset-export"),
    route(f"{PRESET}/versions", PresetVersions, "preset-versions"),
    route(VERSION, PresetVersionDetail, "preset-version"),
    route(f"{VERSION}/restore", PresetRestore, "preset-restore"),
]
