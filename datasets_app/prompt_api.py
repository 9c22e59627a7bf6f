"""Prompt templates over REST: the shipped ones, and those of the team."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.urls import re_path
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.models import Role
from datasets_app import prompt_templates, prompt_views
from datasets_app.base_api import ID, DatasetView, PageRequest, body, checked, paged
from datasets_app.models import PromptTemplate, TemplateType
from datasets_app.prompt_forms import PromptTemplateForm
from datasets_app.prompt_previews import Preview
from loracraft.inputs import valid

FIELDS = ("name", "template_type", "description", *prompt_templates.FIELDS)
# The base model that a chat template of one's own is tried with.
WRITTEN = (*FIELDS, "model")
PREVIEWED = (*FIELDS, *prompt_views.CHOICES)


def as_json(template: PromptTemplate) -> dict[str, Any]:
    return {
        "id": str(template.pk),
        **{name: getattr(template, name) for name in FIELDS},
        "rendered": template.rendered,
        "team": template.team.name if template.team else None,
        "shipped": template.team is None,
        "created_by": template.created_by.get_username() if template.created_by else None,
        "created_at": template.created_at,
    }


class ListRequest(PageRequest):
    search = serializers.CharField(default="", allow_blank=True, max_length=200)


class PromptList(DatasetView):
    def get(self, request: Request) -> Response:
        """The team's own first."""
        asked = valid(ListRequest, request.query_params)
        rows = prompt_views.found(request.user, asked["search"].strip())
        return paged("prompts", rows, asked, lambda page: map(as_json, page))

    def post(self, request: Request) -> Response:
        team = access.current_team(request.user, Role.MEMBER)
        template = PromptTemplate(team=team, created_by_id=request.user.pk, template_type=TemplateType.CUSTOM)
        return saved(request, template, status.HTTP_201_CREATED)


class PromptDetail(DatasetView):
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(as_json(prompt_views.template_or_404(request._request, pk)))

    def patch(self, request: Request, pk: UUID) -> Response:
        return saved(request, prompt_views.own_or_404(request._request, pk), status.HTTP_200_OK)

    def delete(self, request: Request, pk: UUID) -> Response:
        prompt_views.own_or_404(request._request, pk).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


def saved(request: Request, template: PromptTemplate, code: int) -> Response:
    """`advice`: what is allowed, and yet seldom meant."""
    given = body(request, *WRITTEN)
    values = {name: getattr(template, name) for name in FIELDS}
    form = PromptTemplateForm({**values, **given}, instance=template, model=str(given.get("model") or ""))
    checked(form)
    made = form.save()
    return Response({**as_json(made), "advice": [asdict(one) for one in prompt_templates.advice(made)]}, code)


class PromptCopy(DatasetView):
    def post(self, request: Request, pk: UUID) -> Response:
        copied = prompt_views.copied(request._request, pk)
        return Response(as_json(copied), status.HTTP_201_CREATED)


class PromptValidate(DatasetView):
    def post(self, request: Request) -> Response:
        """What is good, worth a thought or bad about the fields; nothing is saved."""
        return Response(findings(asked_preview(request)))


class PromptPreview(DatasetView):
    def post(self, request: Request) -> Response:
        """What the `model` is given for a `row` of a `dataset`, with its `tokens` where asked. Nothing is saved."""
        made = asked_preview(request)
        return Response(
            {
                **findings(made),
                "text": made.text,
                "approximate": made.approximate,
                "question": made.example.question,
                "reference": made.example.reference,
                "token_count": made.token_count,
                "tokens": [asdict(token) for token in made.tokens] if made.with_tokens else None,
                "samples": [asdict(sample) for sample in made.samples],
            }
        )


def asked_preview(request: Request) -> Preview:
    access.current_team(request.user)
    return prompt_views.preview_of(request._request, body(request, *PREVIEWED))


def findings(made: Preview) -> dict[str, Any]:
    bad = made.problem or any(finding.level == "bad" for finding in made.findings)
    return {"valid": not bad, "problem": made.problem, "findings": [asdict(finding) for finding in made.findings]}


routes = [
    re_path(r"^datasets/prompts/?$", PromptList.as_view(), name="api-prompts"),
    re_path(r"^datasets/prompts/validate/?$", PromptValidate.as_view(), name="api-prompt-validate"),
    re_path(r"^datasets/prompts/preview/?$", PromptPreview.as_view(), name="api-prompt-preview"),
    re_path(rf"^datasets/prompts/{ID}/?$", PromptDetail.as_view(), name="api-prompt"),
    re_path(rf"^datasets/prompts/{ID}/copy/?$", PromptCopy.as_view(), name="api-prompt-copy"),
]
