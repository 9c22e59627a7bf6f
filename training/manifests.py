"""A session's run manifest: one JSON with all that it takes to do the run again and to trust it (docs/manifest.md).

It names no machine, no folder and no person, and holds no key. What only a trainer knows (versions, hardware, the sums
of the model's files) comes from the events of its attempts.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePath
from typing import Any

from django.db.models import Q
from django.utils import timezone

from training import base_models, lifecycle, series
from training.choices import Kind, Status
from training.engine import environment
from training.engine.files import MANIFEST
from training.manifest_schema import FORMAT, FORMAT_VERSION
from training.models import Event, Session

# (step, mean reward; None where no answer could be judged)
StepReward = tuple[int | None, float | None]


class NotStarted(Exception):
    """A draft has no manifest: its config may still change."""


def manifest(session: Session) -> dict[str, Any]:
    """Raises NotStarted."""
    if session.status == Status.DRAFT:
        raise NotStarted("A draft has no manifest: start the session first.")
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "written_at": timezone.now().isoformat(),
        "written_by": environment.program(),
        "session": about(session),
        "config": portable(session.config),
        "model": model_of(session),
        "dataset": session.dataset_fingerprint,
        "reward": reward_of(session),
        "seeds": seeds_of(session),
        "attempts": attempts_of(session),
        "results": results_of(session),
        "times": times_of(session),
    }


def file_name(session: Session) -> str:
    return f"manifest-{session.pk}.json"


def about(session: Session) -> dict[str, Any]:
    return {
        "id": str(session.pk),
        "name": session.name,
        "status": session.status,
        "cloned_from": str(session.cloned_from_id) if session.cloned_from_id else None,
        "reproduces": session.reproduces.get("session_id"),
    }


# Folders of one machine


def portable(config: dict[str, Any]) -> dict[str, Any]:
    """The config, with a model in a folder of its own named as if it lay in the models folder."""
    model, reward = config.get("model") or {}, config.get("reward") or {}
    named = {**model, "name": portable_model(str(model.get("name", "")))}
    return {**config, "model": named, "reward": portable_reward(reward)}


def portable_model(name: str) -> str:
    if name.startswith(base_models.LOCAL) or not base_models.is_folder(name):
        return name
    return f"{base_models.LOCAL}{PurePath(name).name}"


def portable_reward(parted: dict[str, Any]) -> dict[str, Any]:
    """Embeddings may lie in a folder, too."""
    return {**parted, "parts": [portable_part(part) for part in parted.get("parts") or []]}


def portable_part(part: dict[str, Any]) -> dict[str, Any]:
    given = part.get("parameters") or {}
    model = given.get("model")
    return {**part, "parameters": {**given, "model": portable_model(model)}} if isinstance(model, str) else part


# What it ran with


def model_of(session: Session) -> dict[str, Any]:
    """`commit` and `fingerprint` as the newest attempt found them; None where no trainer has said."""
    named = session.config.get("model") or {}
    loaded = session.events.filter(kind=Kind.LOG, data__has_key="environment").order_by("-seq")
    found: dict[str, Any] = loaded.values_list("data__model", flat=True).first() or {}
    name = str(named.get("name", ""))
    return {
        "name": portable_model(name),
        "own_folder": portable_model(name) != name,
        "revision": named.get("revision"),
        "commit": found.get("commit"),
        "fingerprint": found.get("fingerprint"),
    }


def reward_of(session: Session) -> dict[str, Any]:
    check = session.reward_check
    return {
        "composition": portable_reward(session.reward),
        "preset": session.reward_preset or None,
        "check": {key: check.get(key) for key in ("passed", "problems", "warnings")} if check else None,
        "override_reason": session.reward_override.get("reason"),
    }


def seeds_of(session: Session) -> dict[str, Any]:
    split = session.dataset_fingerprint.get("split") or {}
    training = session.config.get("training") or {}
    return {"training": training.get("seed"), "split": split.get("seed")}


def attempts_of(session: Session) -> list[dict[str, Any]]:
    """One for each time that a trainer took the session up, the oldest first."""
    wanted = Q(kind=Kind.PHASE) | Q(kind=Kind.LOG, data__has_key="environment")
    told = Event.objects.filter(wanted, session=session)
    found: dict[int, dict[str, Any]] = {}
    for event in told.order_by("seq").only("attempt", "kind", "data", "created_at"):
        attempt = found.setdefault(event.attempt, new_attempt(event))
        add_to(attempt, event, session)
    return list(found.values())


def new_attempt(event: Event) -> dict[str, Any]:
    nothing = dict.fromkeys(
        ("resumed_from", "ended_as", "program", "versions", "hardware", "unsloth_used", "model_sha256")
    )
    return {"attempt": event.attempt, "began_at": event.created_at.isoformat(), **nothing, "fallbacks": []}


def add_to(attempt: dict[str, Any], event: Event, session: Session) -> None:
    data = event.data
    if event.kind == Kind.LOG:
        loaded = (data.get("model") or {}).get("fingerprint") or {}
        attempt.update(data["environment"], model_sha256=loaded.get("sha256"))
        attempt["fallbacks"] = [*(data.get("fallbacks") or []), *smaller_passes(session, data.get("passes") or {})]
    elif data.get("ended"):
        attempt["ended_as"] = data.get("status")
    elif data.get("resumed_from") is not None:
        attempt["resumed_from"] = {"phase": data.get("status"), "step": data["resumed_from"]}


def smaller_passes(session: Session, passes: dict[str, Any]) -> list[dict[str, Any]]:
    """What an attempt after one that ran out of memory changes."""
    asked = session.config.get("training") or {}
    return [
        {"field": f"training.{name}", "message": f"{value} instead of {asked[name]}, after memory ran out."}
        for name, value in passes.items()
        if name in asked and asked[name] != value
    ]


# What came of it


def results_of(session: Session) -> dict[str, Any]:
    return {
        "step": session.step,
        "total_steps": session.total_steps,
        "last_reward": session.last_reward,
        "rewards": rewards_of(session),
        "scores": scores_of(session),
        "best_while_training": best_of(session),
        "adapter": adapter_of(session),
    }


def rewards_of(session: Session) -> dict[str, Any]:
    """{"steps", "sha256"} of the mean reward of every step that counts: two runs with the same sum had the same."""
    pairs = reward_by_step(session)
    return {"steps": len(pairs), "sha256": sum_of(pairs) if pairs else None}


def sum_of(rewards: list[StepReward]) -> str:
    return hashlib.sha256(json.dumps(rewards).encode()).hexdigest()


def reward_by_step(session: Session) -> list[StepReward]:
    found = series.metric_events(session).filter(data__has_key="reward").order_by("step")
    rows = found.values_list("step", "data__reward")
    return [(step, None if reward is None else float(reward)) for step, reward in rows.iterator()]


def scores_of(session: Session) -> dict[str, Any]:
    """The summary of the held-out questions by label, base and adapter, with the 95 % interval."""
    done = session.events.filter(kind=Kind.EVALUATION, superseded=False, step=None, data__has_key="summary")
    return {data["label"]: data["summary"] for data in done.order_by("seq").values_list("data", flat=True)}


def best_of(session: Session) -> dict[str, Any] | None:
    scored = session.events.filter(kind=Kind.EVALUATION, superseded=False, data__label="validation")
    newest = scored.order_by("-seq").values_list("data", flat=True).first()
    return {key: newest.get(key) for key in ("metric", "best_step", "best_score")} if newest else None


def adapter_of(session: Session) -> dict[str, Any] | None:
    """The sums of the finished adapter's files, as they were when it was saved."""
    sealed = lifecycle.read_json(session.adapter / MANIFEST) or {}
    return {"files": sealed["files"]} if isinstance(sealed.get("files"), dict) else None


def times_of(session: Session) -> dict[str, Any]:
    moments = {name: getattr(session, name) for name in ("created_at", "queued_at", "started_at", "finished_at")}
    return {name: moment.isoformat() if moment else None for name, moment in moments.items()}
