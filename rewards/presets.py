"""Presets as rows: finding the one a config names, and what a team may do with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Protocol
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.http import Http404
from django.utils.text import slugify
from pydantic import ValidationError

from accounts.access import get_or_404
from accounts.models import AnyUser, Role, Team
from rewards import differences
from rewards.composition import Composition
from rewards.models import LONGEST_SLUG, PresetVersion, RewardPreset
from rewards.problems import messages


class PresetMissing(Exception):
    """The reward that a config asks for cannot be used; the message says why and what there is."""


class PresetChanged(Exception):
    """Somebody saved it since it was read."""


OWN_CATEGORY = "Own"
TEXTS = ("slug", "name", "category", "description")


class RewardChoice(Protocol):
    """training.schema.RewardSection, which this app may not import."""

    @property
    def type(self) -> str: ...
    @property
    def preset_name(self) -> str | None: ...
    @property
    def parts(self) -> Iterable[Any]: ...
    @property
    def normalise(self) -> str: ...
    @property
    def formula(self) -> str: ...
    @property
    def gated_total(self) -> float: ...


def composition_for(team: Team | None, section: RewardChoice) -> Composition:
    """Raises PresetMissing."""
    if section.type == "custom":
        parts = [part.model_dump() for part in section.parts]
        shared = {name: getattr(section, name) for name in ("normalise", "formula", "gated_total")}
        return _composition({"parts": parts, **shared}, "The custom reward")
    return named(team, section.preset_name or "")


def named(team: Team | None, slug: str) -> Composition:
    """The team's own preset of that name, else the shipped one. Raises PresetMissing."""
    preset = row_named(team, slug)
    if preset is None:
        known = sorted(set(usable_by(team).values_list("slug", flat=True)))
        raise PresetMissing(f"There is no reward preset called {slug!r}. Known: {', '.join(known) or 'none'}.")
    return _composition(preset.definition, f"The reward preset {slug!r}")


def row_named(team: Team | None, slug: str) -> RewardPreset | None:
    # The row without a team sorts last.
    return usable_by(team).filter(slug=slug).order_by(F("team").asc(nulls_last=True)).first()


def origin_of(team: Team | None, section: RewardChoice, composition: dict[str, Any]) -> dict[str, Any]:
    """{"slug", "version", "shipped"} of the preset that `composition` was made of a moment ago; {} if it was none."""
    preset = row_named(team, section.preset_name or "") if section.type == "preset" else None
    if preset is None or composition_of(preset).model_dump(mode="json") != composition:
        return {}
    return {"slug": preset.slug, "version": preset.version, "shipped": preset.team_id is None}


def composition_of(preset: RewardPreset) -> Composition:
    """Raises PresetMissing if the stored definition no longer holds."""
    return _composition(preset.definition, f"The reward preset {preset.slug!r}")


def _composition(definition: Any, what: str) -> Composition:
    try:
        return Composition.model_validate(definition)
    except ValidationError as error:
        raise PresetMissing(f"{what} can't be used: {' '.join(messages(error))}") from error


def usable_by(team: Team | None) -> QuerySet[RewardPreset]:
    rows: QuerySet[RewardPreset] = RewardPreset.objects.filter(Q(team=team) | Q(team=None))
    return rows


def visible_to(user: AnyUser) -> QuerySet[RewardPreset]:
    """The presets of the user's teams and the shipped ones."""
    rows: QuerySet[RewardPreset] = RewardPreset.objects.of_user(user) | RewardPreset.objects.filter(team=None)
    return rows.select_related("team", "created_by")


def found(user: AnyUser, text: str = "", category: str = "") -> QuerySet[RewardPreset]:
    """What a library shows: `text` in name, description or slug."""
    rows = visible_to(user)
    if text:
        rows = rows.filter(Q(name__icontains=text) | Q(description__icontains=text) | Q(slug__icontains=text))
    if category:
        rows = rows.filter(category=category)
    return rows.order_by("category", "name")


def categories(user: AnyUser) -> list[str]:
    return sorted(set(visible_to(user).values_list("category", flat=True)))


def readable_or_404(user: AnyUser, pk: UUID | str) -> RewardPreset:
    preset = visible_to(user).filter(pk=pk).first()
    if preset is None:
        raise Http404("No such reward preset.")
    return preset


def pk_or_404(text: str) -> UUID:
    """An id that came in a form."""
    try:
        return UUID(text)
    except ValueError:
        raise Http404("No such reward preset.") from None


def own_or_403(user: AnyUser, pk: UUID | str) -> RewardPreset:
    """One that the user may change."""
    if readable_or_404(user, pk).team_id is None:
        raise PermissionDenied("Shipped presets can't be changed: copy this one, and change the copy.")
    return get_or_404(RewardPreset, user, pk, Role.MEMBER)


