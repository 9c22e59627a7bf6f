"""Where datasets come from, over REST: pasted text, generated tasks, the hub; and the imports that make them.

Files come by upload_views.py.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.models import Role
from datasets_app import forms, generation, hub, importing, imports, public_sets, uploads
from datasets_app.base_api import DatasetView, PageRequest, body, checked, finite, paged
from datasets_app.dataset_api import as_json as dataset_json
from datasets_app.limits import API_PREVIEW_ROWS, HUB_PREVIEW_ROWS, SPLIT_SEED
from datasets_app.models import Import, Source
from datasets_app.problems import DatasetProblem
from datasets_app.upload_views import as_json as import_json
from jobs.choices import JobStatus
from loracraft.inputs import valid


class ImportRequest(PageRequest):
    status = serializers.ChoiceField(JobStatus.choices, default="", allow_blank=True)


class ImportList(DatasetView):
    def get(self, request: Request) -> Response:
        """Newest first."""
        asked = valid(ImportRequest, request.query_params)
        rows = Import.objects.of_user(request.user).select_related("version")
        if asked["status"]:
            rows = rows.filter(status=asked["status"])
        return paged("imports", rows, asked, lambda page: map(import_json, page))


class Paste(DatasetView):
    def post(self, request: Request) -> Response:
        """`text` in any of the text formats, and perhaps `name`. 202 with the import."""
        team = access.current_team(request.user, Role.MEMBER)
        given = checked(forms.PasteForm(body(request, "text", "name")))
        upload = uploads.from_bytes(team, request.user, "pasted text", given["text"].encode(errors="replace"))
        job = imports.start_upload(upload, request.user, given["name"] or "Pasted text", Source.PASTE)
        return Response(import_json(job), status.HTTP_202_ACCEPTED)


# Generated


class Tasks(DatasetView):
    def get(self, request: Request) -> Response:
        """Every task with its parameters, the easy ones first."""
        catalogue = generation.catalogue()
        names = [*generation.CURATED, *(name for name in catalogue if name not in generation.CURATED)]
        found = [{"task": name, "label": generation.label(name), **catalogue[name]} for name in names]
        return Response({"tasks": found})


class Example(DatasetView):
    def post(self, request: Request) -> Response:
        access.current_team(request.user, Role.MEMBER)
        given = body(request, "task", "parameters", "seed", nested=("parameters",))
        form = forms.GenerateForm({"seed": SPLIT_SEED, **given, "size": 2})
        chosen = checked(form)
        found = generation.examples(chosen["task"], parameters_of(given), chosen["seed"])
        return Response({"examples": found})


class Generate(DatasetView):
    def post(self, request: Request) -> Response:
        """201 with the dataset; `wanted` is larger than `rows` where the task has no more questions."""
        team = access.current_team(request.user, Role.MEMBER)
        given = body(request, "task", "parameters", "seed", "size", "name", nested=("parameters",))
        chosen = checked(forms.GenerateForm({"seed": SPLIT_SEED, "size": 1000, **given}))
        version = importing.generate(
            team,
            request.user,
            chosen["task"],
            parameters_of(given),
            chosen["seed"],
            chosen["size"],
            chosen["name"] or None,
        )
        answer = {**dataset_json(version.dataset, version), "wanted": chosen["size"]}
        return Response(answer, status.HTTP_201_CREATED)


def parameters_of(given: dict[str, Any]) -> dict[str, Any]:
    parameters = given.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise DatasetProblem("Write the parameters as an object: {name: value}.", field="parameters")
    return parameters


# The hub


class PublicSets(DatasetView):
    def get(self, request: Request) -> Response:
        """`category`, `search`. `dataset`: the id of the newest one that the team made of it, if any."""
        team = access.home_team(request.user)
        asked = request.query_params
        made = hub.imported_repos(team)
        found = public_sets.matching(asked.get("category", ""), asked.get("search", ""))
        return Response({"public": [{**asdict(item), "dataset": made.get(item.repo)} for item in found]})


class HubRequest(serializers.Serializer[Any]):
    repo = serializers.CharField(max_length=300)
    config = serializers.CharField(default="", allow_blank=True, max_length=200)
    revision = serializers.CharField(default="", allow_blank=True, max_length=200)


class HubPreviewRequest(HubRequest):
    split = serializers.CharField(default="", allow_blank=True, max_length=200)
    rows = serializers.IntegerField(default=HUB_PREVIEW_ROWS, min_value=1, max_value=API_PREVIEW_ROWS)


class HubImportRequest(HubRequest):
    split = serializers.CharField(default="", allow_blank=True, max_length=500)
    rows = serializers.IntegerField(default=None, allow_null=True, min_value=1)
    name = serializers.CharField(default="", allow_blank=True, max_length=importing.NAME_LENGTH)


class HubDescribe(DatasetView):
    def get(self, request: Request) -> Response:
        team = access.current_team(request.user, Role.MEMBER)
        return Response(shown(hub.describe(team, **valid(HubRequest, request.query_params))))


def shown(described: dict[str, Any]) -> dict[str, Any]:
    """Without what only our own reading of the files needs."""
    splits = [{name: split[name] for name in ("name", "rows", "bytes")} for split in described["splits"]]
    kept = (
        "repo",
        "commit",
        "configs",
        "config",
        "columns",
        "licence",
        "private",
        "gated",
        "modified",
        "offline",
        "kept",
    )
    return {**{name: described.get(name) for name in kept}, "splits": splits, "page": hub.page_of(described["repo"])}


class HubPreview(DatasetView):
    def get(self, request: Request) -> Response:
        team = access.current_team(request.user, Role.MEMBER)
        return Response(finite(hub.preview(team, **valid(HubPreviewRequest, request.query_params))))


class HubImport(DatasetView):
    def post(self, request: Request) -> Response:
        """202 with the import, pinned to the commit that the revision means now."""
        team = access.current_team(request.user, Role.MEMBER)
        given = body(request, "repo", "config", "split", "revision", "rows", "name")
        job = hub.start(team, request.user, **valid(HubImportRequest, given))
        return Response(import_json(job), status.HTTP_202_ACCEPTED)


routes = [
    re_path(r"^datasets/imports/?$", ImportList.as_view(), name="api-imports"),
    re_path(r"^datasets/paste/?$", Paste.as_view(), name="api-paste"),
    re_path(r"^datasets/generate/?$", Generate.as_view(), name="api-generate"),
    re_path(r"^datasets/generate/tasks/?$", Tasks.as_view(), name="api-tasks"),
    re_path(r"^datasets/generate/example/?$", Example.as_view(), name="api-example"),
    re_path(r"^datasets/public/?$", PublicSets.as_view(), name="api-public"),
    re_path(r"^datasets/hub/?$", HubDescribe.as_view(), name="api-hub"),
    re_path(r"^datasets/hub/preview/?$", HubPreview.as_view(), name="api-hub-preview"),
    re_path(r"^datasets/hub/import/?$", HubImport.as_view(), name="api-hub-import"),
]
