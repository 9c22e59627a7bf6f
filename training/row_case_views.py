"""A row of a dataset as a golden case: its right answer, laid out with the usual markers and free to be changed."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import Role
from datasets_app import tables
from datasets_app.models import DatasetVersion
from datasets_app.page_views import opened
from datasets_app.problems import DatasetProblem
from rewards import case_views
from rewards.attacks import Subject, well_formed
from training import reward_gate
from training.schema import SessionConfig

LACKS = {
    "no_question": "has no question",
    "no_answer": "has no answer",
    "no_reference": "has an answer in which the reference can't be found",
}


@require_safe
def row_case(request: HttpRequest, pk: UUID, number: int) -> HttpResponse:
    version = opened(request, pk, Role.MEMBER)
    if not 1 <= number <= version.row_count:
        raise Http404("This version has no such row.")
    try:
        subject = subject_of(version, number)
    except (DatasetProblem, OSError) as problem:
        return render(request, "rewards/_case_form.html", {"refused": str(problem)})
    laid_out = {shape.name: text for shape, text in well_formed(subject)}
    response = laid_out["full" if subject.reasoning else "short"]
    context = case_views.form_context(request.user, subject.answered(response))
    return render(request, "rewards/_case_form.html", {**context, "response": response, "is_open": True})


def subject_of(version: DatasetVersion, number: int) -> Subject:
    """Raises DatasetProblem where the row can't be asked about."""
    # Late: they read Parquet, which nothing needs until somebody asks.
    from datasets_app import mapping
    from datasets_app.rows import as_row, missing, reading

    how = reading(version, mapping.section_of(version))
    row = as_row(number, tables.pick(version.path, [number - 1])[number - 1], how)
    if lacks := missing(row.instruction, row.response, how.rule):
        raise DatasetProblem(f"This row can't be a case: it {LACKS[lacks]}.")
    return Subject(reward_gate.sample_of(row, reward_gate.markers_of(SessionConfig())), row.reasoning, number)
