from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils.functional import cached_property

from accounts.models import TeamOwned


class Source(models.TextChoices):
    UPLOAD = "upload", "Upload"
    REASONING_GYM = "reasoning_gym", "Generated (reasoning-gym)"
    HUB = "hub", "Hugging Face Hub"


class Dataset(TeamOwned):
    name = models.CharField(max_length=200)
    source = models.CharField(max_length=20, choices=Source.choices)
    # upload: {"file_name"}; reasoning_gym: {"task", "parameters", "seed", "size"}; hub: {"repo", "config", "revision"}
    source_detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    @cached_property
    def latest(self) -> "DatasetVersion | None":
        return self.versions.order_by("-number").first()


class DatasetVersion(models.Model):
    """Immutable rows, but for the mapping that is proposed at import and may be corrected until a session uses it."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(default=1)
    # False while an import with rejected lines waits for the user to accept it.
    accepted = models.BooleanField(default=True)
    file = models.CharField(max_length=200, help_text="Parquet file below the uploads folder.")
    sha256 = models.CharField(max_length=64)
    row_count = models.PositiveIntegerField()
    rejected_count = models.PositiveIntegerField(default=0)
    # [{"name", "type", "filled": share of rows with a value}]
    columns = models.JSONField(default=list)
    # {"rejected": [{"line", "reason", "text"}] (the first 100), ...}
    report = models.JSONField(default=dict)
    # {"instruction": column, "response": column, "rule": name of the rule that takes the answer out of the response}
    mapping = models.JSONField(default=dict)
    # Frozen: {"seed", "held_out": number of rows}. rows.py derives both parts from it.
    split = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["dataset", "number"], name="one_row_per_version_number")]

    def __str__(self) -> str:
        return f"{self.dataset} v{self.number}"

    @property
    def path(self) -> Path:
        return Path(settings.UPLOADS_DIR) / self.file


class PromptTemplate(TeamOwned):
    """A system prompt with its markers. Rows without a team are the shipped ones."""

    team = models.ForeignKey("accounts.Team", models.CASCADE, null=True, blank=True, related_name="+")  # type: ignore[assignment]
    name = models.CharField(max_length=120)
    system_prompt = models.TextField(blank=True)
    reasoning_start = models.CharField(max_length=60, blank=True)
    reasoning_end = models.CharField(max_length=60, blank=True)
    solution_start = models.CharField(max_length=60, blank=True)
    solution_end = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def rendered(self) -> str:
        """The system prompt with the markers in place of their names in braces, as the engine sends it."""
        text = self.system_prompt
        for name in ("reasoning_start", "reasoning_end", "solution_start", "solution_end"):
            text = text.replace("{" + name + "}", getattr(self, name))
        return text
