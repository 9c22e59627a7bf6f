"""The trained models of a team: which there are, what each was made of, what was made of it, and what goes with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, F, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from accounts.models import AnyUser
from evaluation.models import AnswerSet, Batch, Evaluation, Trial
from exports.formats import choice
from exports.models import Export
from jobs import running
from jobs.choices import JobStatus
from rewards import presets
from rewards.models import RewardPreset
from training import adapters, keeping, lifecycle, overview, session_list
from training.choices import RUNNING, Kind, Status
from training.models import Event, Session, Tag
from training.overview import Score

LONGEST_SEARCH, MOST_WORDS = session_list.LONGEST_SEARCH, session_list.MOST_WORDS
PROMOTED, ARCHIVED = "promoted", "archived"
FILTERS = {
    PROMOTED: ("Promoted", Q(promoted_at__isnull=False, archived_at=None)),
    "finished": ("Finished", Q(status=Status.COMPLETED, archived_at=None)),
    "unfinished": ("From a checkpoint", ~Q(status=Status.COMPLETED) & Q(archived_at=None)),
    ARCHIVED: ("Archived", Q(archived_at__isnull=False)),
}
SHOWN = Q(archived_at=None)
SORTS = ("trained", "name", "score", "gain")
NEWEST = "-trained"


# Which there are


@dataclass(frozen=True)
class Asked:
    """What an address asks for."""

    text: str = ""
    show: str = ""
    tag: str = ""
    sort: str = NEWEST

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        show, sort = query.get("show", ""), query.get("sort", "")
        return cls(
            query.get("q", "").strip()[:LONGEST_SEARCH],
            show if show in FILTERS else "",
            query.get("tag", "").strip().lower(),
            sort if sort.removeprefix("-") in SORTS else NEWEST,
        )

    @property
    def narrows(self) -> bool:
        return bool(self.text or self.show or self.tag)


def models_of(user: AnyUser) -> QuerySet[Session]:
    return adapters.trained(Session.objects.of_user(user))


def matching(user: AnyUser, asked: Asked) -> QuerySet[Session]:
    """Whatever `asked.show` says."""
    found = models_of(user)
    for word in asked.text.split()[:MOST_WORDS]:
        found = found.filter(session_list.about(user, word) | Q(notes__icontains=word) | was_trained_on(word))
    return found.filter(tags__name=asked.tag) if asked.tag else found


def was_trained_on(word: str) -> Q:
    """A dataset that was deleted since."""
    return Q(dataset_version=None, dataset_fingerprint__dataset__icontains=word)


def shown(found: QuerySet[Session], show: str) -> QuerySet[Session]:
    return found.filter(FILTERS[show][1] if show else SHOWN)


def filters(found: QuerySet[Session]) -> list[tuple[str, str, int]]:
    """(key, title, count) of each, all in one query."""
    wanted = {"all": SHOWN, **{key: condition for key, (_, condition) in FILTERS.items()}}
    counts = found.aggregate(**{key: Count("pk", filter=condition, distinct=True) for key, condition in wanted.items()})
    return [("", "All", counts["all"]), *((key, title, counts[key]) for key, (title, _) in FILTERS.items())]


def ordered(found: QuerySet[Session], sort: str) -> Sequence[UUID] | QuerySet[Session, UUID]:
    """The ids. Models without a score come last whichever way it is sorted; what is still trained is the newest."""
    column = F("name") if sort.endswith("name") else Coalesce(F("finished_at"), Now())
    down = sort.startswith("-") or sort.endswith(("score", "gain"))
    ids = found.order_by(column.desc() if down else column.asc(), "-created_at", "pk").values_list("pk", flat=True)
    return by_score(list(ids), sort) if sort.endswith(("score", "gain")) else ids


def by_score(ids: Sequence[UUID], sort: str) -> list[UUID]:
    """Accuracies before mean rewards: the two are not on one scale."""
    scores = overview.scores_of(ids)
    values = {pk: gain_of(scores.get(pk, {})) if sort.endswith("gain") else score_of(scores.get(pk, {})) for pk in ids}
    down = sort.startswith("-")

    def place(pk: UUID) -> tuple[int, float]:
        value = values[pk]
        if value is None:
            return (2, 0.0)
        is_reward, amount = value
        return (int(is_reward), -amount if down else amount)

    return sorted(ids, key=place)


def score_of(scores: dict[str, Score]) -> tuple[bool, float] | None:
    """(whether it is a mean reward, the value) after training."""
    after = scores.get("adapter")
    return None if after is None or after.value is None else (after.accuracy is None, after.value)


def gain_of(scores: dict[str, Score]) -> tuple[bool, float] | None:
    """As score_of, of the difference; None where the two sides have nothing in common."""
    before, after = scores.get("base"), scores.get("adapter")
    if before is None or after is None:
        return None
    if before.accuracy is not None and after.accuracy is not None:
        return (False, after.accuracy - before.accuracy)
    return (True, after.reward - before.reward) if None not in (before.reward, after.reward) else None  # type: ignore[operator]


def tags_of(user: AnyUser) -> list[str]:
    used = Tag.objects.filter(sessions__in=models_of(user))
    return list(used.order_by("name").values_list("name", flat=True).distinct())


# What each is


@dataclass(frozen=True)
class Data:
    """What it was trained on. `dataset_id` is None once it was deleted."""

    name: str
    number: int
    sha256: str
    rows: int | None
    dataset_id: UUID | None


@dataclass(frozen=True)
class Model:
    """A trained model with what a list shows of it; `preset` is the reward's, None for parts of its own."""

    row: overview.Row
    preset: RewardPreset | None

    @property
    def session(self) -> Session:
        return self.row.session

    @property
    def base(self) -> str:
        """As its config names it."""
        return overview.held(self.session, "model", "name")

    @property
    def data(self) -> Data | None:
        version, was = self.session.dataset_version, self.session.dataset_fingerprint
        if version is not None:
            return Data(version.dataset.name, version.number, version.sha256, version.row_count, version.dataset_id)
        return Data(was["dataset"], was["version"], was["sha256"], was.get("rows"), None) if was else None

    @property
    def reward(self) -> str:
        kept = self.session.reward_preset
        if kept:
            return f"{self.preset.name if self.preset else kept['slug']} v{kept['version']}"
        return ", ".join(part["name"] for part in self.parts) or overview.held(self.session, "reward", "preset_name")

    @property
    def parts(self) -> list[dict[str, Any]]:
        return list(self.session.reward.get("parts", []))

    @property
    def scores(self) -> dict[str, Score]:
        return self.row.scores

    @property
    def gain(self) -> tuple[bool, float] | None:
        return gain_of(self.scores)

    @property
    def is_finished(self) -> bool:
        return self.session.status == Status.COMPLETED

    @property
    def is_training(self) -> bool:
        return self.session.status in RUNNING

    @property
    def saved_step(self) -> int | None:
        """Of the newest checkpoint."""
        return self.session.saved_step  # type: ignore[attr-defined]

    @property
    def exports(self) -> list[Export]:
        """Those that are ready, one of each format: the newest."""
        newest: dict[str, Export] = {}
        for export in self.session.ready_exports:  # type: ignore[attr-defined]
            newest.setdefault(title_of(export), export)
        return list(newest.values())

    @property
    def formats(self) -> list[str]:
        return [title_of(export) for export in self.exports]

    @property
    def is_missing(self) -> bool:
        """Its files are gone from the disk."""
        return not adapters.has_any(self.session)


