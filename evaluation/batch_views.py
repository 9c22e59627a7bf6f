"""Pages of batches: the list, a new one, one of them, one of its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import current_team, get_or_404, may
from accounts.models import Role
from evaluation import answer_sets, batch_export, batch_rows, batches, prompt_files
from evaluation.batch_api import as_json
from evaluation.batch_forms import LONGEST_PASTE, BatchForm, checkpoint_choices, initial
from evaluation.batch_rows import FILTERS, Shown
from evaluation.batches import BatchProblem
from evaluation.forms import defaults
from evaluation.models import Batch, PromptFile
from evaluation.prompt_files import FileProblem, Parsed
from loracraft.numbers import thousands
from rewards.bench_sources import NotAsked
from training import forecast
from training.choices import RUNNING
from training.models import Session
from training.session_views import csv_response, download

PAGE_ROWS = 50
LISTED = 30
EXAMPLES = 5
FAULTS_SHOWN = 20
LIMITS = [
    ("Formats", prompt_files.ACCEPTED),
    ("Rows", f"{thousands(prompt_files.MOST_ROWS)} at most"),
    ("Size", "16 MB at most"),
    ("A prompt", f"{thousands(prompt_files.LONGEST_PROMPT)} characters at most"),
]


@require_safe
@never_cache
def index(request: HttpRequest) -> HttpResponse:
    found = Batch.objects.of_user(request.user).select_related("session", "created_by")
    page = Paginator(found, LISTED).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "pages": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
        "lines": [Line(batch) for batch in page.object_list],
        "may_create": batches.may_create(request.user),
    }
    return render(request, "evaluation/batches.html", context)


class Line:
    """A batch in the list."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.model = batches.title_of_model(batch)
        self.summary = batch_rows.summary(batch)

    @property
    def share(self) -> batch_rows.Share | None:
        return self.summary.judged or self.summary.exact


# A new one


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """POST: the batch. What is wrong is said at its field, and a file that was sent need not be sent again."""
    current_team(request.user, Role.MEMBER)
    if request.method != "POST":
        form = BatchForm(request.user, initial=first_values(request))
        return render(request, "evaluation/batch_new.html", page(request, form, Brought()))
    brought, form = brought_by(request), BatchForm(request.user, request.POST)
    valid = form.is_valid()
    if brought.parsed is None:
        brought.problem = brought.problem or "Choose a file, or paste prompts."
    elif valid:
        try:
            # Without scripts a file arrives together with all the rest: its columns were never shown.
            unseen = "prompt_column" not in request.POST
            wanted = batches.with_guesses(brought.parsed, form.wanted, reference=unseen)
            batch = batches.create(request.user, brought.parsed, brought.name, wanted)
        except BatchProblem as problem:
            form.add_error(problem.field or None, problem.message)
        else:
            brought.forget()
            return redirect("evaluation:batch", pk=batch.pk)
    return render(request, "evaluation/batch_new.html", page(request, form, brought))


def first_values(request: HttpRequest) -> dict[str, Any]:
    """For a session that a link named, what it was trained with."""
    values = initial()
    named = request.GET.get("session", "")
    if named:
        session = get_or_404(Session, request.user, named)
        values |= {"model": f"{answer_sets.SESSION}{session.pk}"}
        if session.config:
            values["max_new_tokens"] = defaults(session)["max_new_tokens"]
    return values


class Brought:
    """The prompts that a form came with: a file that is kept here, or what is wrong with the one that was sent."""

    def __init__(self, file: PromptFile | None = None, problem: str = "", text: str = "", lines: bool = False) -> None:
        self.file, self.problem, self.text, self.lines = file, problem, text, lines
        self.parsed: Parsed | None = None
        if file:
            self.lines = file.lines
            try:
                self.parsed = prompt_files.read(bytes(file.content), file.name, lines=file.lines)
            except FileProblem as found:
                self.problem = str(found)

    @property
    def name(self) -> str:
        return self.file.name if self.file else ""

    def forget(self) -> None:
        if self.file:
            self.file.delete()


def brought_by(request: HttpRequest) -> Brought:
    """What is sent now, else what was sent before."""
    lines, upload, text = "lines" in request.POST, request.FILES.get("upload"), request.POST.get("text", "")
    if upload is not None:
        # Read one byte beyond the limit: a file that is too large need not be in memory to be refused.
        content, name = upload.read(prompt_files.MOST_BYTES + 1), str(upload.name or "")
        return kept(request, name, content, text, lines)
    if text.strip():
        return kept(request, "", text.replace("\r\n", "\n").encode(errors="replace"), text, lines)
    return kept_before(request, lines)


