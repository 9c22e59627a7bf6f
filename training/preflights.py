"""The verbs of trying a session out before it is queued. A worker's child does it: engine/preflight.py."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psutil
from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import AnyUser, Team
from jobs import running
from jobs.choices import JobStatus
from training import (
    architecture,
    base_models,
    devices,
    lifecycle,
    preflight_results,
    queue,
    readiness,
    reward_gate,
    slots,
)
from training.choices import Status
from training.models import Preflight, Session
from training.preflight_advice import BAD
from training.schema import SessionConfig

if TYPE_CHECKING:
    from datasets_app.models import DatasetVersion

OPEN = (JobStatus.QUEUED, JobStatus.RUNNING)
QUESTIONS = 16
# Of each question: fewer could not be carried on to a group, more are not worth their time.
FEWEST, MOST = 4, 64
# Of the whole device, for answers and steps together. Loading comes on top.
SECONDS = 600.0
LOOK_SECONDS = 2.0
logger = logging.getLogger(__name__)


class NotTried(Exception):
    """Why there is nothing to try, in words."""


@dataclass(frozen=True)
class State:
    """What a page shows: the newest preflight, the newest with a result, and whether that is of another config."""

    job: Preflight | None
    done: Preflight | None
    changed: bool

    @property
    def is_open(self) -> bool:
        return self.job is not None and self.job.status in OPEN

    @property
    def result(self) -> dict[str, Any]:
        return self.done.result if self.done else {}


def state(session: Session, digest: str) -> State:
    """`digest` of what the session would be now; "" if it can't be told."""
    rows = Preflight.objects.filter(session=session)
    job = rows.first()
    done = job if job is None or job.status == JobStatus.READY else rows.filter(status=JobStatus.READY).first()
    return State(job, done, done is not None and done.digest != digest)


def digest_of(config: SessionConfig, reward: dict[str, Any], version: DatasetVersion | None) -> str:
    """Of everything that decides what a preflight finds. A new name changes nothing."""
    decisive = {**config.model_dump(mode="json"), "name": ""}
    content = [decisive, reward, [str(version.pk), version.mapping, version.split] if version else None]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def digest_now(session: Session) -> str:
    """ "" if the session can't run as it is."""
    try:
        ready = readiness.check(session.team, session.config, session.dataset_version)
    except readiness.NotReady:
        return ""
    return digest_of(ready.config, ready.composition, ready.version)


def answers_for(config: SessionConfig) -> int:
    """Of each question: a whole group, so that nothing has to be carried on."""
    return min(max(config.grpo.num_generations, FEWEST), MOST)


def start(session: Session, by: AnyUser | None, *, then_start: bool = False, reward_override: str = "") -> Preflight:
    """Queues one of a draft, or returns the one that waits or runs. Raises NotTried, readiness.NotReady.

    `then_start`: the session joins the queue afterwards by itself, unless the result speaks against it.
    """
    if session.status != Status.DRAFT:
        raise NotTried("This session has been started: clone it to try something else.")
    ready = readiness.check(session.team, session.config)
    if then_start:
        # Now rather than after ten minutes: its reward may need a reason.
        reward_gate.passed(ready, session.team, by, reward_override)
    digest = digest_of(ready.config, ready.composition, ready.version)
    with transaction.atomic():
        # Two clicks on the button, or two people, start one.
        Team.objects.select_for_update().get(pk=session.team_id)
        same = Preflight.objects.filter(session=session)
        open_one: Preflight | None = same.filter(status__in=OPEN).first()
        if open_one and open_one.digest == digest:
            if then_start:
                same.filter(pk=open_one.pk).update(starts=True, reward_override=reward_override)
            return open_one
        # The last result stays until there is a new one, and what the queue has to know of slots.
        kept = same.filter(status=JobStatus.READY).values_list("pk", flat=True)[:1]
        same.filter(device="").exclude(status__in=OPEN).exclude(pk__in=list(kept)).delete()
        if open_one:
            running.cancel(open_one)
        job = Preflight.objects.create(
            team=session.team,
            created_by_id=by.pk if by else None,
            session=session,
            config=ready.config.model_dump(mode="json"),
            reward=ready.composition,
            dataset_version=ready.version,
            digest=digest,
            starts=then_start,
            reward_override=reward_override,
        )
        _ring(job)
    return job


def _ring(job: Preflight) -> None:
    from training.preflight_tasks import run_preflight

    # robust: with the queue away the row waits for the next poll instead of failing the request.
    transaction.on_commit(lambda: run_preflight(str(job.pk)), robust=True)


def cancel(session: Session) -> bool:
    """True if one was still open. Its worker ends the child within a second."""
    job = Preflight.objects.filter(session=session, status__in=OPEN).first()
    return job is not None and running.cancel(job)


def attend(pk: str) -> bool:
    """In a worker: runs it, if there is a slot for it. The dispatcher rings again for what waits."""
    from training.preflight_tasks import PREFLIGHT

    return running.run(PREFLIGHT, pk)