def title_of(export: Export) -> str:
    wanted = choice(export.format, export.quantization)
    return wanted.title if wanted else str(export)


def described(sessions: QuerySet[Session], ids: Iterable[UUID], user: AnyUser) -> list[Model]:
    """In the order of `ids`, with a fixed number of queries."""
    saved = Event.objects.filter(session=OuterRef("pk"), kind=Kind.CHECKPOINT, superseded=False).order_by("-seq")
    ready = Export.objects.filter(status=JobStatus.READY).order_by("-created_at")
    wanted = list(ids)
    rows = (
        sessions.filter(pk__in=wanted)
        .annotate(saved_step=Subquery(saved.values("step")[:1]))
        .select_related("team", "created_by", "promoted_by", "dataset_version__dataset")
        .prefetch_related("tags", Prefetch("exports", ready, to_attr="ready_exports"))
    )
    found = {row.session.pk: row for row in overview.rows(rows, with_scores=True)}
    used = presets_of([row.session for row in found.values()], user)
    return [Model(found[pk], used.get(preset_key(found[pk].session))) for pk in wanted if pk in found]


def preset_key(session: Session) -> tuple[int | None, str]:
    kept = session.reward_preset
    return (None if kept.get("shipped") else session.team_id, kept.get("slug", ""))


