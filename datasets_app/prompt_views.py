"""Prompt templates: the shipped ones, and those of the team."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import F, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from accounts.access import current_team, get_or_404, may
from accounts.models import AnyUser, Role, TeamQuerySet
from datasets_app import chat_rendering, prompt_previews, prompt_templates, rows
from datasets_app.models import Dataset, DatasetVersion, PromptTemplate, TemplateType
from datasets_app.previews import templates_for
from datasets_app.prompt_forms import PromptTemplateForm, TypedPrompt
from datasets_app.prompt_templates import FIELDS

PAGE_TEMPLATES = 50
DATASETS_OFFERED = 100
# Where the preview asks again, and with which form.
PREVIEW = {"preview_url": reverse_lazy("datasets:prompt-preview"), "preview_form": "#prompt-form"}


@require_GET
def list_prompts(request: HttpRequest) -> HttpResponse:
    search = request.GET.get("q", "").strip()
    page = Paginator(found(request.user, search), PAGE_TEMPLATES).get_page(request.GET.get("page"))
    partial = "prompts/_list.html" if request.htmx else "prompts/list.html"  # type: ignore[attr-defined]
    return render(request, partial, {"page": page, "search": search})


def found(user: AnyUser, search: str) -> TeamQuerySet:
    """The team's own first, since nobody looks for the shipped ones."""
    rows = templates_for(user).select_related("team", "created_by")
    if search:
        texts = (Q(**{f"{field}__icontains": search}) for field in ("name", "description", "system_prompt"))
        rows = rows.filter(next(texts) | next(texts) | next(texts))
    return rows.order_by(F("team").asc(nulls_last=True), "name", "pk")


def template_or_404(request: HttpRequest, pk: UUID) -> PromptTemplate:
    """A shipped one, or one of the user's teams."""
    found: PromptTemplate | None = (
        templates_for(request.user).select_related("team", "created_by").filter(pk=pk).first()
    )
    if found is None:
        raise Http404("No such prompt template.")
    return found


def own_or_404(request: HttpRequest, pk: UUID) -> PromptTemplate:
    """One that the user may change."""
    if template_or_404(request, pk).team_id is None:
        raise PermissionDenied("Shipped templates can't be changed: copy this one, and change the copy.")
    return get_or_404(PromptTemplate, request.user, pk, Role.MEMBER)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    team = current_team(request.user, Role.MEMBER)
    template = PromptTemplate(team=team, created_by=request.user, template_type=TemplateType.GRPO)  # type: ignore[misc]
    for field, value in prompt_templates.of_type(TemplateType.GRPO).items():
        setattr(template, field, value)
    return edited(request, template)


