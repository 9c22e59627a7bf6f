"""The Preview tab: paging and searching over all rows, and one row as a whole."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from datasets_app import cells, membership, searching, tables
from datasets_app.limits import PREVIEW_ROWS
from datasets_app.models import DatasetVersion
from datasets_app.page_views import frame, opened, version_query
from datasets_app.searching import Query

# A page of a table wider than this is slow and unreadable. The view of one row has all of them.
COLUMNS_SHOWN = 24
PARTS = {"train": "Training", "validation": "Validation", "test": "Test (held out)"}
HIT_PAGE = PREVIEW_ROWS


def context(request: HttpRequest, version: DatasetVersion) -> dict[str, Any]:
    number = row_number(request.GET.get("row", ""), version)
    found = {**rows_context(request, version, number), **search_form(version)}
    return {**found, "row": row_context(request, version, number)} if number else found


@require_GET
@never_cache
def rows(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The table of rows alone, for htmx; with `from`, the further hits of a search that goes on."""
    version = opened(request, pk)
    goes_on = "from" in request.GET
    found = {"dataset": version.dataset, "version": version, **rows_context(request, version)}
    found["of_version"] = version_query(version)
    response = render(request, "datasets/_hits.html" if goes_on else "datasets/_rows.html", found)
    if not goes_on:
        response["HX-Push-Url"] = page_address(request, version)
    return response


@require_GET
@never_cache
def row(request: HttpRequest, pk: UUID, number: int) -> HttpResponse:
    """One row with every cell whole, for htmx."""
    version = opened(request, pk)
    if not 1 <= number <= version.row_count:
        raise Http404("This version has no such row.")
    found = {**frame(request, version, "preview"), "row": row_context(request, version, number)}
    response = render(request, "datasets/_row.html", found)
    response["HX-Replace-Url"] = page_address(request, version, row=number)
    return response


def page_address(request: HttpRequest, version: DatasetVersion, **changes: Any) -> str:
    query = request.GET.copy()
    for name, value in changes.items():
        query[name] = value
    address = reverse("datasets:detail", args=[version.dataset_id])
    return f"{address}?{query.urlencode()}" if query else address


def rows_context(request: HttpRequest, version: DatasetVersion, row: int | None = None) -> dict[str, Any]:
    query, marks = asked(request, version)
    shown = version.columns[:COLUMNS_SHOWN]
    found = {
        "query": query,
        "q": query.text,
        "chosen_part": request.GET.get("part", "") if query.part else "",
        "columns": shown,
        "more_columns": len(version.columns) - len(shown),
        "opened_row": row,
        "roles": roles(version),
    }
    return {**found, **(hits(request, version, query, marks) if query else pages(request, version, row))}


def asked(request: HttpRequest, version: DatasetVersion) -> tuple[Query, Any]:
    """The search that the address asks for, as far as this version can answer it, and its file of parts."""
    names = {column["name"] for column in version.columns}
    column, empty = request.GET.get("in", ""), request.GET.get("empty", "")
    part = membership.CODES.get(request.GET.get("part", ""), 0)
    marks = membership.at_hand(version) if part else None
    query = Query(
        text=request.GET.get("q", "").replace("\x00", "")[:200].strip(),
        column=column if column in names else "",
        part=part if marks else 0,
        empty=empty if empty in names else "",
    )
    return query, marks


def hits(request: HttpRequest, version: DatasetVersion, query: Query, marks: Any) -> dict[str, Any]:
    start = (row_number(request.GET.get("from", ""), version) or 1) - 1
    found = searching.search(version.path, query, marks=marks, start=start, limit=HIT_PAGE)
    seen = request.GET.get("seen", "")
    return {
        "found": found,
        # Hits so far, when the search goes on from where an earlier request ended.
        "seen": (int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 10 else 0) + len(found.rows),
        "table": [(number, lines(version, row, query.text)) for number, row in found.rows],
        "following": None if found.following is None else found.following + 1,
    }


def pages(request: HttpRequest, version: DatasetVersion, row: int | None) -> dict[str, Any]:
    asked_page = (row - 1) // PREVIEW_ROWS + 1 if row else request.GET.get("page")
    page = Paginator(range(version.row_count), PREVIEW_ROWS).get_page(asked_page)
    offset = max(page.start_index() - 1, 0)
    found = tables.page(version.path, offset, PREVIEW_ROWS)
    return {"page": page, "table": [(number, lines(version, row)) for number, row in enumerate(found, offset)]}


def lines(version: DatasetVersion, row: dict[str, Any], needle: str = "") -> list[cells.Short]:
    return [cells.short(row[column["name"]], needle) for column in version.columns[:COLUMNS_SHOWN]]


def search_form(version: DatasetVersion) -> dict[str, Any]:
    counts = version.report.get("parts") or {}
    sizes = {"train": "train", "validation": "validation", "test": "held_out"}
    return {
        "parts_at_hand": membership.at_hand(version) is not None,
        "part_choices": [(name, title, counts.get(sizes[name], 0)) for name, title in PARTS.items()],
    }


def row_number(text: str, version: DatasetVersion) -> int | None:
    """A row's number as people count, kept within the version; None if `text` is none."""
    if not (text.isascii() and text.isdigit()) or not version.row_count:
        return None
    return min(max(int(text[:12]), 1), version.row_count)


def row_context(request: HttpRequest, version: DatasetVersion, number: int) -> dict[str, Any]:
    found = tables.page(version.path, number - 1, 1)
    named, needle = roles(version), request.GET.get("q", "").strip()[:200]
    return {
        "number": number,
        "previous": number - 1 if number > 1 else None,
        "following": number + 1 if number < version.row_count else None,
        "cells": [
            cells.whole(c["name"], c["type"], found[0][c["name"]], needle, named.get(c["name"]))
            for c in version.columns
        ]
        if found
        else [],
    }


def roles(version: DatasetVersion) -> dict[str, list[str]]:
    """{column: what the mapping uses it for}."""
    from datasets_app import paths

    found: dict[str, list[str]] = {}
    for role, title in (("instruction", "question"), ("input", "input"), ("response", "answer")):
        place = paths.resolve(version.columns, version.mapping.get(role) or "")
        if place:
            found.setdefault(place.column, []).append(title)
    return found
