"""The Mapping tab: columns with their preview, and the split."""

from __future__ import annotations

from copy import copy
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Role
from datasets_app import chat_rendering, forms, mapping, page_views, previews, rows, splits, versions
from datasets_app.models import DatasetVersion
from datasets_app.page_views import blamed, detail_url, first_error, opened, tab_url
from datasets_app.problems import DatasetProblem
from datasets_app.rules import RULES

TAB = "mapping"
Sample = list[dict[str, Any]]


def context(
    request: HttpRequest,
    version: DatasetVersion,
    *,
    mapping_form: forms.MappingForm | None = None,
    split_form: forms.SplitForm | None = None,
    source_form: forms.SourceSplitForm | None = None,
) -> dict[str, Any]:
    """What the tab shows. A form that was wrong comes back as it was typed."""
    sample = mapping.sample_of(version)
    offered = previews.choices(version, sample)
    form = mapping_form or forms.MappingForm(version, initial=version.mapping or guessed(version), offered=offered)
    form.offered = offered
    return {
        "mapping_form": form,
        "detected": version.report.get("detected", {}),
        "parts": version.report.get("parts"),
        "compatibility": mapping.compatibility(version),
        "unused": mapping.unused(version),
        "models": chat_rendering.offered_models(),
        **preview_context(request, version, typed(form), sample),
        **split_context(version, split_form, source_form),
    }


def guessed(version: DatasetVersion) -> dict[str, str]:
    """The columns that could be told, chosen in the form where others are still missing."""
    found = version.report.get("detected", {})
    return {role: guess["column"] for role, guess in found.items() if guess.get("column")}


def typed(form: forms.MappingForm) -> dict[str, Any]:
    """The mapping as the form shows it, right or wrong."""
    values = {name: form[name].value() or "" for name in ("instruction", "input", "response", "rule")}
    return {**values, "extra": {name: path for name, path in form.extra_lines() if name and path}}


def split_context(
    version: DatasetVersion, split_form: forms.SplitForm | None, source_form: forms.SourceSplitForm | None
) -> dict[str, Any]:
    split = version.split
    by_column = bool(split.get("column"))
    column = (source_form and str(source_form["column"].value() or "")) or split.get("column") or ""
    candidate = splits.candidate(version)
    initial = {"seed": split.get("seed"), **({} if by_column else split)}
    most = ((version.report.get("parts") or {}).get("questions") or 0) // 2
    return {
        "split_form": split_form or forms.SplitForm(initial=initial),
        "source_form": source_form or forms.SourceSplitForm(initial={"column": column or candidate}),
        "by_column": by_column,
        "split_candidate": "" if by_column else candidate,
        "most_held_out": most,
        **values_context(version, column or candidate, source_form.assigned() if source_form else {}),
    }


def values_context(version: DatasetVersion, column: str, assigned: dict[str, str]) -> dict[str, Any]:
    """The values of a split's column, each with its part: as typed, as stored, else as its name says."""
    if not column:
        return {"split_values": [], "split_column": ""}
    try:
        found = splits.values(version, column)
    except DatasetProblem as problem:
        return {"split_values": [], "split_column": column, "values_problem": problem.message}
    stored = splits.by_source(version) if column == version.split.get("column") else None
    parts = assigned or (splits.guessed([value for value, _ in found]) if stored is None else stored)
    return {
        "split_values": [(value, count, parts.get(value, "")) for value, count in found],
        "split_column": column,
    }


def preview_context(
    request: HttpRequest, version: DatasetVersion, chosen: dict[str, Any], sample: Sample
) -> dict[str, Any]:
    """What the model would be asked and the reward would compare with, under the mapping `chosen`."""
    templates = list(previews.templates_for(request.user))
    template = next((t for t in templates if str(t.pk) == request.GET.get("template")), default_template(templates))
    found: dict[str, Any] = {"templates": templates, "template": template, "model": request.GET.get("model", "")}
    if not (chosen["instruction"] and chosen["response"]):
        return found
    try:
        return found | preview_of(version, chosen, sample)
    except DatasetProblem as problem:
        return found | {"problem": problem.message}


def preview_of(version: DatasetVersion, chosen: dict[str, Any], sample: Sample) -> dict[str, Any]:
    guess = mapping.rule_guess(version, chosen["response"], sample)
    rule = chosen["rule"] if chosen["rule"] in RULES else guess.name
    shown = under(version, {**chosen, "rule": rule})
    section = mapping.section_of(shown)
    shares = rule_shares(shown, section, sample)
    return {
        "mapped": previews.mapped(shown, section, sample=sample),
        "rule": RULES[rule],
        "rule_share": shares[rule],
        "rule_detected": RULES[guess.name] if guess.name != rule else None,
        "fitting": previews.fitting(shown, section, sample),
        "sample_rows": len(sample),
        "one_message": "[role=" in chosen["instruction"] or "[from=" in chosen["instruction"],
    }


def under(version: DatasetVersion, chosen: dict[str, Any]) -> DatasetVersion:
    """The version as it would be with another mapping; never saved."""
    shown = copy(version)
    shown.mapping = chosen
    return shown