def kept(request: HttpRequest, name: str, content: bytes, text: str, lines: bool) -> Brought:
    """A file that can't be read is not kept, and a text stays where it was typed."""
    try:
        prompt_files.read(content, name, lines=lines)
    except FileProblem as problem:
        return Brought(problem=f"{name}: {problem}" if name else str(problem), text=text, lines=lines)
    return Brought(batches.keep_file(request.user, name, content, lines=lines))


def kept_before(request: HttpRequest, lines: bool) -> Brought:
    if not request.POST.get("file"):
        return Brought(lines=lines)
    try:
        file = get_or_404(PromptFile, request.user, request.POST["file"], Role.MEMBER)
    except Http404:
        return Brought(problem="That file was kept for a day and is gone. Choose it again.")
    if file.lines != lines:
        file.lines = lines
        file.save(update_fields=["lines"])
    return Brought(file)


def page(request: HttpRequest, form: BatchForm, brought: Brought) -> dict[str, Any]:
    chosen = str(form["model"].value() or "")
    return {
        "form": form,
        "limits": LIMITS,
        "longest_paste": LONGEST_PASTE,
        **source(form, brought),
        **models(request, "", chosen),
        **weights(request, chosen, str(form["checkpoint"].value() or "")),
    }


def source(form: BatchForm, brought: Brought) -> dict[str, Any]:
    """The file's part of the page."""
    context: dict[str, Any] = {"brought": brought, "form": form}
    parsed = brought.parsed
    if parsed is None:
        return context
    prompt, reference = form["prompt_column"].value() or "", form["reference_column"].value()
    if prompt not in parsed.columns:
        prompt, reference = parsed.prompt_guess, None
    if reference is None or (reference and reference not in parsed.columns):
        reference = parsed.reference_guess(prompt)
    rows, faults = prompt_files.prompts(parsed, prompt, reference) if prompt else ([], parsed.faults)
    return {
        **context,
        "parsed": parsed,
        "prompt_column": prompt,
        "reference_column": reference,
        "usable": len(rows),
        "with_reference": sum(bool(row.reference) for row in rows),
        "faults": [fault.said(parsed.unit) for fault in faults[:FAULTS_SHOWN]],
        "fault_count": len(faults),
        "more_faults": max(0, len(faults) - FAULTS_SHOWN),
        "examples": rows[:EXAMPLES],
    }


@require_POST
def file(request: HttpRequest) -> HttpResponse:
    """Partial: the file, or the text, as it was understood."""
    current_team(request.user, Role.MEMBER)
    brought = kept_before(request, False) if "another" in request.POST else brought_by(request)
    if "another" in request.POST:
        brought.forget()
        brought = Brought()
    form = BatchForm(request.user, initial=request.POST.dict())
    return render(request, "evaluation/_batch_source.html", {**source(form, brought), "longest_paste": LONGEST_PASTE})


@require_safe
@never_cache
def find_models(request: HttpRequest) -> HttpResponse:
    """Partial: models that can be chosen, by words of their names."""
    found = models(request, request.GET.get("model_search", "")[:200], request.GET.get("model", ""))
    return render(request, "evaluation/_batch_models.html", found)


def models(request: HttpRequest, text: str, chosen: str) -> dict[str, Any]:
    return {
        "models": answer_sets.offered(request.user, text, chosen),
        "chosen_model": chosen,
        "model_search": text,
    }


@require_safe
@never_cache
def find_weights(request: HttpRequest) -> HttpResponse:
    """Partial: which weights of the chosen model answer."""
    return render(request, "evaluation/_batch_weights.html", weights(request, request.GET.get("model", ""), ""))


def weights(request: HttpRequest, model: str, chosen: str) -> dict[str, Any]:
    try:
        session = answer_sets.session_named(request.user, model) if model else None
    except NotAsked as problem:
        return {"weights": [], "model_problem": str(problem)}
    trains = session is not None and session.status in RUNNING
    return {"weights": checkpoint_choices(session), "chosen_weights": chosen, "trains": trains}


# One of them


