from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models
from django.utils.functional import cached_property

from accounts.models import TeamOwned
from jobs.models import Job


class Source(models.TextChoices):
    UPLOAD = "upload", "Upload"
    PASTE = "paste", "Pasted text"
    REASONING_GYM = "reasoning_gym", "Generated (reasoning-gym)"
    HUB = "hub", "Hugging Face Hub"


class Dataset(TeamOwned):
    name = models.CharField(max_length=200)
    source = models.CharField(max_length=20, choices=Source.choices)
    # upload: {"file_name", "format", "sha256"}; reasoning_gym: {"task", "parameters", "seed", "size"};
    # hub: {"repo", "config", "split", "revision": commit}
    source_detail = models.JSONField(default=dict)
    versions_made = models.PositiveIntegerField(
        default=1, editable=False, help_text="The highest number given so far: that of a deleted version never returns."
    )

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
    # JSON lines beside the rows: every rejected line, or every row that a filter dropped; "" if there is none.
    rejected_file = models.CharField(max_length=200, blank=True)
    # {} for what was imported; else made from another: {"version": its number, "filters": {...}, "dropped": {reason:
    # rows}, "by": user name}, and {"mapping": [what changed, in words]} where only the mapping is another.
    origin = models.JSONField(default=dict, blank=True)
    # [{"name", "type", "filled": share of rows with a value}]
    columns = models.JSONField(default=list)
    # {"rejected": [{"line", "reason", "text"}] (the first 100), ...}
    report = models.JSONField(default=dict)
    # {"instruction": path, "input": path or "", "response": path, "rule": name of the rule that takes the answer out
    # of the response, "extra": {name that a reward asks for: path}}. A path is a column or a place in one (paths.py).
    mapping = models.JSONField(default=dict)
    # Frozen: {"seed", "held_out": rows, "validation": rows}, or from the source: {"seed", "column", "train": [values],
    # "validation": [values], "test": [values], "other": [values of no part], "held_out": rows of the test part as
    # counted}. "chosen" if a user did. rows.py derives the parts from it.
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

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What a session keeps of the version that it trains on, for when the version is gone."""
        return {
            "dataset": self.dataset.name,
            "dataset_id": str(self.dataset_id),
            "version": self.number,
            "sha256": self.sha256,
            "rows": self.row_count,
            "split": self.split,
            "mapping": self.mapping,
        }

    @property
    def rejected_path(self) -> Path | None:
        return Path(settings.UPLOADS_DIR) / self.rejected_file if self.rejected_file else None


class Upload(TeamOwned):
    """A file that arrives in pieces. Its bytes are appended to `path`; `received` is how many of them are safe."""

    file_name = models.CharField(max_length=255)
    size = models.BigIntegerField()
    received = models.BigIntegerField(default=0)
    # Of the whole file, as promised by the client; checked at the end. "" if it promised none.
    sha256 = models.CharField(max_length=64, blank=True)
    touched_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.file_name

    @property
    def path(self) -> Path:
        return Path(settings.UPLOADS_DIR) / f"{self.pk}.part"

    @property
    def is_complete(self) -> bool:
        return self.received == self.size


class ImportKind(models.TextChoices):
    UPLOAD = "upload", "Uploaded file"
    HUB = "hub", "Hugging Face Hub"
    FILTER = "filter", "New version"


class Import(Job):
    """Makes a dataset, or a further version of one, in the background. The verbs are in imports.py."""

    kind = models.CharField(max_length=10, choices=ImportKind.choices)
    name = models.CharField(max_length=200, help_text="The name that the dataset is to have.")
    # hub: {"repo", "config", "split", "revision"}; filter: {"version": id, "filters": {...}}; upload: {}
    request = models.JSONField(default=dict, blank=True)
    upload = models.ForeignKey(Upload, models.SET_NULL, null=True, blank=True, related_name="imports")
    # Set when it is done, or from the start where a version is added to a dataset.
    dataset = models.ForeignKey(Dataset, models.CASCADE, null=True, blank=True, related_name="imports")
    version = models.ForeignKey(DatasetVersion, models.SET_NULL, null=True, blank=True, related_name="+")
    rows = models.PositiveBigIntegerField(default=0, help_text="Read so far.")
    bytes_read = models.PositiveBigIntegerField(default=0)
    bytes_total = models.PositiveBigIntegerField(default=0, help_text="0 where it is not known.")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name


class Check(Job):
    """The validation report of a version under a mapping, a prompt and a model. The verbs are in checks.py."""

    version = models.ForeignKey(DatasetVersion, models.CASCADE, related_name="checks")
    # {"model": hub id, "system_prompt", "max_tokens": limit that the token lengths are compared with}
    request = models.JSONField(default=dict)
    # Digest of the request and of the version's mapping and split: the same question is answered once.
    key = models.CharField(max_length=64, db_index=True)
    report = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"Check of {self.version}"


class TemplateType(models.TextChoices):
    GRPO = "grpo", "GRPO default"
    QWEN = "qwen", "Qwen"
    LLAMA = "llama", "Llama"
    PHI = "phi", "Phi"
    CUSTOM = "custom", "Custom"


class PromptTemplate(TeamOwned):
    """A system prompt with its markers. Rows without a team are the shipped ones."""

    team = models.ForeignKey("accounts.Team", models.CASCADE, null=True, blank=True, related_name="+")  # type: ignore[assignment]
    name = models.CharField(max_length=120)
    template_type = models.CharField(max_length=10, choices=TemplateType.choices, default=TemplateType.CUSTOM)
    description = models.CharField(max_length=300, blank=True)
    # Jinja that replaces the model's own chat template; "" keeps the model's own.
    chat_template = models.TextField(blank=True)
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