def rule_shares(version: DatasetVersion, section: rows.Fields, sample: Sample) -> dict[str, float]:
    from datasets_app.columns import rule_share

    how = rows.reading(version, section)
    cells = [how.answer(row) for row in sample]
    return {name: rule_share(name, cells) for name in RULES}


def default_template(templates: list[Any]) -> Any:
    return next((t for t in templates if t.team_id is None and t.name == "GRPO default"), None)


@require_GET
def preview(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = opened(request, pk)
    form = forms.MappingForm(version, request.GET)
    if not form.is_valid() and (form["instruction"].value() and form["response"].value()):
        return render(request, "datasets/_preview.html", {"problem": first_error(form)})
    found = preview_context(request, version, typed(form), mapping.sample_of(version))
    return render(request, "datasets/_preview.html", {"dataset": version.dataset, "version": version, **found})


@require_GET
def tokens(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The first row's prompt as the chosen model's tokenizer splits it, for htmx."""
    version = opened(request, pk)
    form = forms.MappingForm(version, request.GET)
    if not form.is_valid():
        return render(request, "datasets/_tokens.html", {"problem": first_error(form)})
    found = preview_context(request, version, typed(form), mapping.sample_of(version))
    models = chat_rendering.offered_models()
    model = request.GET.get("model") or model_at_hand(models)
    return render(request, "datasets/_tokens.html", {"model": model, **tokens_context(found, model)})


def model_at_hand(models: list[tuple[str, str]]) -> str:
    """The first model whose tokenizer is on this machine, since only that one's tokens can be shown."""
    here = (name for name, _ in models if chat_rendering.has_tokenizer(chat_rendering.chat_for(name)))
    return next(here, models[0][0] if models else "")


def tokens_context(found: dict[str, Any], model: str) -> dict[str, Any]:
    if "mapped" not in found or not found["mapped"]:
        return {"problem": found.get("problem", "No row can be shown with these columns.")}
    template, question = found["template"], found["mapped"][0].row.instruction
    chat = chat_rendering.chat_for(model, template.chat_template if template else "")
    has_tokens = chat_rendering.has_tokenizer(chat)
    try:
        seen = chat_rendering.look(chat, template.rendered if template else "", question, with_tokens=has_tokens)
    except DatasetProblem as problem:
        return {"problem": problem.message}
    return {"look": seen, "approximate": chat.approximate, "count": len(seen.tokens or [])}


@require_GET
def extra_line(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One more line for a column that a reward needs, for htmx."""
    version = opened(request, pk)
    return render(request, "datasets/_extra.html", {"choices": previews.choices(version), "name": "", "path": ""})


@require_POST
def save(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = opened(request, pk, Role.MEMBER)
    form = forms.MappingForm(version, request.POST)
    if form.is_valid():
        with blamed(form):
            mapping.map_columns(version, **form.cleaned_data)
            return done(request, version, "Columns saved.")
    return refused(request, pk, mapping_form=form)


@require_POST
def save_as_version(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = opened(request, pk, Role.MEMBER)
    form = forms.MappingForm(version, request.POST)
    if form.is_valid():
        with blamed(form):
            made = versions.remap(version, request.user, **form.cleaned_data)
            messages.success(request, f"Made version {made.number} with these columns. New sessions train on it.")
            return redirect(detail_url(version.dataset, TAB))
    return refused(request, pk, mapping_form=form)


@require_POST
def auto_map(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = opened(request, pk, Role.MEMBER)
    try:
        changed = mapping.auto_map(version)
    except DatasetProblem as problem:
        messages.error(request, problem.message)
        return redirect(tab_url(version, TAB))
    said = f"Auto-map changed {'; '.join(changed)}." if changed else "Auto-map found the columns as they are mapped."
    return done(request, version, said)


@require_GET
def split_values(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The values of a column, each to be given a part, for htmx."""
    version = opened(request, pk)
    found = values_context(version, request.GET.get("column", ""), {})
    return render(request, "datasets/_split_values.html", {**found, "may_split": True})


@require_POST
def split(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = opened(request, pk, Role.MEMBER)
    form = forms.SplitForm(request.POST)
    if form.is_valid():
        with blamed(form):
            splits.set_split(version, **form.cleaned_data)
            return done(request, version, "Split saved.")
    return refused(request, pk, split_form=form)


@require_POST
def source_split(request: HttpRequest, pk: UUID) -> HttpResponse:
    version = opened(request, pk, Role.MEMBER)
    form = forms.SourceSplitForm(request.POST)
    if form.is_valid():
        with blamed(form):
            splits.set_source_split(version, form.cleaned_data["column"], form.assigned())
            return done(request, version, "Split saved.")
    return refused(request, pk, source_form=form)


def done(request: HttpRequest, version: DatasetVersion, words: str) -> HttpResponse:
    messages.success(request, words)
    return redirect(tab_url(version, TAB))


def refused(request: HttpRequest, pk: UUID, **forms_: Any) -> HttpResponse:
    """The page as it is stored, with the form that was wrong as it was typed."""
    version = opened(request, pk, Role.MEMBER)
    return page_views.show(request, version, TAB, context(request, version, **forms_), status=400)
