"""A few sessions beside each other: which they are, what they were made of, and what differs between them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import AnyUser
from training import config_diff, overview
from training.config_diff import Difference
from training.models import Session

# More lines in one chart can't be told apart, and there are this many colours.
MOST, FEWEST = 6, 2
# Of an address: what is behind them is not looked up.
MOST_IDS = 100
CHOICES = 20

# Said by rows of their own, in more detail.
TOLD_ELSEWHERE = {"dataset.source", "reward.parts"}
FINGERPRINT_DIGITS = 16
MADE_OF = "Trained on"
REWARD = "Composition of the reward"


@dataclass(frozen=True)
class Entry:
    """A session at its place of the address, counted from 1, which also decides its colour."""

    number: int
    row: overview.Row

    @property
    def session(self) -> Session:
        return self.row.session

    @property
    def label(self) -> str:
        return f"{self.number} {self.session.name}"

    @property
    def colour(self) -> str:
        return f"session-{self.number}"


@dataclass(frozen=True)
class Selection:
    """The sessions of an address that the user may see, in its order; and what of the address is not shown."""

    entries: list[Entry]
    # Those behind the MOST first ones.
    rest: list[Session]
    unknown: bool

    @property
    def is_enough(self) -> bool:
        return len(self.entries) >= FEWEST

    @property
    def is_full(self) -> bool:
        return len(self.entries) >= MOST

    @property
    def sessions(self) -> list[Session]:
        return [entry.session for entry in self.entries]

    @property
    def is_active(self) -> bool:
        return any(session.is_active for session in self.sessions)

    @property
    def query(self) -> str:
        return query_of(self.sessions)

    @property
    def removals(self) -> list[tuple[Entry, str]]:
        """Each with the query of the page without it."""
        every = [*self.sessions, *self.rest]
        return [(entry, query_of([s for s in every if s != entry.session])) for entry in self.entries]


def query_of(sessions: Sequence[Session]) -> str:
    return urlencode([("session", session.pk) for session in sessions])


def select(user: AnyUser, ids: Sequence[str]) -> Selection:
    wanted = {text.strip().lower() for text in ids}
    known = [pk for pk in map(as_uuid, ids[:MOST_IDS]) if pk]
    rows = {str(s.pk): s for s in Session.objects.of_user(user).filter(pk__in=known).select_related("team")}
    found = [rows[str(pk)] for pk in dict.fromkeys(known) if str(pk) in rows]
    entries = [Entry(number, row) for number, row in enumerate(overview.rows(found[:MOST]), 1)]
    return Selection(entries, found[MOST:], len(rows) < len(wanted))


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None


@dataclass(frozen=True)
class Choices:
    rows: list[overview.Row]
    more: int


def choices(user: AnyUser, search: str, without: Selection) -> Choices:
    """What may be added, newest first: by words of its name."""
    found: QuerySet[Session] = Session.objects.of_user(user).exclude(pk__in=[s.pk for s in without.sessions])
    for word in search.split()[:10]:
        found = found.filter(name__icontains=word)
    rows = overview.rows(found[:CHOICES])
    return Choices(rows, max(0, found.count() - len(rows)))


# What differs


@dataclass(frozen=True)
class Cell:
    text: str
    # Nothing to look at: the first session has the same.
    as_first: bool


@dataclass(frozen=True)
class Line:
    """A setting in the table of differences."""

    setting: Difference

    @property
    def section(self) -> str:
        return self.setting.section

    @property
    def cells(self) -> list[Cell]:
        first, *others = self.setting.values
        return [Cell(shown(first), False), *(Cell(shown(value), value == first) for value in others)]


@dataclass(frozen=True)
class Differences:
    different: list[Difference]
    same: list[Difference]

    @property
    def lines(self) -> list[Line]:
        return [Line(setting) for setting in self.different]

    @property
    def same_lines(self) -> list[tuple[Difference, str]]:
        return [(setting, shown(setting.values[0])) for setting in self.same]


def differences(sessions: Sequence[Session]) -> Differences:
    settings = [*made_of(sessions), *rewards(sessions)]
    settings += [s for s in config_diff.compared([s.config for s in sessions]) if s.key not in TOLD_ELSEWHERE]
    return Differences([s for s in settings if not s.is_same], [s for s in settings if s.is_same])


def made_of(sessions: Sequence[Session]) -> list[Difference]:
    names = overview.dataset_names(sessions)
    told = [data_of(session, names.get(session.pk, "")) for session in sessions]
    devices = tuple(session.mode or session.device or None for session in sessions)
    return [
        *(
            Difference(f"data.{key}", MADE_OF, label, tuple(one.get(key) for one in told))
            for key, label in DATA.items()
        ),
        Difference("device", MADE_OF, "Device", devices, "Where it runs, or ran last."),
    ]


DATA = {
    "dataset": "Dataset",
    "rows": "Rows",
    "sha256": "Fingerprint",
    "split": "Held-out split",
    "mapping": "Columns",
}


def data_of(session: Session, name: str) -> dict[str, Any]:
    """As it was frozen at the start; of a draft only the name is known."""
    was = session.dataset_fingerprint
    if not was:
        return {"dataset": name or None}
    return {
        "dataset": f"{was.get('dataset')}, version {was.get('version')}",
        "rows": was.get("rows"),
        "sha256": str(was.get("sha256", ""))[:FINGERPRINT_DIGITS],
        "split": split_text(was.get("split") or {}),
        "mapping": mapping_text(was.get("mapping") or {}),
    }


def split_text(split: dict[str, Any]) -> str:
    """`by seed 42, 96 held out`"""
    by = f"by the column {split['column']}" if split.get("column") else f"by seed {split.get('seed')}"
    sizes = [
        f"{split[key]} {words}"
        for key, words in (("held_out", "held out"), ("validation", "for validation"))
        if split.get(key)
    ]
    return ", ".join([by, *([] if split.get("column") else sizes)])


def mapping_text(mapping: dict[str, Any]) -> str:
    """`question + input → answer (rule)`"""
    asked = " + ".join(str(mapping[key]) for key in ("instruction", "input") if mapping.get(key))
    rule = f" ({mapping['rule']})" if mapping.get("rule") else ""
    return f"{asked} → {mapping.get('response')}{rule}"


def rewards(sessions: Sequence[Session]) -> list[Difference]:
    """A row for each part that at least one has, and for how the parts make a total."""
    parts = [{part["name"]: part for part in session.reward.get("parts") or []} for session in sessions]
    names = dict.fromkeys(name for one in parts for name in one)
    found = [
        Difference(
            f"reward.part.{name}",
            REWARD,
            f"Part {name}",
            tuple(part_text(one[name]) if name in one else None for one in parts),
        )
        for name in names
    ]
    totals = dict.fromkeys(key for session in sessions for key in session.reward if key != "parts")
    return found + [
        Difference(
            f"reward.total.{key}", REWARD, f"Total: {key.replace('_', ' ')}", tuple(s.reward.get(key) for s in sessions)
        )
        for key in totals
    ]


def part_text(part: dict[str, Any]) -> str:
    """`1 × length(target=40), gate 0.5`"""
    given = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in part["parameters"].items())
    text = f"{part['weight']:g} × {part['function']}({given})"
    more = [f"{key} {json.dumps(part[key])}" for key in ("gate", "clip") if part.get(key) is not None]
    return ", ".join([text, *more])


def shown(value: Any) -> str:
    """A value of a setting as text; "" where there is none."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return format(value, ".12g")
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