@require_safe
@never_cache
def detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The whole page, or for htmx what changes of it."""
    batch = get_or_404(Batch, request.user, pk)
    shown = Shown.of(request.GET)
    page = Paginator(shown.among(batch.rows.defer("columns", "rendered")), PAGE_ROWS).get_page(request.GET.get("page"))
    counts = batch_rows.counts(shown, batch)
    context = {
        "batch": batch,
        "model": batches.title_of_model(batch),
        "open": batch.status in batches.OPEN,
        "summary": batch_rows.summary(batch),
        "shown": shown,
        "filters": [
            (name, title, counts[name])
            for name, (title, _) in FILTERS.items()
            if name in ("", shown.show) or counts[name] or name in ("right", "wrong", "errors")
        ],
        "columns": columns(shown, batch),
        "page": page,
        "pages": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
        "may_change": may(request.user, batch.team, Role.MEMBER),
        "may_go_on": batches.may_go_on(batch),
        "waits_for": forecast.why_it_waits(batch, batch.team_id),
    }
    part = getattr(request, "htmx", False)
    return render(request, "evaluation/_batch.html" if part else "evaluation/batch.html", context)


def columns(shown: Shown, batch: Batch) -> list[dict[str, str]]:
    """The head of the table. Another click turns the order round."""
    heads = [("number", "Row", "num"), ("", "Prompt", ""), ("", "Answer", ""), ("", "Reference", "wide-only")]
    heads += [("right", "Verdict", "")]
    heads += [("total", "Reward", "num")] if batch.reward else []
    heads += [("tokens", "Tokens", "num"), ("seconds", "Seconds", "num wide-only")]
    return [column(shown, sort, title, css) for sort, title, css in heads]


def column(shown: Shown, sort: str, title: str, css: str) -> dict[str, str]:
    direction = {sort: "ascending", f"-{sort}": "descending"}.get(shown.sort, "") if sort else ""
    return {
        "title": title,
        "css": css,
        "sort": f"-{sort}" if sort and direction == "ascending" else sort,
        "direction": direction,
    }


@require_safe
@never_cache
def row(request: HttpRequest, pk: UUID, number: int) -> HttpResponse:
    batch = get_or_404(Batch, request.user, pk)
    found = get_object_or_404(batch.rows, number=number)
    shown = Shown.of(request.GET)
    before, after = neighbours(shown, batch, number)
    context = {"batch": batch, "row": found, "model": batches.title_of_model(batch), "before": before, "after": after}
    return render(request, "evaluation/batch_row.html", context)


def neighbours(shown: Shown, batch: Batch, number: int) -> tuple[int | None, int | None]:
    """The rows before and after it, in the order and filter that the table was in."""
    order = list(shown.among(batch.rows.all()).values_list("number", flat=True))
    if number not in order:
        return None, None
    place = order.index(number)
    return order[place - 1] if place else None, order[place + 1] if place + 1 < len(order) else None


@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    batch = get_or_404(Batch, request.user, pk, Role.MEMBER)
    batches.cancel(batch)
    return redirect("evaluation:batch", pk=batch.pk)


@require_POST
def go_on(request: HttpRequest, pk: UUID) -> HttpResponse:
    batch = get_or_404(Batch, request.user, pk, Role.MEMBER)
    try:
        batches.go_on(batch)
    except BatchProblem as problem:
        messages.error(request, str(problem))
    return redirect("evaluation:batch", pk=batch.pk)


@require_POST
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    batch = get_or_404(Batch, request.user, pk, Role.MEMBER)
    try:
        batches.delete(batch)
    except BatchProblem as problem:
        messages.error(request, str(problem))
        return redirect("evaluation:batch", pk=batch.pk)
    messages.success(request, f"Batch “{batch.name[:60]}” was deleted.")
    return redirect("evaluation:batches")


@require_safe
def export_csv(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    batch = get_or_404(Batch, request.user, pk)
    return csv_response(batch_export.csv_lines(batch), f"{file_name(batch)}.csv")


@require_safe
def export_json(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    batch = get_or_404(Batch, request.user, pk)
    text = batch_export.json_text(batch, as_json(batch))
    return download(StreamingHttpResponse(text, content_type="application/json"), f"{file_name(batch)}.json")


def file_name(batch: Batch) -> str:
    return f"batch-{slugify(Path(batch.name).stem)[:60] or str(batch.pk)[:8]}"
