"""Presets as rows: finding the one a config names, and what a team may do with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.http import Http404
from django.utils.text import slugify
from pydantic import ValidationError

from accounts.models import AnyUser, Team
from rewards.composition import Composition
from rewards.models import RewardPreset


class PresetMissing(Exception):
    """The reward that a config asks for cannot be used; the message says why and what there is."""


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
    presets = usable_by(team)
    # The row without a team sorts last.
    preset = presets.filter(slug=slug).order_by(F("team").asc(nulls_last=True)).first()
    if preset is None:
        known = sorted(set(presets.values_list("slug", flat=True)))
        raise PresetMissing(f"There is no reward preset called {slug!r}. Known: {', '.join(known) or 'none'}.")
    return _composition(preset.definition, f"The reward preset {slug!r}")


def composition_of(preset: RewardPreset) -> Composition:
    """Raises PresetMissing if the stored definition no longer holds."""
    return _composition(preset.definition, f"The reward preset {preset.slug!r}")


def _composition(definition: Any, what: str) -> Composition:
    try:
        return Composition.model_validate(definition)
    except ValidationError as error:
        raise PresetMissing(f"{what} can't be used: {'; '.join(messages(error))}") from error


def messages(error: ValidationError) -> list[str]:
    """One sentence for each thing wrong, with the place it is at."""
    found = []
    for problem in error.errors(include_url=False, include_input=False):
        place = ".".join(str(step) for step in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        found.append(f"{place}: {text}" if place else text)
    return found


def usable_by(team: Team | None) -> QuerySet[RewardPreset]:
    rows: QuerySet[RewardPreset] = RewardPreset.objects.filter(Q(team=team) | Q(team=None))
    return rows


def visible_to(user: AnyUser) -> QuerySet[RewardPreset]:
    """The presets of the user's teams and the shipped ones."""
    rows: QuerySet[RewardPreset] = RewardPreset.objects.of_user(user) | RewardPreset.objects.filter(team=None)
    return rows.select_related("team", "created_by")


def readable_or_404(user: AnyUser, pk: UUID) -> RewardPreset:
    preset = visible_to(user).filter(pk=pk).first()
    if preset is None:
        raise Http404("No such reward preset.")
    return preset


def copy(preset: RewardPreset, team: Team, by: AnyUser) -> RewardPreset:
    """A preset of the team's own with the same parts, under a name that is still free."""
    name = f"{preset.name[:100]} (copy)"
    return RewardPreset.objects.create(
        team=team,
        created_by_id=by.pk,
        slug=free_slug(team, f"{preset.slug[:60]}-copy"),
        name=name,
        category=preset.category,
        description=preset.description,
        definition=preset.definition,
        golden=preset.golden,
    )


def free_slug(team: Team, wanted: str) -> str:
    """A copy never takes a shipped preset's name: it would silently replace it in the team's configs."""
    wanted = slugify(wanted) or "reward"
    taken = set(usable_by(team).values_list("slug", flat=True))
    number = 2
    slug = wanted
    while slug in taken:
        slug, number = f"{wanted}-{number}", number + 1
    return slug


def update(preset: RewardPreset, *, name: str, description: str, composition: Composition) -> None:
    """A changed definition is a new version; sessions keep the definition they started with."""
    definition = composition.model_dump(mode="json")
    if definition != preset.definition:
        preset.version = F("version") + 1
    preset.name, preset.description, preset.definition = name, description, definition
    preset.save(update_fields=["name", "description", "definition", "version"])
    preset.refresh_from_db(fields=["version"])
