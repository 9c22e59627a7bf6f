"""The verbs of evaluations: some models answer each row of a set. evaluation_answering.py answers, in a child."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from pydantic import ValidationError

from accounts.access import require
from accounts.models import AnyUser, Role
from evaluation import candidates
from evaluation.candidates import Candidate, NoSuchCandidate
from evaluation.models import EvaluatedModel, Evaluation, EvaluationSet
from jobs import running
from jobs.choices import JobStatus
from loracraft.numbers import thousands
from rewards import presets
from rewards.composition import Composition
from training.models import Session

OPEN = [JobStatus.QUEUED, JobStatus.RUNNING]
ENDED_EARLY = [JobStatus.FAILED, JobStatus.CANCELLED]
MOST_MODELS = 6
MOST_SAMPLES = 64
# Of one evaluation: its report reads them all.
MOST_ANSWERS = 200_000
# In place of a preset's id: that of the first model which has one.
OWN_REWARD = "session"
EXACT_MATCH = "Exact match"


class EvaluationProblem(Exception):
    """Why this can't be done; `field` is the field of the form that it is about, "" for none."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message, self.field = message, field


@dataclass(frozen=True)
class Answering:
    """Each row is answered greedily once, and `samples` times with temperature, top-p and top-k."""

    samples: int = 0
    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 0
    max_new_tokens: int = 256
    seed: int = 0


@dataclass(frozen=True)
class Wanted:
    """`models`: keys of candidates. `reward`: "", OWN_REWARD or the id of a preset."""

    models: Sequence[str]
    name: str = ""
    reward: str = ""
    answering: Answering = Answering()


def visible_to(user: AnyUser) -> QuerySet[Evaluation]:
    found: QuerySet[Evaluation] = Evaluation.objects.of_user(user)
    return found


def answers_asked(rows: int, models: int, samples: int) -> int:
    return rows * models * (1 + samples)


def create(user: AnyUser, asked: EvaluationSet, wanted: Wanted) -> Evaluation:
    """Queues it. Raises EvaluationProblem, PermissionDenied."""
    require(user, asked.team, Role.MEMBER)
    return queued(asked, candidates.visible_to(user), presets.visible_to(user), wanted, user.pk)


def queued(
    asked: EvaluationSet,
    sessions: QuerySet[Session],
    rewards: QuerySet[Any],
    wanted: Wanted,
    by: int | None,
    *,
    rings: bool = True,
) -> Evaluation:
    """As `create`, for those who may use `sessions` and `rewards`. Raises EvaluationProblem."""
    chosen = chosen_models(asked, sessions, wanted.models)
    check_size(asked, len(chosen), wanted.answering.samples)
    reward, reward_name = reward_of(asked, rewards, chosen, wanted.reward)
    with transaction.atomic():
        made = Evaluation.objects.create(
            team=asked.team,
            created_by_id=by,
            name=wanted.name.strip() or f"{asked.name[:150]}, {len(chosen)} model{'' if len(chosen) == 1 else 's'}",
            evaluation_set=asked,
            settings=asdict(wanted.answering),
            reward=reward.model_dump(mode="json") if reward else {},
            reward_name=reward_name,
        )
        EvaluatedModel.objects.bulk_create(
            EvaluatedModel(evaluation=made, number=number, key=each.key, title=each.title, candidate=each.stored)
            for number, each in enumerate(chosen, 1)
        )
        if rings:
            ring(made)
    return made


def chosen_models(asked: EvaluationSet, sessions: QuerySet[Session], keys: Sequence[str]) -> list[Candidate]:
    """Raises EvaluationProblem."""
    wanted = list(dict.fromkeys(key for key in keys if key))
    if not 1 <= len(wanted) <= MOST_MODELS:
        raise EvaluationProblem(f"Choose one to {MOST_MODELS} models.", "models")
    return [chosen_model(asked, sessions, key) for key in wanted]


