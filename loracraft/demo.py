"""The demo: a user, a generated dataset and a session that trains the starter model on it, then an export to GGUF.

It only calls the verbs that buttons and API call, so it lives above all apps.
"""

import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Q

from accounts import teams
from accounts.models import Team
from datasets_app import importing
from datasets_app.models import Dataset
from evaluation.report import Report, Side, before_after
from exports import building
from exports.models import Export
from jobs.choices import JobStatus
from training import lifecycle
from training.choices import ACTIVE, Kind, Status
from training.models import Event, Session

NAME, USER, TEAM = "Demo: a small model learns to add", "demo", teams.DEFAULT_TEAM
CONFIG = Path(settings.BASE_DIR) / "training" / "demo_config.json"
GENERATED: dict[str, Any] = {
    "task": "chain_sum",
    "parameters": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2},
    "seed": 42,
    "size": 3000,
    "name": "Demo: adding and subtracting two numbers",
}
POLL_SECONDS = 0.5

Tell = Callable[[str], None]


class DemoProblem(Exception):
    """What failed and what to do about it."""


def ensure_demo_user(given_password: str) -> tuple[User, str]:
    """The demo user, and the new password that must be shown, "" if it was given."""
    password = given_password or secrets.token_urlsafe(9)
    user, _ = teams.ensure_user(USER, password)
    teams.add_member(user, TEAM)
    return user, "" if given_password else password


def session_of(user: User) -> Session:
    """The demo session that still runs or was stopped half-way, else a new one; queued in any case."""
    team = teams.ensure_team(user)
    unfinished = Session.objects.filter(
        Q(status__in=ACTIVE) | Q(status=Status.STOPPED), team=team, created_by=user, name=NAME
    ).first()
    if unfinished:
        lifecycle.resume(unfinished, user)
        return unfinished
    config = json.loads(CONFIG.read_text(encoding="utf-8"))
    made = dataset(team, user)
    config.setdefault("dataset", {})["source"] = str(made.pk)
    session = lifecycle.create_draft(team, user, NAME, config)
    lifecycle.start(session, user)
    return session


def dataset(team: Team, user: User) -> Dataset:
    wanted = {key: GENERATED[key] for key in ("task", "parameters", "seed", "size")}
    known = Dataset.objects.filter(team=team, name=GENERATED["name"], source_detail=wanted).first()
    return known or importing.generate(team, user, **GENERATED).dataset


def follow(session: Session, tell: Tell) -> Session:
    """Tells phases, steps and rewards as they are recorded, and returns when the session has ended."""
    seen = 0
    while True:
        # The status first: events recorded after it was read are told in the next round, or in the last one.
        session.refresh_from_db()
        ended = session.is_terminal
        seen = tell_events(session, seen, tell)
        if ended:
            return session
        time.sleep(POLL_SECONDS)


def tell_events(session: Session, after: int, tell: Tell) -> int:
    kinds = [Kind.PHASE, Kind.METRICS, Kind.EVALUATION, Kind.ERROR]
    for event in session.events.filter(seq__gt=after, kind__in=kinds, superseded=False).order_by("seq"):
        after = event.seq
        if sentence := as_line(event, session):
            tell(sentence)
    return after


def as_line(event: Event, session: Session) -> str:
    data = event.data
    if event.kind == Kind.PHASE:
        return f"{data.get('label') or data.get('status')}" + (f"  ({data['mode']})" if data.get("mode") else "")
    if event.kind == Kind.ERROR:
        return f"Error: {data.get('message')} {data.get('hint') or ''}"
    if event.kind == Kind.EVALUATION:
        side = "base model" if data.get("label") == "base" else "adapter"
        return "" if data.get("summary") else f"  {side}: {data.get('done')} of {data.get('total')} questions answered"
    values = [f"{name} {data[name]:.3f}" for name in ("reward", "loss") if data.get(name) is not None]
    steps = f"{event.step}/{session.total_steps}" if session.total_steps else f"{event.step}"
    return f"  {Status(event.phase).label if event.phase else 'Step'}  step {steps}  {'  '.join(values)}"


def result_lines(session: Session) -> list[str]:
    report = before_after(session)
    lines = score_lines(report) if report else ["No evaluation: the config turned it off."]
    return [*lines, f"Adapter: {session.adapter}"]


def score_lines(report: Report) -> list[str]:
    sides = [("Before", report.base), ("After ", report.adapter)]
    return [*(side_line(name, side) for name, side in sides if side), report.verdict]


def side_line(name: str, side: Side) -> str:
    accuracy = "not judged" if side.accuracy is None else f"{side.accuracy:.3f}"
    return (
        f"{name}: {side.correct} of {side.questions} held-out questions right, {accuracy}"
        f" (95 % interval {side.low:.3f} to {side.high:.3f})"
    )


def gguf(session: Session, user: User, tell: Tell) -> Path:
    """The path of the exported file. Raises DemoProblem or the export's own ExportProblem."""
    export, told = building.create(session, user, "gguf", "q8_0"), ""
    while export.status in building.OPEN:
        time.sleep(POLL_SECONDS)
        export.refresh_from_db()
        if export.message and export.message != told:
            told = export.message
            tell(f"  Export {export.progress:.0%}  {told}")
    if export.status != JobStatus.READY:
        raise DemoProblem(f"The export to GGUF failed: {export.error or 'it was cancelled.'}")
    return path_of(export)


def path_of(export: Export) -> Path:
    return export.folder / export.file
