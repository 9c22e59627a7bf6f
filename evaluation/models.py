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


class AnswerSet(Job):
    """Answers of one model to questions of the test bench, a few to each."""

    # None: a base model under the prompt that new sessions begin with.
    session = models.ForeignKey(Session, models.CASCADE, null=True, blank=True, related_name="answer_sets")
    base_model = models.CharField(max_length=500)
    # [{"instruction", "reference", "columns"}]
    questions = models.JSONField(default=list)
    # {"answers", "temperature", "max_new_tokens", "seed", "use_system_prompt", "with_adapter", "markers"}
    settings = models.JSONField(default=dict)
    # [{"question": index, "text", "tokens", "seconds", "cut_off"}], and "edited" where somebody changed one
    answers = models.JSONField(default=list)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return str(self.questions[0]["instruction"])[:60] if self.questions else self.base_model