def chosen_model(asked: EvaluationSet, sessions: QuerySet[Session], key: str) -> Candidate:
    try:
        found = candidates.named(sessions, key)
    except NoSuchCandidate as problem:
        raise EvaluationProblem(f"{key[:100]}: {problem}", "models") from None
    # Whoever may see the set will read its answers.
    if found.session and found.session.team_id != asked.team_id:
        raise EvaluationProblem(f"{found.title} belongs to another team than the set.", "models")
    return found


def check_size(asked: EvaluationSet, models: int, samples: int) -> None:
    answers = answers_asked(asked.row_count, models, samples)
    if answers > MOST_ANSWERS:
        raise EvaluationProblem(
            f"That are {thousands(answers)} answers, and an evaluation has {thousands(MOST_ANSWERS)} at most."
            " Ask for fewer samples or models, or take a smaller set.",
            "samples" if samples else "models",
        )


def reward_of(
    asked: EvaluationSet, rewards: QuerySet[Any], chosen: Sequence[Candidate], wanted: str
) -> tuple[Composition | None, str]:
    """(what judges all models alike, its name). Raises EvaluationProblem."""
    if not wanted:
        return None, EXACT_MATCH
    found, name = own_reward(chosen) if wanted == OWN_REWARD else preset_named(asked, rewards, wanted)
    check_reward(asked, found)
    return found, name


def own_reward(chosen: Sequence[Candidate]) -> tuple[Composition, str]:
    session = next((each.session for each in chosen if each.session and each.session.reward), None)
    if session is None:
        raise EvaluationProblem("None of these models has a reward of its own. Choose another one.", "reward")
    try:
        return Composition.model_validate(session.reward), f"Reward of {session.name[:150]}"
    except ValidationError:
        raise EvaluationProblem(
            f"The reward of {session.name} can't be used any more. Choose another one.", "reward"
        ) from None


def preset_named(asked: EvaluationSet, rewards: QuerySet[Any], pk: str) -> tuple[Composition, str]:
    preset = rewards.filter(pk=pk).first()
    if preset is None or preset.team_id not in (None, asked.team_id):
        raise EvaluationProblem("That reward is not one of the set's team. Choose another one.", "reward")
    try:
        return presets.composition_of(preset), preset.name
    except presets.PresetMissing as problem:
        raise EvaluationProblem(str(problem), "reward") from None


def check_reward(asked: EvaluationSet, reward: Composition) -> None:
    """Raises EvaluationProblem for one that could judge no row."""
    if reward.unavailable:
        raise EvaluationProblem(f"It can't be used on this machine. {' '.join(reward.unavailable)}", "reward")
    first = asked.rows.first()
    lacking = [name for name in reward.columns if first and name not in first.columns]
    if lacking:
        names = ", ".join(f"“{name}”" for name in lacking)
        raise EvaluationProblem(f"This reward reads {names}, and the rows of the set have no such column.", "reward")


def cancel(evaluation: Evaluation) -> bool:
    """What was answered until then stays."""
    return running.cancel(evaluation)


def may_go_on(evaluation: Evaluation) -> bool:
    return evaluation.status in ENDED_EARLY


def go_on(evaluation: Evaluation) -> None:
    """Queues one that ended early, for the answers that are missing. Raises EvaluationProblem."""
    ended = Evaluation.objects.filter(pk=evaluation.pk, status__in=ENDED_EARLY)
    if not ended.update(status=JobStatus.QUEUED, error="", message="", finished_at=None):
        raise EvaluationProblem("There is nothing to go on with: it runs, or each row has been answered.")
    ring(evaluation)


def delete(evaluation: Evaluation) -> None:
    """With its answers; the set stays. Raises EvaluationProblem."""
    gone, _ = Evaluation.objects.filter(pk=evaluation.pk).exclude(status__in=OPEN).delete()
    if not gone:
        raise EvaluationProblem("It still runs. Cancel it first.")


def ring(evaluation: Evaluation) -> None:
    from evaluation.tasks import evaluate

    # robust: with the queue away the row waits for the next poll instead of failing the request.
    transaction.on_commit(lambda: evaluate(str(evaluation.pk)), robust=True)
