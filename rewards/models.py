from django.conf import settings
from django.db import models

from accounts.models import TeamOwned
from jobs.models import Job

# The longest preset_name of a config.
LONGEST_SLUG = 80

__all__ = ["Examination", "PresetVersion", "RewardCheck", "RewardPreset"]


class RewardPreset(TeamOwned):
    """A weighted list of registered reward functions. Rows without a team are the shipped ones: not editable."""

    team = models.ForeignKey("accounts.Team", models.CASCADE, null=True, blank=True, related_name="+")  # type: ignore[assignment]
    slug = models.SlugField(max_length=LONGEST_SLUG, help_text="The name that configs use.")
    name = models.CharField(max_length=120)
    category = models.CharField(max_length=60)
    description = models.TextField(blank=True)
    # rewards.composition.Composition as JSON: {"parts": [{"name", "function", "weight", "parameters"}]}
    definition = models.JSONField()
    # [{"instruction", "reference", "answers": [{"text", "rank"}]}]: what the preset must put in order
    golden = models.JSONField(default=list, blank=True)
    # The number of the newest PresetVersion.
    version = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["category", "name"]
        # Two, because SQLite takes every null for another one: a shipped preset has no team.
        constraints = [
            models.UniqueConstraint(fields=["team", "slug"], name="one_preset_per_team_and_slug"),
            models.UniqueConstraint(fields=["slug"], condition=models.Q(team=None), name="one_shipped_preset_per_slug"),
        ]

    def __str__(self) -> str:
        return self.name


class PresetVersion(models.Model):
    """What a preset was at one time. Written once by rewards.presets and never changed; `number` counts from 1."""

    preset = models.ForeignKey(RewardPreset, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    golden = models.JSONField(default=list, blank=True)
    note = models.CharField(max_length=200, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["preset", "number"], name="one_row_per_preset_version")]

    def __str__(self) -> str:
        return f"{self.preset} v{self.number}"


class RewardCheck(models.Model):
    """What the launch gate found, by what it examined: the same reward and the same questions are examined once."""

    key = models.CharField(max_length=64, unique=True, help_text="rewards.gate.key of reward, cases and rows.")
    report = models.JSONField(help_text="rewards.gate.Report as JSON.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-updated_at"]

    def __str__(self) -> str:
        return self.key[:12]


class Examination(Job):
    """A launch gate at work for a team. What it finds becomes the RewardCheck of `key`. The verbs are in
    examinations.py."""

    key = models.CharField(max_length=64, db_index=True)
    request = models.JSONField(help_text="rewards.checks.Exam as JSON.")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.key[:12]
