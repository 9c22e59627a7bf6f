from pathlib import Path

from django.conf import settings
from django.db import models

from jobs.models import Job
from training.models import Session


class Format(models.TextChoices):
    ADAPTER = "adapter", "LoRA adapter (PEFT)"
    MERGED = "merged", "Merged model (safetensors)"
    GGUF = "gguf", "GGUF"


class Export(Job):
    session = models.ForeignKey(Session, models.CASCADE, related_name="exports")
    format = models.CharField(max_length=10, choices=Format.choices)
    quantization = models.CharField(max_length=10, blank=True, help_text="GGUF only: f16, q8_0, q5_k_m, q4_k_m.")
    # Below exports/<session>/; a folder for adapter and merged, a file for GGUF.
    file = models.CharField(max_length=200, blank=True)
    size = models.PositiveBigIntegerField(null=True, blank=True, help_text="Bytes.")
    sha256 = models.CharField(max_length=64, blank=True)
    # [{"name", "size", "sha256"}] of every file, the Modelfile included
    files = models.JSONField(default=list)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.session} {self.format} {self.quantization}".strip()

    @property
    def folder(self) -> Path:
        return Path(settings.EXPORTS_DIR) / str(self.session_id)