def create(
    team: Team,
    by: AnyUser,
    *,
    name: str,
    definition: dict[str, Any],
    slug: str = "",
    category: str = "",
    description: str = "",
    golden: list[Any] | None = None,
    note: str = "",
) -> RewardPreset:
    """A preset of the team's own, under the slug if it is free, else under one that is."""
    with transaction.atomic():
        preset = RewardPreset.objects.create(
            team=team,
            created_by_id=by.pk,
            slug=free_slug(team, slug or name),
            name=name,
            category=category or OWN_CATEGORY,
            description=description,
            definition=definition,
            golden=golden or [],
        )
        record(preset, by, note)
    return preset


def copy(preset: RewardPreset, team: Team, by: AnyUser) -> RewardPreset:
    """A preset of the team's own with the same parts, under a name that is still free."""
    return create(
        team,
        by,
        name=f"{preset.name[:100]} (copy)",
        slug=f"{preset.slug[:60]}-copy",
        category=preset.category,
        description=preset.description,
        definition=preset.definition,
        golden=preset.golden,
        note=f"{copied_from(preset)}{preset.version}",
    )


def copied_from(preset: RewardPreset) -> str:
    """How the note begins that the first version of a copy has."""
    return f"Copied from {preset.slug}, version "


def free_slug(team: Team, wanted: str) -> str:
    """A copy never takes a shipped preset's name: it would silently replace it in the team's configs."""
    wanted = slugify(wanted)[:LONGEST_SLUG].strip("-_") or "reward"
    taken = set(usable_by(team).values_list("slug", flat=True))
    slug, number = wanted, 2
    while slug in taken:
        ending = f"-{number}"
        slug, number = wanted[: LONGEST_SLUG - len(ending)] + ending, number + 1
    return slug


def slug_problem(team: Team, slug: str, but: RewardPreset | None = None) -> str:
    """Why a preset of the team can't have this slug; "" if it can."""
    others = usable_by(team).filter(slug=slug)
    other = (others.exclude(pk=but.pk) if but is not None else others).first()
    if other is None:
        return ""
    whose = "Your team" if other.team_id else "The program"
    return f"{whose} already has a preset called {slug}. Choose another name for configs."


def update(
    preset: RewardPreset,
    by: AnyUser,
    *,
    composition: Composition | None = None,
    golden: list[Any] | None = None,
    note: str = "",
    **texts: str,
) -> bool:
    """Saves what is given of a preset as it was read: slug, name, category, description, parts and golden cases.

    Changed parts or cases are a new version, which is returned as true; sessions keep the reward they started with.
    Raises PresetChanged if another version or other texts were saved by now than those of `preset`.
    """
    definition = composition.model_dump(mode="json") if composition else preset.definition
    cases = preset.golden if golden is None else golden
    is_new = cases != preset.golden or not differences.same(preset.definition, definition)
    kept = {"definition": definition, "golden": cases} if is_new else {}
    with transaction.atomic():
        record(preset, None)
        as_read = {name: getattr(preset, name) for name in ("version", *TEXTS)}
        found = RewardPreset.objects.filter(pk=preset.pk, **as_read)
        if not found.update(**texts, **kept, version=preset.version + is_new):
            raise PresetChanged("Somebody saved this preset meanwhile.")
        preset.refresh_from_db()
        if is_new:
            record(preset, by, note)
    return is_new


def edition(preset: RewardPreset) -> str:
    """What an editor has read: the version, and the texts, which change without a new one."""
    texts = json.dumps([getattr(preset, name) for name in TEXTS])
    return f"{preset.version}-{hashlib.sha256(texts.encode()).hexdigest()[:12]}"


def record(preset: RewardPreset, by: AnyUser | None, note: str = "") -> None:
    """Keeps what the preset is now as its newest version, unless it is kept already."""
    kept = {"definition": preset.definition, "golden": preset.golden, "note": note[:200]}
    PresetVersion.objects.get_or_create(
        preset=preset, number=preset.version, defaults={**kept, "created_by_id": by.pk if by else preset.created_by_id}
    )


def restore(preset: RewardPreset, number: int, by: AnyUser) -> bool:
    """An older version as a new one. False if it is what the preset is now. Raises PresetMissing, PresetChanged."""
    version = version_or_404(preset, number)
    composition = _composition(version.definition, f"Version {number}")
    return update(preset, by, composition=composition, golden=version.golden, note=f"Version {number} restored")


def version_or_404(preset: RewardPreset, number: int) -> PresetVersion:
    version: PresetVersion | None = preset.versions.filter(number=number).first()
    if version is None:
        raise Http404("This preset has no such version.")
    return version


def versions_of(preset: RewardPreset) -> list[PresetVersion]:
    """Newest first. A preset that was written in another way has one all the same: what it is now."""
    found = list(preset.versions.select_related("created_by"))
    if not found or found[0].number != preset.version:
        now = PresetVersion(preset=preset, number=preset.version, definition=preset.definition, golden=preset.golden)
        now.created_at = preset.created_at
        return [now, *found]
    return found


def changes(before: PresetVersion, after: PresetVersion) -> list[str]:
    """What `after` does otherwise, in words."""
    golden = differences.of_golden(before.golden, after.golden)
    return differences.between(before.definition, after.definition) + golden
