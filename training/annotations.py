"""What happened to a session at a step or at a time: marks on its charts."""

from typing import Any

from training.choices import RUNNING, TERMINAL, Kind, Status
from training.models import Event, Session
from training.thinning import spread

# More ticks than this are a solid line. The newest is always there.
MOST_CHECKPOINTS = 400
STEPPED = [Status.PRETRAINING, Status.TRAINING]
TITLES = {
    Status.STARTING: "Loading",
    Status.PRETRAINING: "SFT begins",
    Status.TRAINING: "GRPO begins",
    Status.FINISHING: "Saving",
    Status.COMPLETED: "Completed",
    Status.STOPPED: "Stopped",
    Status.FAILED: "Failed",
    Status.QUEUED: "Interrupted",
}


def marks(session: Session) -> list[dict[str, Any]]:
    """In the order they happened. `at` is in seconds since 1970; `phase` and `step` place it among the steps, if it has
    a place there."""
    return [*phase_marks(session), *checkpoint_marks(session)]


def phase_marks(session: Session) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for event in session.events.filter(kind=Kind.PHASE).order_by("seq"):
        status = event.data.get("status")
        if event.data.get("ended"):
            found.append(ending(session, event, status))
        elif status in RUNNING:
            found += beginning(session, event, status)
    return found


def beginning(session: Session, event: Event, status: str) -> list[dict[str, Any]]:
    if resumed := event.data.get("resumed_from"):
        return [mark(event, "resumed", f"Resumed from step {resumed}", status, resumed)]
    warmed_up = last_step_before(session, event, Status.PRETRAINING) if status == Status.TRAINING else None
    title = TITLES[Status(status)] if warmed_up is None else "SFT to GRPO"
    found = [mark(event, "phase", title, status, 0) if status in STEPPED else mark(event, "phase", title)]
    # The same moment is the end of the warm-up's own axis; over time it is shown once.
    return found if warmed_up is None else [*found, {**found[0], "at": None, "phase": "pretraining", "step": warmed_up}]


def last_step_before(session: Session, event: Event, phase: str) -> int | None:
    steps = session.events.filter(kind=Kind.METRICS, phase=phase, seq__lt=event.seq, step__isnull=False)
    return steps.order_by("-seq").values_list("step", flat=True).first()


def ending(session: Session, event: Event, status: str) -> dict[str, Any]:
    """At the last step before it, superseded or not: that is how far it had come."""
    last = session.events.filter(kind=Kind.METRICS, seq__lt=event.seq, step__isnull=False).order_by("-seq").first()
    kind = "ended" if status in TERMINAL else "interrupted"
    title = TITLES.get(Status(status), "Ended") if status in Status.values else "Ended"
    return mark(event, kind, title, last.phase if last else "", last.step if last else None)


def checkpoint_marks(session: Session) -> list[dict[str, Any]]:
    found = session.events.filter(kind=Kind.CHECKPOINT, superseded=False, step__isnull=False)
    rows = list(found.order_by("seq").values_list("created_at", "phase", "step"))
    return [
        {"at": at.timestamp(), "kind": "checkpoint", "title": f"Checkpoint {step}", "phase": phase, "step": step}
        for at, phase, step in spread(rows, MOST_CHECKPOINTS)
    ]


def mark(event: Event, kind: str, title: str, phase: str = "", step: int | None = None) -> dict[str, Any]:
    return {"at": event.created_at.timestamp(), "kind": kind, "title": title, "phase": phase, "step": step}
