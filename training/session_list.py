"""Which sessions a list shows, and in which order: everything of it is in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count, DurationField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from accounts.models import AnyUser
from datasets_app.models import Dataset
from training.choices import ACTIVE, Status
from training.models import CatalogueModel, Session, Tag

LONGEST_SEARCH, MOST_WORDS = 200, 8
ARCHIVED = "archived"
ME = "me"
FILTERS = {
    "active": ("Active", ACTIVE),
    "completed": ("Completed", [Status.COMPLETED]),
    "stopped": ("Stopped", [Status.STOPPED, Status.CANCELLED]),
    "failed": ("Failed", [Status.FAILED]),
    "draft": ("Drafts", [Status.DRAFT]),
}
SORTS = {
    "name": "name",
    "status": "status",
    "steps": "step",
    "reward": "last_reward",
    "created": "created_at",
    "duration": "took",
}


@dataclass(frozen=True)
class Asked:
    """What an address asks for. `owner` is a user name, or "me"."""

    text: str = ""
    status: str = ""
    owner: str = ""
    tag: str = ""
    sort: str = "-created"

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Asked:
        text = query.get("q", "").strip()[:LONGEST_SEARCH]
        known = query.get("status", "") if query.get("status", "") in (*FILTERS, ARCHIVED) else ""
        return cls(text, known, query.get("owner", ""), query.get("tag", "").strip().lower(), query.get("sort", ""))

    @property
    def narrows(self) -> bool:
        return bool(self.text or self.status or self.owner or self.tag)


def shown(user: AnyUser) -> QuerySet[Session]:
    """Those that are not archived."""
    found: QuerySet[Session] = Session.objects.of_user(user).filter(archived_at=None)
    return found


def matching(user: AnyUser, asked: Asked) -> QuerySet[Session]:
    """Before the status is looked at."""
    found: QuerySet[Session] = Session.objects.of_user(user)
    for word in asked.text.split()[:MOST_WORDS]:
        found = found.filter(about(user, word))
    if asked.owner:
        found = (
            found.filter(created_by=user.pk) if asked.owner == ME else found.filter(created_by__username=asked.owner)
        )
    if asked.tag:
        found = found.filter(tags__name=asked.tag)
    return found


def about(user: AnyUser, word: str) -> Q:
    """Name, model, dataset, tags or owner."""
    models = CatalogueModel.objects.filter(name__icontains=word).values_list("hub_id", flat=True)
    datasets = Dataset.objects.of_user(user).filter(name__icontains=word).values_list("pk", flat=True)
    tagged = Session.tags.through.objects.filter(tag__name__icontains=word).values("session")
    return (
        Q(name__icontains=word)
        | Q(config__model__name__icontains=word)
        | Q(config__model__name__in=list(models))
        | Q(dataset_version__dataset__name__icontains=word)
        # A draft names a dataset by its id, a hub's one by its name.
        | Q(config__dataset__source__in=[str(pk) for pk in datasets])
        | Q(config__dataset__source__icontains="/") & Q(config__dataset__source__icontains=word)
        | Q(created_by__username__icontains=word)
        | Q(pk__in=tagged)
    )


def of_status(found: QuerySet[Session], status: str) -> QuerySet[Session]:
    if status == ARCHIVED:
        return found.exclude(archived_at=None)
    found = found.filter(archived_at=None)
    return found.filter(status__in=FILTERS[status][1]) if status in FILTERS else found


def ordered(found: QuerySet[Session], sort: str) -> QuerySet[Session]:
    """Sessions without a value come last whichever way it is sorted; the id keeps pages apart."""
    took = ExpressionWrapper(Coalesce(F("finished_at"), Now()) - F("started_at"), output_field=DurationField())
    column = F(SORTS.get(sort.removeprefix("-"), "created_at"))
    down = sort.startswith("-") or sort not in SORTS
    direction = column.desc(nulls_last=True) if down else column.asc(nulls_last=True)
    return found.annotate(took=took).order_by(direction, "pk")


def filters(found: QuerySet[Session]) -> list[tuple[str, str, int]]:
    """(key, title, count) of each status."""
    here = found.filter(archived_at=None).order_by()
    counts = dict(here.values_list("status").annotate(Count("pk")))
    each = [(key, title, sum(counts.get(s, 0) for s in statuses)) for key, (title, statuses) in FILTERS.items()]
    return [
        ("", "All", sum(counts.values())),
        *each,
        (ARCHIVED, "Archived", found.exclude(archived_at=None).count()),
    ]


def owners(user: AnyUser) -> list[str]:
    """Who made sessions, but for the user."""
    made = Session.objects.of_user(user).exclude(created_by=None).exclude(created_by=user.pk)
    return list(made.order_by("created_by__username").values_list("created_by__username", flat=True).distinct())


def tags(user: AnyUser) -> list[str]:
    used = Tag.objects.filter(sessions__in=Session.objects.of_user(user))
    return list(used.order_by("name").values_list("name", flat=True).distinct())
