from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models

from jobs.choices import JobStatus
from jobs.models import Job, OnDevice
from training.device_jobs import one_a_slot
from training.models import Session


class Format(models.TextChoices):
    ADAPTER = "adapter", "LoRA adapter (PEFT)"
    MERGED = "merged", "Merged model (safetensors)"
    GGUF = "gguf", "GGUF"


class Verdict(models.TextChoices):
    AS_GOOD = "as_good", "As good"
    DEGRADED = "degraded", "Degraded"
    NOT_CHECKED = "not_checked", "Not checked"


class Export(Job):
    session = models.ForeignKey(Session, models.CASCADE, related_name="exports")
    format = models.CharField(max_length=10, choices=Format.choices)
    quantization = models.CharField(max_length=10, blank=True, help_text="GGUF only: f16, q8_0, q4_k_m and others.")
    # Below exports/<session>/; a folder for adapter and merged, a file for GGUF.
    file = models.CharField(max_length=200, blank=True)
    size = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes.")
    sha256 = models.CharField(max_length=64, blank=True)
    # [{"name", "size", "sha256"}] of every file, the Modelfile included
    files = models.JSONField(default=list)
    adapter_sha256 = models.CharField(max_length=64, blank=True, help_text="Of the adapter's weights it was made of.")
    wants_check = models.BooleanField(default=True, help_text="Whether it is compared with the adapter when built.")

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.session} {self.format} {self.quantization}".strip()

    @property
    def folder(self) -> Path:
        return Path(settings.EXPORTS_DIR) / str(self.session_id)

    @property
    def parity(self) -> Check | None:
        """Its check, if there is one."""
        found: Check | None = getattr(self, "check_row", None)
        return found


class Check(OnDevice, Job):
    """Whether an export answers as the trained adapter does. The verbs are in checks.py."""

    doing = "an export is being checked"

    # `check` is a method of every model.
    export = models.OneToOneField(Export, models.CASCADE, related_name="check_row")
    verdict = models.CharField(max_length=12, choices=Verdict.choices, blank=True)
    reason = models.TextField(blank=True, help_text="Why this verdict, in a sentence.")
    # What parity.compared gives, with the answers that differ.
    result = models.JSONField(default=dict)
    signed_by = models.ForeignKey("auth.User", models.SET_NULL, null=True, blank=True, editable=False, related_name="+")
    signed_at = models.DateTimeField(null=True, blank=True, editable=False)
    sign_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [one_a_slot("one_check_a_slot")]

    def __str__(self) -> str:
        return f"Check of {self.export}"

    @property
    def is_open(self) -> bool:
        return self.status in (JobStatus.QUEUED, JobStatus.RUNNING)

    @property
    def is_degraded(self) -> bool:
        return self.verdict == Verdict.DEGRADED

    @property
    def needs_sign_off(self) -> bool:
        return self.is_degraded and self.signed_at is None

    @property
    def differing(self) -> list[dict[str, Any]]:
        return [row for row in self.result.get("rows", []) if not row["same"]]


class Push(Job):
    """An export on its way to a repository of the hub. The verbs are in pushes.py."""

    export = models.ForeignKey(Export, models.CASCADE, related_name="pushes")
    repository = models.CharField(max_length=200)
    private = models.BooleanField(default=True)
    url = models.URLField(max_length=500, blank=True, help_text="Where it is now.")

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "pushes"

    def __str__(self) -> str:
        return f"{self.export} to {self.repository}"

    @property
    def is_open(self) -> bool:
        return self.status in (JobStatus.QUEUED, JobStatus.RUNNING)
