"""What became of each question of a session: once for each time it was asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from training.choices import Kind
from training.models import Event, PromptOutcome

WRITTEN_AT_ONCE = 200


def store(session_id: UUID | str, events: Iterable[Event]) -> None:
    """Of rollouts events. Older trainers did not say which row a group asked: of theirs there is none."""
    found = [row for event in events if event.kind == Kind.ROLLOUTS and event.step for row in rows_of(event)]
    PromptOutcome.objects.bulk_create(found, batch_size=WRITTEN_AT_ONCE)


def rows_of(event: Event) -> Iterator[PromptOutcome]:
    for place, group in enumerate(event.data.get("groups") or []):
        if isinstance(group.get("row"), int) and group.get("kind"):
            totals = [each["total"] for each in group.get("completions") or [] if each.get("total") is not None]
            yield PromptOutcome(
                session_id=event.session_id,
                attempt=event.attempt,
                step=event.step or 0,
                group=place,
                row=group["row"],
                epoch=group.get("epoch") or 0,
                kind=group["kind"],
                mean=sum(totals) / len(totals) if totals else None,
            )


def forget(session_id: UUID | str, attempt: int, after: int) -> None:
    """What attempts before `attempt` did beyond step `after`: it is done again."""
    PromptOutcome.objects.filter(session_id=session_id, attempt__lt=attempt, step__gt=after).delete()
