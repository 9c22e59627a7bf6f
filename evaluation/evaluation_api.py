"""Evaluation sets and evaluations over REST: the verbs of the pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.access import get_or_404
from accounts.models import Role
from evaluation import evaluation_json, evaluations, sets
from evaluation.batch_api import check_choice, whole
from evaluation.evaluation_forms import EvaluationForm, SetForm, initial
from evaluation.evaluation_json import answer_as_json, as_json, set_as_json, set_row_as_json
from evaluation.evaluation_page import SHOWS, Beside
from evaluation.evaluations import EvaluationProblem
from evaluation.models import EvaluatedAnswer, Evaluation, EvaluationSet
from evaluation.sets import SetProblem

MOST_LISTED, LISTED = 1000, 100
ROWS_AT_ONCE = 100


def sent(request: Request, form: type[forms.Form], renamed: dict[str, str]) -> dict[str, Any]:
    """The fields that were sent, under the form's names. Raises for those that are none: a typing error shall not pass
    for a default."""
    if not hasattr(request.data, "items"):
        raise serializers.ValidationError({"set": ["Send an object."]})
    fields = {name: renamed.get(name, name) for name in form.base_fields}
    known = {shown: name for name, shown in fields.items()}
    data = dict(request.data.items())
    if unknown := sorted(set(data) - set(known)):
        raise serializers.ValidationError({name: ["There is no such field."] for name in unknown})
    return {known[name]: value for name, value in data.items()}


def refused(form: forms.Form, renamed: dict[str, str]) -> serializers.ValidationError:
    return serializers.ValidationError({renamed.get(name, name): list(map(str, e)) for name, e in form.errors.items()})


def page(request: Request, most: int, usual: int) -> slice:
    limit, offset = whole(request, "limit", usual, 1, most), whole(request, "offset", 0, 0, 10**9)
    return slice(offset, offset + limit)


def conflict(problem: Exception) -> Response:
    return Response({"error": str(problem), "fields": {}}, status.HTTP_409_CONFLICT)


# Sets

SET_NAMES: dict[str, str] = {"version": "version_id"}


class SetList(APIView):
    def get(self, request: Request) -> Response:
        """Newest first."""
        found = sets.visible_to(request.user)
        rows = found[page(request, MOST_LISTED, LISTED)]
        return Response({"total": found.count(), "sets": [set_as_json(row) for row in rows]})

    def post(self, request: Request) -> Response:
        """201 with the set."""
        first = {"part": sets.HELD_OUT, "seed": 0}
        form = SetForm(request.user, {**first, **sent(request, SetForm, SET_NAMES)})
        if not form.is_valid():
            raise refused(form, SET_NAMES)
        try:
            made = sets.create(request.user, form.cleaned_data["version"], form.wanted)
        except SetProblem as problem:
            name = problem.field or "version"
            raise serializers.ValidationError({SET_NAMES.get(name, name): [problem.message]}) from None
        return Response(set_as_json(made), status.HTTP_201_CREATED)


class OneSet(APIView):
    def get(self, request: Request, pk: UUID) -> Response:
        """With a page of its rows."""
        found = get_or_404(EvaluationSet, request.user, pk)
        rows = sets.rows_with(found, request.query_params.get("q", ""))
        shown = [set_row_as_json(row) for row in rows[page(request, ROWS_AT_ONCE, ROWS_AT_ONCE)]]
        return Response({**set_as_json(found), "found": rows.count(), "shown": shown})

    def delete(self, request: Request, pk: UUID) -> Response:
        """409 while an evaluation on it runs."""
        try:
            sets.delete(get_or_404(EvaluationSet, request.user, pk, Role.MEMBER))
        except SetProblem as problem:
            return conflict(problem)
        return Response(status=status.HTTP_204_NO_CONTENT)


# Evaluations

NAMES = {"evaluation_set": "set"}


class EvaluationList(APIView):
    def get(self, request: Request) -> Response:
        """Newest first."""
        found = evaluations.visible_to(request.user).select_related("evaluation_set").prefetch_related("models")
        rows = found[page(request, MOST_LISTED, LISTED)]
        return Response({"total": found.count(), "evaluations": [as_json(row) for row in rows]})

    def post(self, request: Request) -> Response:
        """202 with the evaluation."""
        form = EvaluationForm(request.user, {**initial(), **sent(request, EvaluationForm, NAMES)})
        if not form.is_valid():
            raise refused(form, NAMES)
        try:
            made = evaluations.create(request.user, form.cleaned_data["evaluation_set"], form.wanted)
        except EvaluationProblem as problem:
            raise serializers.ValidationError({problem.field or "models": [problem.message]}) from None
        return Response(as_json(made), status.HTTP_202_ACCEPTED)


class OneEvaluation(APIView):
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(as_json(get_or_404(Evaluation, request.user, pk)))

    def delete(self, request: Request, pk: UUID) -> Response:
        """409 while it runs."""
        try:
            evaluations.delete(get_or_404(Evaluation, request.user, pk, Role.MEMBER))
        except EvaluationProblem as problem:
            return conflict(problem)
        return Response(status=status.HTTP_204_NO_CONTENT)


@api_view(["POST"])
def cancel(request: Request, pk: UUID) -> Response:
    found = get_or_404(Evaluation, request.user, pk, Role.MEMBER)
    if not evaluations.cancel(found):
        return conflict(EvaluationProblem("It has ended already."))
    found.refresh_from_db()
    return Response(as_json(found))


@api_view(["POST"])
def go_on(request: Request, pk: UUID) -> Response:
    found = get_or_404(Evaluation, request.user, pk, Role.MEMBER)
    try:
        evaluations.go_on(found)
    except EvaluationProblem as problem:
        return conflict(problem)
    found.refresh_from_db()
    return Response(as_json(found), status.HTTP_202_ACCEPTED)


@api_view(["GET"])
def rows(request: Request, pk: UUID) -> Response:
    """Rows of the set with the answers of all models; `show` looks at the greedy ones of `first` and `second`."""
    found = get_or_404(Evaluation, request.user, pk)
    check_choice(request, "show", [name for name in SHOWS if name])
    asked = {"show": "all", **request.query_params.dict()}
    wanted = Beside.of(found, asked).rows
    shown = list(wanted[page(request, ROWS_AT_ONCE, ROWS_AT_ONCE)])
    answers: dict[int, list[dict[str, Any]]] = {row.pk: [] for row in shown}
    listed = EvaluatedAnswer.objects.filter(model__evaluation=found, row__in=shown).select_related("model")
    for answer in listed.order_by("model__number", "sample"):
        answers[answer.row_id].append(answer_as_json(answer))
    lines = [{**set_row_as_json(row), "answers": answers[row.pk]} for row in shown]
    return Response({"total": wanted.count(), "rows": lines})


@api_view(["GET"])
def export(request: Request, pk: UUID, form: str) -> HttpResponseBase:
    found = get_or_404(Evaluation, request.user, pk)
    if form == "csv":
        return StreamingHttpResponse(evaluation_json.csv_lines(found), content_type="text/csv; charset=utf-8")
    return StreamingHttpResponse(evaluation_json.json_text(as_json(found), found), content_type="application/json")


ID = r"(?P<pk>[0-9a-fA-F-]{36})"
routes = [
    re_path(r"^evaluation-sets/?$", SetList.as_view(), name="api-evaluation-sets"),
    re_path(rf"^evaluation-sets/{ID}/?$", OneSet.as_view(), name="api-evaluation-set"),
    re_path(r"^evaluations/?$", EvaluationList.as_view(), name="api-evaluations"),
    re_path(rf"^evaluations/{ID}/?$", OneEvaluation.as_view(), name="api-evaluation"),
    re_path(rf"^evaluations/{ID}/cancel/?$", cancel, name="api-evaluation-cancel"),
    re_path(rf"^evaluations/{ID}/go-on/?$", go_on, name="api-evaluation-go-on"),
    re_path(rf"^evaluations/{ID}/rows/?$", rows, name="api-evaluation-rows"),
    re_path(rf"^evaluations/{ID}/export/(?P<form>csv|json)/?$", export, name="api-evaluation-export"),
]
