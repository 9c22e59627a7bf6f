"""Rows of datasets and completions of sessions for the test bench of rewards."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.http import Http404

from accounts.access import get_or_404
from accounts.models import AnyUser
from rewards.outside import RowMissing
from rewards.registry import Sample
from training import reward_gate, reward_previews
from training.choices import Kind
from training.models import Session
from training.schema import SessionConfig


def rows(user: AnyUser, source: str, count: int, seed: int | None) -> list[tuple[Sample, str]]:
    """The first usable rows of a version, or with a seed as many of its training part. Raises RowMissing."""
    # Late: these read Parquet, and this module is imported at start.
    from datasets_app import mapping
    from datasets_app.problems import DatasetProblem
    from datasets_app.rows import training_rows

    try:
        version = reward_previews.usable(user).select_related("dataset").filter(pk=source).first()
    except (ValueError, ValidationError):
        version = None
    if version is None:
        raise RowMissing("That dataset is gone. Choose another one, or paste answers.")
    section = mapping.section_of(version)
    try:
        if seed is None:
            found = reward_gate.first_rows(version, section, count)
        else:
            found = training_rows(version, section, seed)[:count]
    except (DatasetProblem, OSError) as problem:
        raise RowMissing(f"The rows of {version.dataset} can't be read: {problem}") from None
    markers = reward_gate.markers_of(SessionConfig())
    return [(reward_gate.sample_of(row, markers), row.reasoning) for row in found]


def completions(user: AnyUser, session_id: str, step: int | None) -> list[Sample]:
    """The stored answers of a step, of the newest one by default. Raises RowMissing."""
    try:
        session = get_or_404(Session, user, session_id)
    except Http404:
        raise RowMissing("There is no such session. Open the bench from its Groups tab.") from None
    stored = session.events.filter(kind=Kind.ROLLOUTS, superseded=False).order_by("-seq")
    event = (stored if step is None else stored.filter(step=step)).first()
    if event is None:
        raise RowMissing("This session has no stored answers of that step. Choose another step.")
    markers = reward_gate.markers_of(session.parsed_config)
    return [
        Sample(group["question"], answer["text"], group["reference"] or None, {}, markers, answer["length"])
        for group in event.data.get("groups") or []
        for answer in group["completions"]
    ]
