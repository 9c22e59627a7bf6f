"""Rows of datasets and completions of sessions for the test bench of rewards."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404

from accounts.access import get_or_404
from accounts.models import AnyUser
from datasets_app.models import DatasetVersion
from rewards.bench_sources import Choice, Found
from rewards.outside import RowMissing
from rewards.registry import Sample
from training import reward_gate, reward_previews, session_list
from training.choices import Kind
from training.models import Event, Session
from training.schema import SessionConfig

OFFERED = 20
STEPS_OFFERED = 500
# Somebody waits for the page while the rows of a dataset are searched for a question.
SEARCH_SECONDS = 5.0
# A stored question or reference that is this long may have been cut.
CUT_AT = 500
MOST_FOUND = 2000


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


def named(text: str) -> Q:
    """Sessions with all words of `text` in their names or their models'."""
    found = Q()
    for word in text.split():
        found &= Q(name__icontains=word) | Q(config__model__name__icontains=word)
    return found


def sessions(user: AnyUser, text: str, chosen: str) -> list[Choice]:
    """The newest ones with stored completions that have `text` in them, the chosen one first."""
    found = with_completions(user)
    newest = [choice_of(session) for session in found.filter(named(text))[:OFFERED]]
    known = next((each for each in newest if each.value == chosen), None)
    if known is None and chosen:
        known = next((choice_of(session) for session in found.filter(pk=chosen)), None) if is_id(chosen) else None
    return [known, *(each for each in newest if each.value != chosen)] if known else newest


def is_id(text: str) -> bool:
    try:
        Session._meta.pk.to_python(text)
    except ValidationError:
        return False
    return True


def with_completions(user: AnyUser) -> Any:
    stored = Event.objects.filter(session=OuterRef("pk"), kind=Kind.ROLLOUTS, superseded=False)
    fields = ("pk", "name", "config", "created_at", "status", "step")
    return session_list.shown(user).filter(Exists(stored)).only(*fields)


def choice_of(session: Session) -> Choice:
    model = str(session.config.get("model", {}).get("name", "")).rpartition("/")[2]
    return Choice(str(session.pk), session.name, f"{model}, {session.status}, step {session.step}", session.created_at)


def steps(user: AnyUser, session_id: str) -> list[int]:
    """Those with stored completions, newest first."""
    if not is_id(session_id):
        return []
    own = Session.objects.of_user(user).filter(pk=session_id)
    stored = Event.objects.filter(session__in=own, kind=Kind.ROLLOUTS, superseded=False, step__isnull=False)
    found = stored.order_by("-step").values_list("step", flat=True).distinct()[:STEPS_OFFERED]
    return [step for step in found if step is not None]


def completions(
    user: AnyUser,
    session_id: str,
    step: int | None,
    columns: Sequence[str] | None,
    prompt: int | None = None,
    answer: int | None = None,
) -> Found:
    """The stored answers of a step, of the newest one by default, with the rows they were made of unless `columns` is
    None; of them those to one prompt, or one answer, counted from 1. Raises RowMissing."""
    try:
        session = get_or_404(Session, user, session_id)
    except Http404:
        raise RowMissing("There is no such session. Choose another one.") from None
    stored = session.events.filter(kind=Kind.ROLLOUTS, superseded=False).order_by("-seq")
    event = (stored if step is None else stored.filter(step=step)).first()
    if event is None:
        raise RowMissing("This session has no stored answers of that step. Choose another step.")
    groups = [group for group in whole_groups(stored.filter(step=event.step)) if group["completions"]]
    groups = narrowed(groups, prompt, answer)
    if not groups:
        raise RowMissing("This step has no such answer. Choose another prompt or answer, or leave both empty.")
    found = Rows(session, columns or [])
    if columns is not None:
        found.look_up(groups)
    markers = reward_gate.markers_of(session.parsed_config)
    samples = [
        Sample(
            group["question"], answer["text"], group["reference"] or None, found.of(group), markers, answer["length"]
        )
        for group in groups
        for answer in group["completions"]
    ]
    return Found(samples, found.notes(groups) if columns is not None else [])


def whole_groups(events: QuerySet[Event]) -> list[dict[str, Any]]:
    """The groups of a step with the whole texts of their answers."""
    return [
        {**group, "completions": [{**each, "text": texts.get((place, at), each["text"])} for at, each in answers]}
        for event in events.order_by("seq")
        for texts in [whole_texts(event)]
        for place, group in enumerate(event.data.get("groups") or [])
        for answers in [enumerate(group["completions"])]
    ]


