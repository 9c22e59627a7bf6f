"""The verbs of batches: prompts of a file that one model answers. batch_answering.py answers, in a child process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from accounts.access import current_team, require, teams_with
from accounts.models import AnyUser, Role, Team
from evaluation import answer_sets, prompt_files
from evaluation.choices import RowStatus
from evaluation.models import Batch, BatchRow, PromptFile
from evaluation.prompt_files import Fault, Parsed, Prompt
from jobs import running
from jobs.choices import JobStatus
from loracraft.numbers import thousands
from rewards import presets
from rewards.bench_sources import NotAsked
from rewards.composition import Composition
from training import adapters, reward_gate
from training.models import Session
from training.recorder import storable
from training.schema import SessionConfig

OPEN = [JobStatus.QUEUED, JobStatus.RUNNING]
ENDED_EARLY = [JobStatus.FAILED, JobStatus.CANCELLED]
# What is answered with, in place of a checkpoint's name: the base model of the session, without an adapter.
WITHOUT_ADAPTER = "base"
# In place of a preset's id.
OWN_REWARD = "session"
WRITTEN_AT_ONCE = 500
FAULTS_SAID = 5
KEPT_HOURS = 24


class BatchProblem(Exception):
    """Why this can't be done; `field` is the field of the form that it is about, "" for none."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message, self.field = message, field


@dataclass(frozen=True)
class Wanted:
    """`checkpoint`: "" for the newest adapter, the name of one, or WITHOUT_ADAPTER. `reward`: "", OWN_REWARD or the id
    of a preset. `skip_faulty`: lines that can't be a row are left out."""

    model: str
    prompt_column: str
    reference_column: str = ""
    name: str = ""
    checkpoint: str = ""
    reward: str = ""
    skip_faulty: bool = False
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 256
    seed: int = 0
    use_system_prompt: bool = True


def may_create(user: AnyUser) -> bool:
    return teams_with(user, Role.MEMBER).exists()


def keep_file(user: AnyUser, name: str, content: bytes, *, lines: bool = False) -> PromptFile:
    """Raises PermissionDenied. What nobody made a batch of is removed after a day."""
    PromptFile.objects.filter(created_at__lt=timezone.now() - timedelta(hours=KEPT_HOURS)).delete()
    team = current_team(user, Role.MEMBER)
    return PromptFile.objects.create(team=team, created_by_id=user.pk, name=name[-200:], content=content, lines=lines)


def with_guesses(parsed: Parsed, wanted: Wanted, *, reference: bool) -> Wanted:
    """Columns that nobody named by what they are called; with `reference` that of the reference answers, too."""
    prompt = wanted.prompt_column or parsed.prompt_guess
    expected = wanted.reference_column
    return replace(
        wanted,
        prompt_column=prompt,
        reference_column=parsed.reference_guess(prompt) if reference and not expected else expected,
    )


def create(user: AnyUser, parsed: Parsed, file_name: str, wanted: Wanted) -> Batch:
    """Queues it. Raises BatchProblem, PermissionDenied."""
    session, base = model_of(user, wanted.model)
    team = team_of(user, session)
    rows, faults = usable_rows(parsed, wanted)
    config = session.parsed_config if session else SessionConfig()
    reward, reward_name = reward_of(user, team, session, wanted)
    check_reward(reward, parsed, wanted)
    with transaction.atomic():
        batch = Batch.objects.create(
            team=team,
            created_by_id=user.pk,
            name=wanted.name.strip() or file_name or "Pasted prompts",
            session=session,
            base_model=base,
            adapter=adapter_named(session, wanted.checkpoint),
            settings=settings_of(wanted, session, config),
            reward=reward.model_dump(mode="json") if reward else {},
            reward_name=reward_name,
            file_name=file_name,
            source={
                "prompt": wanted.prompt_column,
                "reference": wanted.reference_column,
                "left_out": len(faults),
                "notes": parsed.notes,
            },
            row_count=len(rows),
        )
        BatchRow.objects.bulk_create(rows_of(batch, rows), batch_size=WRITTEN_AT_ONCE)
        ring(batch)
    return batch


def model_of(user: AnyUser, value: str) -> tuple[Session | None, str]:
    """(its session or None, the base model's name). Raises BatchProblem."""
    if not value:
        raise BatchProblem("Choose a model of the list.", "model")
    try:
        session = answer_sets.session_named(user, value)
    except NotAsked as problem:
        raise BatchProblem(str(problem), "model") from None
    if session:
        return session, session.parsed_config.model.name
    base = value.removeprefix(answer_sets.BASE)
    if base not in answer_sets.here(user):
        raise BatchProblem(answer_sets.GONE, "model")
    return None, base


def team_of(user: AnyUser, session: Session | None) -> Team:
    if session is None:
        return current_team(user, Role.MEMBER)
    require(user, session.team, Role.MEMBER)
    return session.team


def usable_rows(parsed: Parsed, wanted: Wanted) -> tuple[list[Prompt], list[Fault]]:
    """Raises BatchProblem for columns that are not there, and for faulty lines that shall not be left out."""
    check_columns(parsed, wanted)
    rows, faults = prompt_files.prompts(parsed, wanted.prompt_column, wanted.reference_column)
    if not rows:
        raise BatchProblem(f"No row has a prompt. {faults[0].said(parsed.unit)}", "prompt_column")
    if faults and not wanted.skip_faulty:
        raise BatchProblem(f"{said(faults, parsed.unit)} Put them right in the file, or leave them out.", "skip_faulty")
    return rows, faults