def claim(pk: str) -> int | None:
    """The attempt that may run it now; None if it does not wait, no slot is free or it is not its turn."""
    with transaction.atomic():
        slots.one_claim_at_a_time()
        first, slot = _next()
        if slot is None or str(first) != str(pk):
            return None
        try:
            with transaction.atomic():
                return running.claim(Preflight, pk, device=slot.device, slot=slot.number)
        except IntegrityError:
            # Another worker was quicker.
            return None


def has_room() -> bool:
    """Whether the next one could begin on this machine."""
    return _next()[1] is not None


def _next() -> tuple[UUID | None, slots.Slot | None]:
    first, slot, _ = queue.shared_out(slots.free_here(), len(lifecycle.waiting()))
    return first, slot


def environment_of(pk: str) -> dict[str, str]:
    job = Preflight.objects.filter(pk=pk).first()
    return slots.environment_of(job) if job else {}


def folder_of(job: Preflight) -> Path:
    return Path(settings.CACHE_DIR) / "preflights" / str(job.pk)


def tidy(job: Preflight) -> None:
    """Also after those whose session was deleted while their child ran."""
    folder = folder_of(job)
    shutil.rmtree(folder, ignore_errors=True)
    found = list(folder.parent.glob("*"))
    in_use = {str(pk) for pk in Preflight.objects.filter(status__in=OPEN).values_list("pk", flat=True)}
    for other in found:
        if other.name not in in_use:
            shutil.rmtree(other, ignore_errors=True)


# In the child.


def perform(job: Preflight) -> None:
    """Measures, and records the outcome. Returns without one if it was cancelled."""
    from training.engine.problems import EngineError, explained

    tidy(job)
    try:
        running.finish(job, result=_result(job))
        _start_its_session(job)
    except running.Lost:
        return
    except EngineError as error:
        running.fail(job, f"{error.message} {error.hint}".strip())
    except Exception as error:
        logger.exception("Preflight %s failed", job.pk)
        known = explained(error, folder_of(job))
        running.fail(job, f"{known.message} {known.hint}" if known else f"It failed: {type(error).__name__}.")
    finally:
        tidy(job)


def _start_its_session(job: Preflight) -> None:
    """If somebody asked for it; else, or if it can't be, the row says why not."""
    job.refresh_from_db()
    if job.starts and job.session.status == Status.DRAFT and (why := _not_started(job)):
        Preflight.objects.filter(pk=job.pk).update(message=why[:300])


def _not_started(job: Preflight) -> str:
    if bad := [line["text"] for line in job.result["advice"] if line["level"] == BAD]:
        return f"It was not started: {bad[0]}"
    if digest_now(job.session) != job.digest:
        return "It was not started: the session was changed meanwhile."
    try:
        lifecycle.start(job.session, job.created_by, job.reward_override)
    except readiness.NotReady as error:
        return f"It was not started: {error.problems[0].message}"
    return ""


def _result(job: Preflight) -> dict[str, Any]:
    from rewards import judge_access
    from rewards.sandbox import pool
    from training.engine.preflight import Wanted, measure
    from training.recorder import storable

    config = SessionConfig.model_validate(job.config)
    free, folder = shutil.disk_usage(settings.OUTPUTS_DIR).free, base_models.tokenizer_folder(config.model.name)
    model = architecture.read(folder) if folder else None
    around = preflight_results.Surroundings(_available(), free, _held_out(job), model)
    with judge_access.paid_by(job.team), pool.owned_by(lambda: f"team {job.team_id}"):
        wanted = Wanted(QUESTIONS, answers_for(config), SECONDS)
        measured = measure(_spec(job, config), wanted, running.reporter(job), _watch(job))
    result: dict[str, Any] = storable(preflight_results.summary(measured, config, around))
    return result


def _available() -> int | None:
    """What a session may take, in bytes: of the GPU where there is one, else what is free of the machine."""
    device = devices.detect()
    return int(psutil.virtual_memory().available) if device.kind == "cpu" else device.memory


def _held_out(job: Preflight) -> int:
    split = job.dataset_version.split if job.dataset_version else {}
    return int(split.get("held_out") or 0)


def _spec(job: Preflight, config: SessionConfig) -> Any:
    from datasets_app.problems import DatasetProblem
    from datasets_app.rows import training_rows
    from rewards.composition import Composition
    from training.engine.problems import EngineError
    from training.engine.run import RunSpec

    if job.dataset_version is None:
        raise EngineError("The dataset was deleted.", "Choose another one.")
    try:
        rows = training_rows(job.dataset_version, config.dataset, config.training.seed)
    except DatasetProblem as problem:
        raise EngineError(problem.message, "Open the dataset and correct its mapping.") from problem
    composition, model = Composition.model_validate(job.reward), base_models.locate(config.model.name)
    return RunSpec(config, composition, rows, [], model, folder_of(job))


def _watch(job: Preflight) -> Callable[[], bool]:
    """Raises Lost within seconds; the engine asks at every token and layer."""
    looked = time.monotonic()

    def should_stop() -> bool:
        nonlocal looked
        if time.monotonic() - looked >= LOOK_SECONDS:
            looked = time.monotonic()
            if not Preflight.objects.filter(pk=job.pk, attempt=job.attempt, status=JobStatus.RUNNING).exists():
                raise running.Lost
        return False

    return should_stop
