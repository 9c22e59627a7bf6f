from django.db import models

from accounts.models import TeamOwned


class RewardPreset(TeamOwned):
    """A weighted list of registered reward functions. Rows without a team are the shipped ones: not editable."""

    team = models.ForeignKey("accounts.Team", models.CASCADE, null=True, blank=True, related_name="+")  # type: ignore[assignment]
    slug = models.SlugField(max_length=80, help_text="The name that configs use.")
    name = models.CharField(max_length=120)
    category = models.CharField(max_length=60)
    description = models.TextField(blank=True)
    # rewards.composition.Composition as JSON: {"parts": [{"name", "function", "weight", "parameters"}]}
    definition = models.JSONField()
    # [{"instruction", "reference", "answers": [{"text", "rank"}]}]: what the preset must put in order
    golden = models.JSONField(default=list, blank=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["category", "name"]
        constraints = [
            models.UniqueConstraint(fields=["team", "slug"], name="one_preset_per_slug", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return self.name