def presets_of(sessions: Sequence[Session], user: AnyUser) -> dict[tuple[int | None, str], RewardPreset]:
    slugs = {slug for session in sessions if (slug := preset_key(session)[1])}
    return {(row.team_id, row.slug): row for row in presets.visible_to(user).filter(slug__in=slugs)}


def described_one(session: Session, user: AnyUser) -> Model:
    return described(Session.objects.filter(pk=session.pk), [session.pk], user)[0]


# What was made of it, and what goes with it


@dataclass(frozen=True)
class Uses:
    """What names this model. Copies and evaluations stay when it is deleted, all else goes."""

    exports: list[Export]
    evaluations: list[Evaluation]
    batches: list[Batch]
    trials: int
    answer_sets: int
    copies: list[Session]
    checkpoints: int
    size: int

    @property
    def export_size(self) -> int:
        return sum(export.size or 0 for export in self.exports)


def uses_of(session: Session) -> Uses:
    return Uses(
        exports=list(session.exports.all()),
        evaluations=list(evaluations_of(session)),
        batches=list(session.batches.select_related("created_by")),
        trials=session.trials.count(),
        answer_sets=session.answer_sets.count(),
        copies=list(session.clones.all()),
        checkpoints=len(adapters.checkpoints(session)),
        size=keeping.bytes_on_disk(session),
    )


def evaluations_of(session: Session) -> QuerySet[Evaluation]:
    """Those in which it, one of its checkpoints or its base model under its prompt answers."""
    named = Evaluation.objects.filter(team=session.team_id, models__candidate__session=str(session.pk))
    return named.select_related("evaluation_set").distinct()


class NotDeleted(Exception):
    """Why it stays."""


def asks_for_name(session: Session) -> bool:
    """What others rely on is deleted only by somebody who types its name."""
    return session.promoted_at is not None or session.exports.filter(status=JobStatus.READY).exists()


def delete(session: Session, by: AnyUser | None, name: str = "") -> int:
    """With its session, all its files and what `Uses` says. Bytes freed. Raises NotDeleted."""
    if session.is_active:
        raise NotDeleted("It is being trained or waits to be: stop its session first, then delete it.")
    if asks_for_name(session) and " ".join(name.split()) != " ".join(session.name.split()):
        raise NotDeleted("It is promoted or has exports. Type its name exactly as it is written here to delete it.")
    size = keeping.bytes_on_disk(session)
    for job in work_on(session):
        running.cancel(job)
    if not lifecycle.delete(session, by):
        raise NotDeleted("Somebody has just started its session again. Stop it first, then delete it.")
    return size


def work_on(session: Session) -> list[Trial | AnswerSet | Batch | Export]:
    """What a worker still does with it."""
    kinds: list[QuerySet[Any]] = [
        session.exports.all(),
        session.batches.all(),
        session.trials.all(),
        session.answer_sets.all(),
    ]
    return [job for rows in kinds for job in rows.filter(running.OPEN)]
