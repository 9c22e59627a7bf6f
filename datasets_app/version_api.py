"""The versions of a dataset over REST: what they hold, their mapping and split, and how another one is made."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404
from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.models import Role
from datasets_app import filters, forms, importing, mapping, splits, versions
from datasets_app.base_api import ID, NUMBER, DatasetView, body, checked, confirmed, version_or_404
from datasets_app.models import Dataset, DatasetVersion
from datasets_app.upload_views import as_json as import_json
from loracraft.inputs import valid

MAPPING = ("instruction", "input", "response", "rule", "extra")
SEEDED, BY_COLUMN = ("held_out", "validation", "seed"), ("column", *splits.PARTS)
FILTERS = tuple(forms.FilterForm.base_fields)


def as_json(version: DatasetVersion) -> dict[str, Any]:
    return {
        "dataset": str(version.dataset_id),
        "number": version.number,
        "accepted": version.accepted,
        "rows": version.row_count,
        "rejected_count": version.rejected_count,
        "columns": version.columns,
        "mapping": version.mapping,
        "split": version.split,
        "origin": version.origin,
        "sha256": version.sha256,
        "created_at": version.created_at,
    }


def in_full(version: DatasetVersion) -> dict[str, Any]:
    return {
        **as_json(version),
        "report": version.report,
        "compatibility": mapping.compatibility(version),
        "unused_columns": mapping.unused(version),
        "sessions": [str(pk) for pk in version.sessions.values_list("pk", flat=True)],
    }


class VersionList(DatasetView):
    def get(self, request: Request, pk: UUID) -> Response:
        dataset = access.get_or_404(Dataset, request.user, pk)
        return Response({"versions": [as_json(version) for version in dataset.versions.defer("report")]})


class VersionDetail(DatasetView):
    def get(self, request: Request, pk: UUID, number: str) -> Response:
        return Response(in_full(version_or_404(request, pk, number)))

    def delete(self, request: Request, pk: UUID, number: str) -> Response:
        """As with a dataset; with its last version a dataset is deleted. It is named by its number."""
        if number == "latest":
            raise Http404("Say which version is to be deleted: it is not to be the newest by oversight.")
        version = version_or_404(request, pk, number, Role.MEMBER)
        importing.delete_version(version, confirmed=confirmed(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class Mapping(DatasetView):
    def patch(self, request: Request, pk: UUID, number: str) -> Response:
        """What is left out stays as it is; an empty rule means: detect one."""
        version = version_or_404(request, pk, number, Role.MEMBER)
        mapping.map_columns(version, **chosen_columns(version, request))
        return Response(in_full(version))


def chosen_columns(version: DatasetVersion, request: Request) -> dict[str, Any]:
    given = {**version.mapping, **body(request, *MAPPING, nested=("extra",))}
    extra = given.pop("extra", None) or {}
    if not isinstance(extra, dict) or not all(isinstance(path, str) for path in extra.values()):
        raise serializers.ValidationError({"extra": ["Write {name that a reward reads: column}."]})
    return {**checked(forms.MappingForm(version, given)), "extra": extra}


class AutoMapping(DatasetView):
    def post(self, request: Request, pk: UUID, number: str) -> Response:
        version = version_or_404(request, pk, number, Role.MEMBER)
        return Response({"changed": mapping.auto_map(version), **in_full(version)})


class Split(DatasetView):
    def patch(self, request: Request, pk: UUID, number: str) -> Response:
        """Either sizes with a seed, or a column whose values name the part of each row."""
        version = version_or_404(request, pk, number, Role.MEMBER)
        given = body(request, *SEEDED, *BY_COLUMN, nested=splits.PARTS)
        if "column" in given:
            column = str(given.pop("column") or "")
            splits.set_source_split(version, column, assigned(version, column, given))
        else:
            current = {name: version.split[name] for name in SEEDED if name in version.split}
            splits.set_split(version, **checked(forms.SplitForm({**current, **given})))
        return Response(in_full(version))


def assigned(version: DatasetVersion, column: str, given: dict[str, Any]) -> dict[str, str]:
    """{value: part}: as asked for, or as the values call themselves."""
    if not given:
        return splits.guessed([value for value, _ in splits.values(version, column)])
    parts = {part: given.get(part) or [] for part in splits.PARTS}
    wrong = [name for name in given if name not in parts or not isinstance(given[name], list)]
    if wrong:
        words = "Beside a column, give lists of its values for train, validation and test."
        raise serializers.ValidationError({name: [words] for name in wrong})
    return {str(value): part for part, values in parts.items() for value in values}


class Accept(DatasetView):
    def post(self, request: Request, pk: UUID, number: str) -> Response:
        """Keeps the good rows of an import with rejected lines. `decided`: by this call."""
        version = version_or_404(request, pk, number, Role.MEMBER)
        return Response({"decided": importing.accept(version), **as_json(version)})


class DryRequest(serializers.Serializer[Any]):
    dry_run = serializers.BooleanField(default=False)


class Filter(DatasetView):
    def post(self, request: Request, pk: UUID, number: str) -> Response:
        """202 with the import that makes the version; with `dry_run` only what it would leave out."""
        given = body(request, *FILTERS, "dry_run")
        dry = valid(DryRequest, given)["dry_run"]
        version = version_or_404(request, pk, number, Role.VIEWER if dry else Role.MEMBER)
        form = forms.FilterForm(given)
        checked(form)
        if dry:
            return Response(dry_json(versions.dry_run(version, form.filters)))
        job = versions.start_filter(version, request.user, form.filters)
        return Response(import_json(job), status.HTTP_202_ACCEPTED)


def dry_json(run: versions.DryRun) -> dict[str, Any]:
    dropped = [{"reason": name, "title": filters.TITLES[name], "rows": count} for name, count in run.dropped.items()]
    return {
        "looked_at": run.looked_at,
        "kept": run.kept,
        "dropped": dropped,
        "examples": [line._asdict() for line in run.examples],
    }


class Remap(DatasetView):
    def post(self, request: Request, pk: UUID, number: str) -> Response:
        """A new version with the same rows; what is left out of the mapping stays as it is."""
        version = version_or_404(request, pk, number, Role.MEMBER)
        made = versions.remap(version, request.user, **chosen_columns(version, request))
        return Response(in_full(made), status.HTTP_201_CREATED)


VERSION = rf"^datasets/{ID}/versions/{NUMBER}"
routes = [
    re_path(rf"^datasets/{ID}/versions/?$", VersionList.as_view(), name="api-versions"),
    re_path(rf"{VERSION}/?$", VersionDetail.as_view(), name="api-version"),
    re_path(rf"{VERSION}/mapping/?$", Mapping.as_view(), name="api-mapping"),
    re_path(rf"{VERSION}/mapping/auto/?$", AutoMapping.as_view(), name="api-auto-map"),
    re_path(rf"{VERSION}/split/?$", Split.as_view(), name="api-split"),
    re_path(rf"{VERSION}/accept/?$", Accept.as_view(), name="api-accept"),
    re_path(rf"{VERSION}/filter/?$", Filter.as_view(), name="api-filter"),
    re_path(rf"{VERSION}/remap/?$", Remap.as_view(), name="api-remap"),
]
