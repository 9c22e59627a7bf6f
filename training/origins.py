"""What a session was made from, where it differs, and whether a run that was done again came out the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from datasets_app.problems import DatasetProblem
from datasets_app.sources import find
from loracraft.numbers import thousands
from rewards import presets
from training import config_diff, manifests
from training.models import Session

OWN_PARTS = "parts of its own"


class Change(NamedTuple):
    field: str
    label: str
    before: str
    after: str


@dataclass(frozen=True)
class Verdict:
    """Whether the rewards of a run done again are those of the first, as far as both have steps."""

    same: bool
    text: str


@dataclass(frozen=True)
class Origin:
    """`original` is None where the session comes from a manifest of elsewhere, or its original was deleted."""

    original: Session | None
    name: str
    is_reproduction: bool
    changes: list[Change]
    verdict: Verdict | None


def origin_of(session: Session, *, compare: bool = False) -> Origin | None:
    """None for a session that was made from nothing. To `compare` rewards reads every step of both."""
    original = session.cloned_from if session.cloned_from_id else None
    if original is not None and original.team_id != session.team_id:
        original = None
    again = session.reproduces
    if original is None and not again:
        return None
    return Origin(
        original,
        original.name if original else str(again.get("name", "")),
        bool(again),
        changes(original, session) if original else [],
        verdict(session, original) if compare and again else None,
    )


# Differences


def changes(before: Session, after: Session) -> list[Change]:
    """Of the configs, with dataset and preset by the versions that were used: the same name may hold other rows."""
    found = {
        each.key: Change(each.key, each.label, *each.texts)
        for each in config_diff.differences([before.config, after.config])
    }
    for field, text in VERSIONED.items():
        found.pop(field, None)
        was, now = text(before), text(after)
        if not is_same(was, now):
            found[field] = Change(field, str(config_diff.fields()[field].title), was, now)
    order = list(config_diff.fields())
    return sorted(found.values(), key=lambda change: order.index(change.field))


def is_same(was: str, now: str) -> bool:
    """`math` may be any version of it."""
    return was == now or was.rpartition(" v")[0] == now or now.rpartition(" v")[0] == was


def dataset_text(session: Session) -> str:
    if was := session.dataset_fingerprint:
        return f"{was['dataset']} v{was['version']}"
    source = value_of(session, "dataset", "source")
    try:
        dataset, number = find(session.team, source.strip())
    except DatasetProblem:
        return source or config_diff.EMPTY
    newest = dataset.latest
    return f"{dataset} v{number or (newest.number if newest else 1)}"


def preset_text(session: Session) -> str:
    """Without a version where the session began before versions were kept."""
    slug = value_of(session, "reward", "preset_name")
    if value_of(session, "reward", "type") == "custom":
        return OWN_PARTS
    if kept := session.reward_preset:
        return f"{kept['slug']} v{kept['version']}"
    preset = presets.row_named(session.team, slug) if not session.reward else None
    return f"{slug} v{preset.version}" if preset else slug


def value_of(session: Session, section: str, key: str) -> str:
    inside = session.config.get(section)
    standard = config_diff.fields()[f"{section}.{key}"].default
    return str((inside.get(key) if isinstance(inside, dict) else None) or standard or "")


VERSIONED: dict[str, Callable[[Session], str]] = {
    "dataset.source": dataset_text,
    "reward.preset_name": preset_text,
}


# A run done again


def verdict(session: Session, original: Session | None) -> Verdict | None:
    """None before there is anything to compare."""
    rewards = manifests.reward_by_step(session)
    if not rewards:
        return None
    was = session.reproduces.get("rewards") or {}
    if was.get("sha256") == manifests.sum_of(rewards):
        return Verdict(True, f"The reward of each of its {steps(len(rewards))} is exactly that of the first run.")
    if original is not None:
        return step_by_step(rewards, manifests.reward_by_step(original))
    if session.is_active or not was.get("sha256"):
        return None
    return Verdict(False, "Its rewards are not those of the first run. The manifest does not say at which step.")


def steps(count: int) -> str:
    return f"{thousands(count)} step{'' if count == 1 else 's'}"


def step_by_step(again: list[manifests.StepReward], first: list[manifests.StepReward]) -> Verdict | None:
    other = dict(first)
    common = [(step, reward) for step, reward in again if step in other]
    differing = [(step, reward) for step, reward in common if reward != other[step]]
    if not common:
        return None
    if differing:
        step, reward = differing[0]
        return Verdict(False, f"Its rewards differ from step {step} on: {other[step]} in the first run, {reward} here.")
    return Verdict(True, f"The reward of each of the {steps(len(common))} that both have is exactly the same.")
