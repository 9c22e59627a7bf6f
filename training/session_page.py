"""What the session page shows, put together from the rows: state, stages, tiles, configuration."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from pydantic import BaseModel, ValidationError

from accounts.access import may
from accounts.models import AnyUser, Role
from training import series
from training.charts import CLIP_REASON_KEYS, TILES, Chart, charts, part_colours
from training.choices import RUNNING, Kind, Status
from training.engine import checkpoints
from training.forecast import Place, place_of
from training.models import Event, Session
from training.schema import SessionConfig

STAGES = {
    "loading": "Loading",
    "base": "Base score",
    "sft": "SFT warm-up",
    "grpo": "GRPO",
    "saving": "Saving",
    "after": "After score",
}
STAGE_OF_STATUS = {
    Status.STARTING: "loading",
    Status.PRETRAINING: "sft",
    Status.TRAINING: "grpo",
    Status.FINISHING: "saving",
}
# Answering held-out questions happens within a status: the evaluation's label says so.
STAGE_OF_LABEL = {"base": "base", "adapter": "after"}
STAGE_ORDER = list(STAGES)

# A step that generated nothing has no reward: tiles look this many rows back for the newest value.
ROWS_FOR_TILES = 20
LOG_LINES = 200
# Steps with answers that could not be judged, the newest ones.
STEPS_COUNTED = 5000
REASONS_SHOWN = 5


@dataclass(frozen=True)
class Stage:
    id: str
    title: str
    state: str


def valid_config(session: Session) -> SessionConfig | None:
    """None while a draft is incomplete."""
    try:
        return SessionConfig.model_validate(session.config)
    except ValidationError:
        return None


def newest(session: Session, kind: str, **filters: Any) -> Event | None:
    return session.events.filter(kind=kind, superseded=False, **filters).order_by("-seq").first()


class SessionState:
    """Everything of the head of the page that changes while a session runs. Read once, at the start of a request."""

    def __init__(self, session: Session, user: AnyUser) -> None:
        self.session = session
        self.config = valid_config(session)
        self.can_change = may(user, session.team, Role.MEMBER)
        self.tags = list(session.tags.values_list("name", flat=True))
        self.evaluation = newest(session, Kind.EVALUATION)
        self.current = self.find_current()
        self.error = newest(session, Kind.ERROR) if session.status == Status.FAILED else None
        self.checkpoint = newest(session, Kind.CHECKPOINT)
        again = session.is_running and session.attempt > 1
        self.stall = newest(session, Kind.ERROR, data__has_key="stalled") if again else None

    def find_current(self) -> str:
        """Where it is, or where it ended. Empty before it began."""
        if self.session.status == Status.COMPLETED:
            return "done"
        status, began = self.running_status()
        stage = STAGE_OF_STATUS.get(Status(status), "") if status else ""
        if stage in ("loading", "saving") and self.evaluation and self.evaluation.seq > began:
            return STAGE_OF_LABEL.get(self.evaluation.data.get("label", ""), stage)
        return stage

    def running_status(self) -> tuple[str, int]:
        """The status it runs in, or ran in last, and the number of the event that began it."""
        if self.session.status in (Status.DRAFT, Status.QUEUED):
            return "", 0
        phase = newest(self.session, Kind.PHASE, data__status__in=RUNNING)
        if phase is None:
            return (self.session.status if self.session.is_running else ""), 0
        return phase.data["status"], phase.seq

    @property
    def stages(self) -> list[Stage]:
        place = len(STAGE_ORDER) if self.current == "done" else self.place_of(self.current)
        return [
            Stage(name, title, self.stage_state(STAGE_ORDER.index(name), place))
            for name, title in STAGES.items()
            if self.applies(name)
        ]

    def place_of(self, stage: str) -> int:
        return STAGE_ORDER.index(stage) if stage in STAGE_ORDER else -1

    def stage_state(self, own: int, current: int) -> str:
        if own < current:
            return "done"
        if own > current:
            return "ahead"
        return "current" if self.session.is_running else "ended"

    def applies(self, stage: str) -> bool:
        if self.config is None:
            return True
        if stage == "sft":
            return self.config.pre_training.enabled
        return self.config.evaluation.enabled or stage not in ("base", "after")

    @property
    def counted(self) -> tuple[int, int, str]:
        """How far the current stage is: done, total (0 if not known) and what is counted."""
        if self.current in ("base", "after") and self.evaluation:
            return self.evaluation.data.get("done") or 0, self.evaluation.data.get("total") or 0, "question"
        if self.current in ("sft", "grpo", "done"):
            return self.session.step, self.session.total_steps, "step"
        return 0, 0, "step"

    @property
    def resume_step(self) -> int | None:
        return self.checkpoint.step if self.checkpoint else None

    @property
    def elapsed(self) -> float | None:
        if self.session.started_at is None:
            return None
        end: datetime = timezone.now()
        if not self.session.is_active:
            end = self.session.finished_at or end
        return max(0.0, (end - self.session.started_at).total_seconds())

    @property
    def stopping(self) -> bool:
        return self.session.is_active and self.session.stop_requested_at is not None

    @property
    def place(self) -> Place | None:
        return place_of(self.session)


def part_names(session: Session) -> list[str]:
    """From the frozen reward; else, for a session without one, from what its newest step was scored by."""
    if names := [part.get("name", "") for part in session.reward.get("parts") or []]:
        return names
    event = newest(session, Kind.METRICS, phase=Status.TRAINING)
    keys = event.data if event else {}
    return [
        key.split("/", 1)[1].rsplit("/", 1)[0] for key in keys if key.startswith("rewards/") and key.endswith("/mean")
    ]


def tile_values(session: Session) -> dict[str, float | None]:
    """The newest value of every key a tile shows."""
    rows = list(series.metric_events(session).order_by("-seq").values_list("data", flat=True)[:ROWS_FOR_TILES])
    return {key: newest_value(rows, key) for key in [*[tile.key for tile in TILES], *CLIP_REASON_KEYS]}


def newest_value(rows: list[dict[str, Any]], key: str) -> float | None:
    return next((row[key] for row in rows if isinstance(row.get(key), int | float)), None)


def log_lines(session: Session) -> list[Event]:
    """The newest lines of the log, oldest first."""
    lines = session.events.filter(kind__in=[Kind.LOG, Kind.ERROR], superseded=False).order_by("-seq")[:LOG_LINES]
    return list(lines)[::-1]


@dataclass(frozen=True)
class Unjudged:
    """Answers that the reward could not judge; none of them is a zero."""

    count: int
    answers: int
    reasons: list[tuple[str, int]]

    @property
    def share(self) -> float:
        return 100 * self.count / self.answers if self.answers else 0.0


def unjudged(session: Session) -> Unjudged | None:
    told = session.events.filter(kind=Kind.LOG, superseded=False, data__has_key="unjudged").order_by("-seq")
    found = list(told.values_list("data__unjudged", flat=True)[:STEPS_COUNTED])
    if not found:
        return None
    reasons: Counter[str] = Counter()
    for step in found:
        reasons.update(step["reasons"])
    steps = session.events.filter(kind=Kind.ROLLOUTS, superseded=False).count()
    answers = max(steps, len(found)) * found[0]["of"]
    return Unjudged(sum(step["count"] for step in found), answers, reasons.most_common(REASONS_SHOWN))


def system_now(session: Session) -> dict[str, Any]:
    event = newest(session, Kind.SYSTEM)
    return event.data if event else {}


@dataclass(frozen=True)
class Checkpoint:
    """As it was recorded, and what is on the disk of it now."""

    event: Event
    name: str
    is_here: bool
    is_best: bool


def newest_checkpoints(session: Session, most: int = 20) -> list[Checkpoint]:
    """Those on the disk, and the newest of those that were removed, by age."""
    found = list(session.events.filter(kind=Kind.CHECKPOINT, superseded=False).order_by("-seq"))
    paths = [session.folder / str(event.data.get("path", "-")) for event in found]
    best = checkpoints.best([path for path in paths if path.is_dir()])
    made = [Checkpoint(event, path.name, path.is_dir(), path == best) for event, path in zip(found, paths, strict=True)]
    gone = [one for one in made if not one.is_here][:most]
    return [one for one in made if one.is_here or one in gone]


@dataclass(frozen=True)
class ChartBoard:
    """Charts over one axis."""

    phase: str
    title: str
    charts: list[Chart]


def boards(session: Session, drawn: list[Chart]) -> list[ChartBoard]:
    """GRPO first, as soon as there is any."""
    found = [
        ChartBoard(phase, title, [chart for chart in drawn if chart.phase == phase and chart.tab == "overview"])
        for phase, title in ((Status.TRAINING.value, "GRPO"), (Status.PRETRAINING.value, "SFT warm-up"))
    ]
    warming_up = not series.metric_events(session).exists() and newest(session, Kind.METRICS, phase=Status.PRETRAINING)
    return [board for board in (found[::-1] if warming_up else found) if board.charts]


def page(state: SessionState) -> dict[str, Any]:
    """The rest of the page, below its head."""
    session, colours = state.session, part_colours(part_names(state.session))
    drawn = charts(state.config, colours)
    return {
        "tiles": TILES,
        "charts": drawn,
        "boards": boards(session, drawn),
        "signal_charts": [chart for chart in drawn if chart.tab == "signal"],
        "values": tile_values(session),
        "parts": colours,
        "log": log_lines(session),
        "system": system_now(session),
        "checkpoints": newest_checkpoints(session),
        "can_resume": state.can_change and session.is_resumable,
        "config": state.config,
        "unjudged": unjudged(session),
        "config_text": json.dumps(session.config, indent=2, ensure_ascii=False),
        "sections": config_sections(state.config) if state.config else [],
    }


@dataclass(frozen=True)
class ConfigRow:
    key: str
    label: str
    help: str
    value: Any
    default: Any
    unit: str

    @property
    def changed(self) -> bool:
        return bool(self.value != self.default)


@dataclass(frozen=True)
class ConfigSection:
    title: str
    rows: list[ConfigRow]

    @property
    def changed(self) -> int:
        return sum(row.changed for row in self.rows)


def config_sections(config: SessionConfig) -> list[ConfigSection]:
    defaults = SessionConfig()
    return [
        ConfigSection(
            name.replace("_", " ").capitalize(), section_rows(name, getattr(config, name), getattr(defaults, name))
        )
        for name, info in SessionConfig.model_fields.items()
        if isinstance(getattr(config, name), BaseModel)
    ]


def section_rows(name: str, section: BaseModel, defaults: BaseModel) -> list[ConfigRow]:
    values, standard = section.model_dump(), defaults.model_dump()
    return [
        ConfigRow(
            f"{name}.{key}",
            info.title or key,
            info.description or "",
            values[key],
            standard[key],
            str((info.json_schema_extra or {}).get("unit", "")) if isinstance(info.json_schema_extra, dict) else "",
        )
        for key, info in type(section).model_fields.items()
    ]
