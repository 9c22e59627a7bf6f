"""Which answers of a run stay: every group of the first and the newest steps and of every n-th one between them.

Each step is stored as it comes, so that the newest group can always be looked at and a run may end at any moment
without losing its last steps. What lies between is thinned out behind the newest ones, and further while the
session's budget is spent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum

from training.choices import Kind
from training.models import Completion, Event, Session
from training.schema import TrainingSection

ALWAYS = 20
MEGABYTE = 1024 * 1024
# Characters. With these an event fits into a web socket's frame with room to spare.
EVENT_TEXTS, LONGEST_IN_EVENT = 300_000, 8_000
# What a row of an answer takes beside its text, about.
ROW_BYTES = 200
WRITTEN_AT_ONCE = 200


def brief(data: dict[str, Any]) -> dict[str, Any]:
    """`data` of a rollouts event with its texts cut; `characters` says how long a cut answer was."""
    groups = data.get("groups") or []
    count = sum(len(group.get("completions") or []) for group in groups)
    limit = min(LONGEST_IN_EVENT, EVENT_TEXTS // max(count, 1))
    return {**data, "groups": [brief_group(group, limit) for group in groups]}


def brief_group(group: dict[str, Any], limit: int) -> dict[str, Any]:
    names = [name for name in ("question", "prompt", "reference") if name in group]
    texts: dict[str, Any] = {name: (group[name] or "")[:limit] for name in names}
    return {**group, **texts, "completions": [brief_answer(each, limit) for each in group.get("completions") or []]}


def brief_answer(answer: dict[str, Any], limit: int) -> dict[str, Any]:
    text = answer.get("text") or ""
    if len(text) <= limit:
        return answer
    return {**answer, "text": text[:limit], "characters": answer.get("characters", len(text))}


def without_texts(data: dict[str, Any]) -> dict[str, Any]:
    """`data` of a rollouts event, of which the numbers stay."""
    return {**data, "groups": [brief_group(group, 0) for group in data.get("groups") or []]}


def brief_event(event: Event) -> Event:
    """What is stored of `event`, which itself stays whole."""
    if event.kind != Kind.ROLLOUTS:
        return event
    stored = copy(event)
    stored.data = brief(event.data)
    return stored


def store(session_id: UUID | str, events: Iterable[tuple[int, Event]]) -> bool:
    """Makes the rows of the answers of (id of the stored event, whole event); says whether there were any."""
    found = [
        row
        for pk, event in events
        if event.kind == Kind.ROLLOUTS and event.step is not None
        for row in rows_of(session_id, pk, event.step, event.data.get("groups") or [])
    ]
    Completion.objects.bulk_create(found, batch_size=WRITTEN_AT_ONCE)
    return bool(found)


def rows_of(session_id: UUID | str, event_id: int, step: int, groups: Sequence[Mapping[str, Any]]) -> list[Completion]:
    return [
        row_of(answer, session_id=session_id, event_id=event_id, step=step, group=place, index=index)
        for place, group in enumerate(groups)
        for index, answer in enumerate(group.get("completions") or [])
    ]


def row_of(answer: Mapping[str, Any], **place: Any) -> Completion:
    text = answer.get("text") or ""
    return Completion(
        **place,
        text=text,
        size=len(text.encode()) + ROW_BYTES,
        length=answer.get("length"),
        characters=answer.get("characters") or len(text),
        total=answer.get("total"),
        advantage=answer.get("advantage"),
        cut_off=bool(answer.get("cut_off")),
        failed=bool(answer.get("errors")) or answer.get("total") is None,
    )


# Which steps stay


def stored(session_id: UUID | str) -> QuerySet[Event]:
    """The rollouts events that count. A step of several rounds of answering has several."""
    return Event.objects.filter(session_id=session_id, kind=Kind.ROLLOUTS, superseded=False, step__isnull=False)


def steps_of(session_id: UUID | str) -> list[int]:
    found = stored(session_id).order_by("step").values_list("step", flat=True).distinct()
    return [step for step in found if step is not None]


def kept(steps: Sequence[int], every: int) -> list[int]:
    """The first and the last of ascending `steps`, and between them the first one of each stretch of `every`."""
    last = len(steps) - ALWAYS
    found: list[int] = []
    for place, step in enumerate(steps):
        if place < ALWAYS or place >= last or step // every != found[-1] // every:
            found.append(step)
    return found


def sampling(session_id: UUID | str) -> tuple[int, int]:
    """(every how many steps, the budget in bytes), as the session's config has them."""
    return sampled(Session.objects.filter(pk=session_id).values_list("config", flat=True).get())


def sampled(config: Mapping[str, Any]) -> tuple[int, int]:
    given = config.get("training") or {}
    every, budget = ("completions_every", "completions_budget")
    fields = TrainingSection.model_fields
    return given.get(every, fields[every].default), given.get(budget, fields[budget].default) * MEGABYTE


def thin_out(session_id: UUID | str) -> None:
    every, budget = sampling(session_id)
    steps = steps_of(session_id)
    wanted = kept(steps, every)
    sizes = sizes_of(session_id)
    middle = len(wanted) - 2 * ALWAYS
    while middle > 0 and sum(sizes.get(step, 0) for step in wanted) > budget:
        every *= 2
        wanted = kept(wanted, every)
        middle = len(wanted) - 2 * ALWAYS if every < steps[-1] else 0
    gone = set(steps) - set(wanted)
    if gone:
        drop(session_id, gone)


def drop(session_id: UUID | str, steps: Iterable[int]) -> None:
    ordered = sorted(steps)
    for start in range(0, len(ordered), WRITTEN_AT_ONCE):
        stored(session_id).filter(step__in=ordered[start : start + WRITTEN_AT_ONCE]).delete()


def sizes_of(session_id: UUID | str) -> dict[int, int]:
    """Bytes by step."""
    found = Completion.objects.filter(session_id=session_id, event__in=stored(session_id).values("pk"))
    return dict(found.values_list("step").annotate(bytes=Sum("size")).order_by())