def check_columns(parsed: Parsed, wanted: Wanted) -> None:
    has = ", ".join(f"“{name}”" for name in parsed.columns)
    if not wanted.prompt_column:
        raise BatchProblem(f"Choose the column that holds the prompts. The file has {has}.", "prompt_column")
    for field in ("prompt_column", "reference_column"):
        name = getattr(wanted, field)
        if name and name not in parsed.columns:
            raise BatchProblem(f"There is no column “{name}”. The file has {has}.", field)
    if wanted.prompt_column == wanted.reference_column:
        raise BatchProblem("Prompt and reference are the same column. Choose another one, or none.", "reference_column")


def said(faults: Sequence[Fault], unit: str) -> str:
    """The first of them in a sentence each, and how many there are."""
    first = " ".join(fault.said(unit) for fault in faults[:FAULTS_SAID])
    more = len(faults) - FAULTS_SAID
    return f"{first} And {thousands(more)} more." if more > 0 else first


def reward_of(user: AnyUser, team: Team, session: Session | None, wanted: Wanted) -> tuple[Composition | None, str]:
    """(composition, its name). Raises BatchProblem."""
    if not wanted.reward:
        return None, ""
    if wanted.reward == OWN_REWARD:
        return own_reward(session), "The session's own reward"
    preset = presets.visible_to(user).filter(pk=wanted.reward).first()
    if preset is None or preset.team_id not in (None, team.pk):
        raise BatchProblem("That reward is not one of the model's team. Choose another one.", "reward")
    try:
        return presets.composition_of(preset), preset.name
    except presets.PresetMissing as problem:
        raise BatchProblem(str(problem), "reward") from None


def own_reward(session: Session | None) -> Composition:
    if session is None or not session.reward:
        raise BatchProblem("This model has no reward of its own. Choose another one, or none.", "reward")
    try:
        return Composition.model_validate(session.reward)
    except ValidationError:
        raise BatchProblem("This session's reward can't be used any more. Choose another one.", "reward") from None


def check_reward(reward: Composition | None, parsed: Parsed, wanted: Wanted) -> None:
    """Raises BatchProblem for one that could judge no row."""
    if reward is None:
        return
    if reward.unavailable:
        raise BatchProblem(f"It can't be used on this machine. {' '.join(reward.unavailable)}", "reward")
    if reward.needs_reference and not wanted.reference_column:
        raise BatchProblem(
            "This reward compares with a reference answer. Choose the column that holds it, or another reward.",
            "reward",
        )
    lacking = [name for name in reward.columns if name not in parsed.columns]
    if lacking:
        names = ", ".join(f"“{name}”" for name in lacking)
        raise BatchProblem(f"This reward reads {names}, and the file has no such column.", "reward")


def adapter_named(session: Session | None, checkpoint: str) -> str:
    """Where it lies in the session's folder; "" for the newest one. Raises BatchProblem."""
    if not checkpoint or checkpoint == WITHOUT_ADAPTER:
        return ""
    if session is None:
        raise BatchProblem("A base model has no checkpoints. Leave it at the newest.", "checkpoint")
    found = next((each for each in adapters.checkpoints(session) if each.name == checkpoint), None)
    if found is None:
        raise BatchProblem("That checkpoint is gone: only the newest ones are kept. Choose another one.", "checkpoint")
    return str(found.relative_to(session.folder))


def settings_of(wanted: Wanted, session: Session | None, config: SessionConfig) -> dict[str, Any]:
    sampling = ("temperature", "top_p", "top_k", "max_new_tokens", "seed", "use_system_prompt")
    return {
        **{name: getattr(wanted, name) for name in sampling},
        "with_adapter": session is not None and wanted.checkpoint != WITHOUT_ADAPTER,
        "markers": vars(reward_gate.markers_of(config)),
    }


def rows_of(batch: Batch, rows: Iterable[Prompt]) -> list[BatchRow]:
    return [
        BatchRow(
            batch=batch,
            number=number,
            line=row.line,
            prompt=row.text,
            reference=row.reference,
            columns=storable(row.columns),
        )
        for number, row in enumerate(rows, 1)
    ]


def cancel(batch: Batch) -> bool:
    """What was answered until then stays."""
    return running.cancel(batch)


def may_go_on(batch: Batch) -> bool:
    return batch.status in ENDED_EARLY and batch.rows.filter(status=RowStatus.WAITING).exists()


def go_on(batch: Batch) -> None:
    """Queues one that ended early, for its rows without an answer. Raises BatchProblem."""
    ended = Batch.objects.filter(pk=batch.pk, status__in=ENDED_EARLY)
    if not may_go_on(batch) or not ended.update(status=JobStatus.QUEUED, error="", message="", finished_at=None):
        raise BatchProblem("There is nothing to go on with: it runs, or each row has been answered.")
    ring(batch)


def delete(batch: Batch) -> None:
    """With its answers. Raises BatchProblem."""
    gone, _ = Batch.objects.filter(pk=batch.pk).exclude(status__in=OPEN).delete()
    if not gone:
        raise BatchProblem("It still runs. Cancel it first.")


def title_of_model(batch: Batch) -> str:
    """Who answers, in a few words."""
    base = answer_sets.short(batch.base_model)
    if batch.session is None:
        return base
    if not batch.settings["with_adapter"]:
        return f"{base}, the base of {batch.session.name}"
    folder, _, checkpoint = batch.adapter.rpartition("/")
    return f"{batch.session.name}, {checkpoint}" if folder else batch.session.name


def ring(batch: Batch) -> None:
    from evaluation.tasks import answer_batch

    # robust: with the queue away the row waits for the next poll instead of failing the request.
    transaction.on_commit(lambda: answer_batch(str(batch.pk)), robust=True)
