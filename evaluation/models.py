from django.db import models

from jobs.models import Job
from training.models import Session


class Trial(Job):
    """A prompt that base and adapter answer side by side."""

    session = models.ForeignKey(Session, models.CASCADE, related_name="trials")
    prompt = models.TextField()
    # {"temperature", "top_p", "max_new_tokens", "seed", "use_system_prompt"}
    settings = models.JSONField(default=dict)
    # {"base" | "adapter": {"text", "tokens", "seconds", "cut_off"}}
    answers = models.JSONField(default=dict)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.prompt[:60]