@require_http_methods(["GET", "HEAD", "POST"])
def prompt(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Its fields, to be changed by who may."""
    if request.method == "POST":
        return edited(request, own_or_404(request, pk))
    template = template_or_404(request, pk)
    if template.team is None or not may(request.user, template.team, Role.MEMBER):
        return render(request, "prompts/detail.html", page(request, template, values_of(template)))
    return edited(request, template)


def edited(request: HttpRequest, template: PromptTemplate) -> HttpResponse:
    posted = request.POST if request.method == "POST" else None
    if posted is not None and ("fill" in posted or "undo" in posted):
        return filled(request, template)
    form = PromptTemplateForm(posted, instance=template, model=posted.get("model", "") if posted else "")
    if posted is not None and form.is_valid():
        form.save()
        warned(request, template)
        kept = {name: posted[name] for name in ("model", "dataset", "row") if posted.get(name)}
        return redirect(f"{reverse('datasets:prompt', args=[template.pk])}?{urlencode(kept)}")
    # A QueryDict unpacked with ** gives lists.
    values = posted.dict() if posted is not None else values_of(template)
    context = {**page(request, template, values), "form": form}
    return render(request, "prompts/edit.html", context, status=400 if form.errors else 200)


def warned(request: HttpRequest, template: PromptTemplate) -> None:
    found = prompt_templates.advice(template)
    if found:
        messages.warning(request, f"Saved. {found[0].text}")
    else:
        messages.success(request, "Saved. Sessions that were started keep the prompt they have.")


def values_of(template: PromptTemplate) -> dict[str, str]:
    return {field: getattr(template, field) for field in FIELDS}


def filled(request: HttpRequest, template: PromptTemplate) -> HttpResponse:
    """The fields as the chosen type has them, or as they were before. Nothing is saved."""
    values = {name: request.POST.get(name, "") for name in ("name", "description", "template_type", *FIELDS)}
    before = ""
    if "undo" in request.POST:
        values |= earlier(request.POST.get("before", ""))
    elif fields := prompt_templates.of_type(values["template_type"]):
        before = json.dumps({name: values[name] for name in FIELDS} | {"template_type": template_before(request)})
        values |= fields
    form = PromptTemplateForm(initial=values, instance=template)
    context = {**page(request, template, values), "form": form, "before": before}
    partial = "prompts/_fields.html" if request.htmx else "prompts/edit.html"  # type: ignore[attr-defined]
    response = render(request, partial, context)
    return trigger_client_event(response, "filled", after="settle")


def template_before(request: HttpRequest) -> str:
    before = request.POST.get("type_before", "")
    return before if before in TemplateType.values else TemplateType.CUSTOM


def earlier(text: str) -> dict[str, str]:
    try:
        kept = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(kept, dict):
        return {}
    return {name: str(kept[name]) for name in (*FIELDS, "template_type") if name in kept}


@require_POST
def copy(request: HttpRequest, pk: UUID) -> HttpResponse:
    made = copied(request, pk)
    messages.success(request, f"Copied to {made.team}. Change the copy as you like.")
    return redirect("datasets:prompt", made.pk)


def copied(request: HttpRequest, pk: UUID) -> PromptTemplate:
    """To the template's own team, where the user may; else to his own."""
    template = template_or_404(request, pk)
    team = template.team if template.team and may(request.user, template.team, Role.MEMBER) else None
    return prompt_templates.copy(template, team or current_team(request.user, Role.MEMBER), request.user)


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    template = own_or_404(request, pk)
    if request.method != "POST":
        return render(request, "prompts/delete.html", {"template": template})
    template.delete()
    messages.success(request, f"“{template.name}” is deleted.")
    return redirect("datasets:prompts")


# The preview


@require_POST
def preview(request: HttpRequest) -> HttpResponse:
    """The fields as they stand in the page, for htmx. Nothing is saved."""
    current_team(request.user)
    return render(request, "prompts/_preview.html", {**PREVIEW, "preview": preview_of(request, request.POST)})


def page(request: HttpRequest, template: PromptTemplate, values: Mapping[str, Any]) -> dict[str, Any]:
    chosen = request.POST if request.method == "POST" else request.GET
    return {
        **PREVIEW,
        "template": template,
        "preview": preview_of(request, {**values, **{name: chosen.get(name, "") for name in CHOICES}}),
        "values": {field: values.get(field, "") for field in FIELDS},
        "types": TemplateType.choices,
        "models": chat_rendering.offered_models(),
        "datasets": datasets_of(request),
        "chosen": chosen,
    }


# What the preview is made with, beside the template's own fields.
CHOICES = ("model", "dataset", "row", "tokens", "own_answer")


def preview_of(request: HttpRequest, values: Mapping[str, Any]) -> prompt_previews.Preview:
    chat = chat_rendering.chat_for(model_of(values.get("model")))
    version = version_of(request, values.get("dataset"))
    example = prompt_previews.example_of(version, section_of(version), place_of(values.get("row")))
    return prompt_previews.Preview(TypedPrompt(values).prompt(), chat, example, values)


def model_of(name: Any) -> str:
    """One of those that are offered: no other folder of this machine is looked into."""
    offered = [each for each, _ in chat_rendering.offered_models()]
    return str(name) if name in offered else next(iter(offered), "")


def place_of(text: Any) -> int:
    text = str(text or "")
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def datasets_of(request: HttpRequest) -> list[Dataset]:
    return list(Dataset.objects.of_user(request.user)[:DATASETS_OFFERED])


def version_of(request: HttpRequest, pk: Any) -> DatasetVersion | None:
    """The newest version of the chosen dataset, or of the newest dataset if none is."""
    if pk == "none":
        return None
    dataset: Dataset | None = (
        get_or_404(Dataset, request.user, str(pk)) if pk else next(iter(datasets_of(request)), None)
    )
    version = dataset.latest if dataset else None
    return version if version and version.accepted else None


def section_of(version: DatasetVersion | None) -> rows.Fields | None:
    mapping = version.mapping if version else {}
    question, answer = mapping.get("instruction"), mapping.get("response")
    return rows.Fields(question, answer) if question and answer else None