def whole_texts(event: Event) -> dict[tuple[int, int], str]:
    return {(group, at): text for group, at, text in event.completions.values_list("group", "index", "text")}


def narrowed(groups: list[dict[str, Any]], prompt: int | None, answer: int | None) -> list[dict[str, Any]]:
    found = groups if prompt is None else groups[prompt - 1 : prompt]
    if answer is None:
        return found
    only = [{**group, "completions": group["completions"][answer - 1 : answer]} for group in found]
    return [group for group in only if group["completions"]]


class Rows:
    """The rows that stored groups were made of, which keep question and reference alone. `columns` are those that a
    reward names; code of users may read any."""

    def __init__(self, session: Session, columns: Sequence[str]) -> None:
        self.session, self.columns = session, list(columns)
        self.found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.problem = ""

    def look_up(self, groups: list[dict[str, Any]]) -> None:
        version = self.session.dataset_version
        if version is None:
            self.problem = "the dataset that this session was trained on is deleted"
            return
        # Late: it reads Parquet, and this module is imported at start.
        from datasets_app.problems import DatasetProblem
        from datasets_app.rows import load

        section = self.session.parsed_config.dataset
        try:
            numbers = self.search(version, {key_of(group) for group in groups})
            loaded = load(version, section, [number for number, _ in numbers])
        except (DatasetProblem, OSError):
            self.problem = f"the rows of {version.dataset} can't be read"
            return
        for (_, key), row in zip(numbers, loaded, strict=True):
            self.found.setdefault(key, []).append(row.columns)

    def search(self, version: DatasetVersion, wanted: set[tuple[str, str]]) -> list[tuple[int, tuple[str, str]]]:
        """Row numbers with their keys. A question may be in several rows, with different cells."""
        from datasets_app import tables
        from datasets_app.rows import reading

        how, until = reading(version, self.session.parsed_config.dataset), time.monotonic() + SEARCH_SECONDS
        beginnings = {question[:CUT_AT] for question, _ in wanted}
        found = []
        for number, cells in tables.records(version.path, how.columns):
            question = how.question(cells)
            if question[:CUT_AT] in beginnings:
                reference = how.rule.apply(how.answer(cells))[1]
                found += [(number, key) for key in wanted if is_row(key, question, reference)]
            if time.monotonic() > until or len(found) >= MOST_FOUND:
                self.problem = f"{version.dataset} is too large to be searched for the rest of the rows while you wait"
                break
        return found

    def of(self, group: dict[str, Any]) -> dict[str, Any]:
        """{} where there is no row, or where rows with the same question and reference differ in what is read."""
        found = self.found.get(key_of(group), [])
        read = [[cells.get(name) for name in self.columns] if self.columns else cells for cells in found]
        return found[0] if found and all(each == read[0] for each in read) else {}

    def notes(self, groups: list[dict[str, Any]]) -> list[str]:
        lacking: Counter[str] = Counter()
        total = sum(len(group["completions"]) for group in groups)
        for group in groups:
            cells, answers = self.of(group), len(group["completions"])
            lacking.update({name: answers for name in self.columns if name not in cells})
            if not self.columns and not cells:
                lacking[""] += answers
        return [f"{count} of {total} answers have {said(name)}: {self.why(name)}." for name, count in lacking.items()]

    def why(self, name: str) -> str:
        version = self.session.dataset_version
        if self.problem or version is None:
            return self.problem
        if name and not any(name in cells for rows in self.found.values() for cells in rows) and self.found:
            return f"{version.dataset}, version {version.number}, which this session was trained on, has none"
        return f"in {version.dataset}, version {version.number}, no row, or several that differ, have their question"


def said(name: str) -> str:
    return f"no column “{name}”" if name else "none of the columns that code may read"


def key_of(group: dict[str, Any]) -> tuple[str, str]:
    return str(group["question"]), str(group["reference"] or "")


def is_row(key: tuple[str, str], question: str, reference: str) -> bool:
    return all(is_same(stored, text) for stored, text in zip(key, (question, reference), strict=True))


def is_same(stored: str, text: str) -> bool:
    """A stored text may have been cut."""
    return stored == text or (len(stored) >= CUT_AT and text.startswith(stored))
